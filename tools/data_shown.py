"""Data sets as a reader sees them: which there are, counts beside the published ones, findings."""

from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from common.data.catalogue import DATASETS
from common.types import SPLITS
from tools.data import Result
from tools.layout import rich_table, say

MOST_BAD_IMAGES = 20  # that are named


def show_datasets(rows: list[Result], console: Console) -> None:
    """One line per data set, then where the missing ones come from and belong."""
    headers = ("name", "data set", "found", "published: train / query / gallery", "terms")
    lines = []
    for row in rows:
        there = row["found"] or ("incomplete" if row["incomplete"] else "no")
        lines.append([row["name"], row["title"], there, _published(row), row["terms"]])
    table = rich_table(headers, lines, texts=range(5))
    table.columns[0].no_wrap = True  # it is what a command takes
    console.print(table)
    origins: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for folder, missing in row["incomplete"].items():
            say(console, f"{row['name']}: {folder} lacks {', '.join(missing)}")
        if not row["found"]:
            origins.setdefault((row["origin"], row["looked_for"][0]), []).append(row["name"])
    for (origin, place), names in origins.items():
        say(console, f"{', '.join(names)}: {origin}. Belongs in {place}.")


def show_check(result: Result, console: Console) -> None:
    """Counts beside the published ones, then everything that was found."""
    title = " ".join(filter(None, (result["name"], result["version"], result["fingerprint"])))
    console.print(_counts_table(title, result["found"], result["published"]))
    for kind in ("errors", "warnings", "notes"):
        for text in result[kind]:
            say(console, f"{kind[:-1]}: {text}")
    bad = list(result["bad_images"].items())
    for path, reason in bad[:MOST_BAD_IMAGES]:
        say(console, f"bad image: {path}: {reason}")
    if len(bad) > MOST_BAD_IMAGES:
        say(console, f"and {len(bad) - MOST_BAD_IMAGES:,} more bad images (--json lists all)")
    images = sum(counts["images"] for counts in result["found"].values())
    looked = f"{images:,} images read" if result["images_read"] else "images not read"
    say(console, f"{looked}: {'sound' if result['sound'] else 'not sound'}.")


def show_prepared(result: Result, console: Console) -> None:
    """Where the data set lies now, and its counts."""
    published = asdict(DATASETS[result["name"]].published)
    say(console, f"{result['files']:,} files unpacked to {result['folder']}")
    console.print(_counts_table(result["name"], result["found"], published))
    for text in result["errors"] + result["warnings"]:
        say(console, f"warning: {text}")


def _published(row: Result) -> str:
    splits = [row["published"][split] for split in SPLITS]
    texts = [f"{split['images']:,}" if split and split["images"] else "-" for split in splits]
    return " / ".join(texts)


def _counts_table(title: str, found: Result, published: Result) -> Table:
    lines = []
    for split, counts in found.items():
        images, ids, cameras = (f"{counts[kind]:,}" for kind in ("images", "ids", "cameras"))
        expected = published[split] or {"images": None, "ids": None}
        theirs = [f"{expected[kind]:,}" if expected[kind] else "-" for kind in ("images", "ids")]
        lines.append([split, images, theirs[0], ids, theirs[1], cameras])
    headers = ("split", "images", "published", "ids", "published", "cameras")
    return rich_table(headers, lines, title=title)
