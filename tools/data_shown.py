"""Data sets as a reader sees them: which there are, counts beside the published ones, findings."""

from dataclasses import asdict

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from common.data.catalogue import DATASETS
from common.types import SPLITS
from tools.data import Result

MOST_BAD_IMAGES = 20  # that are named


def show_datasets(rows: list[Result], console: Console) -> None:
    """One line per data set, then where the missing ones come from."""
    table = Table("name", "data set", "there", "published: train / query / gallery", "terms")
    for row in rows:
        there = row["found"] or ("incomplete" if row["incomplete"] else "no")
        table.add_row(row["name"], row["title"], there, _published(row), row["terms"])
    console.print(table)
    origins: dict[str, list[str]] = {}
    for row in rows:
        for folder, missing in row["incomplete"].items():
            console.print(f"{row['name']}: {folder} lacks {', '.join(missing)}", markup=False)
        if not row["found"]:
            origins.setdefault(row["origin"], []).append(row["name"])
    for origin, names in origins.items():
        console.print(f"{', '.join(names)}: {origin}.", markup=False)


def show_check(result: Result, console: Console) -> None:
    """Counts beside the published ones, then everything that was found."""
    title = " ".join(filter(None, (result["name"], result["version"], result["fingerprint"])))
    console.print(_counts_table(title, result["found"], result["published"]))
    for kind in ("errors", "warnings", "notes"):
        for text in result[kind]:
            console.print(f"{kind[:-1]}: {text}", markup=False)
    bad = list(result["bad_images"].items())
    for path, reason in bad[:MOST_BAD_IMAGES]:
        console.print(f"bad image: {path}: {reason}", markup=False)
    if len(bad) > MOST_BAD_IMAGES:
        console.print(f"and {len(bad) - MOST_BAD_IMAGES:,} more bad images (--json lists all)")
    images = sum(counts["images"] for counts in result["found"].values())
    looked = f"{images:,} images read" if result["images_read"] else "images not read"
    console.print(f"{looked}: {'sound' if result['sound'] else 'not sound'}.")


def show_prepared(result: Result, console: Console) -> None:
    """Where the data set lies now, and its counts."""
    published = asdict(DATASETS[result["name"]].published)
    console.print(f"{result['files']:,} files unpacked to {result['folder']}", markup=False)
    console.print(_counts_table(result["name"], result["found"], published))
    for text in result["errors"] + result["warnings"]:
        console.print(f"warning: {text}", markup=False)


def _published(row: Result) -> str:
    splits = [row["published"][split] for split in SPLITS]
    texts = [f"{split['images']:,}" if split and split["images"] else "-" for split in splits]
    return " / ".join(texts)


def _counts_table(title: str, found: Result, published: Result) -> Table:
    table = Table(
        "split", "images", "published", "ids", "published", "cameras", title=escape(title)
    )
    for split, counts in found.items():
        expected = published[split] or {"images": None, "ids": None}
        images, ids = (f"{expected[k]:,}" if expected[k] else "-" for k in ("images", "ids"))
        table.add_row(
            split, f"{counts['images']:,}", images, f"{counts['ids']:,}", ids, str(counts["cams"])
        )
    return table
