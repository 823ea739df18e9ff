"""The README's tables and citations say what the other pages and the code say."""

import re
from pathlib import Path

import pytest

from common.data.catalogue import DATASETS
from methods import METHODS

ROOT = Path(__file__).parents[2]


def table_rows(text):
    """The rows of all tables as {header: cell}."""
    rows, headers = [], None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line[:1] == "|" else None
        if cells and headers and not line.startswith("| ---"):
            rows.append(dict(zip(headers, cells, strict=True)))
        headers = None if cells is None else headers or cells
    return rows


def test_the_results_in_the_readme_are_those_of_the_results_page():
    page = table_rows((ROOT / "docs" / "results.md").read_text("utf-8"))
    plain = {"data set": "synthetic", "variant": "-", "remarks": "-"}
    full = {row["method"]: row for row in page if plain.items() <= row.items()}
    rows = table_rows((ROOT / "README.md").read_text("utf-8"))
    shown = [row for row in rows if "clusters" in row]
    assert [row["method"] for row in shown] == list(METHODS)
    assert all(row.items() <= full[row["method"]].items() for row in shown)


def test_the_readme_says_where_each_data_set_belongs():
    rows = table_rows((ROOT / "README.md").read_text("utf-8"))
    place, shown = "folder below the data root", {}
    for row in (row for row in rows if place in row):
        names, folders = (re.findall(r"`([^`]+)`", row[column]) for column in ("name", place))
        shown |= dict.fromkeys(names, folders)
    families = {name for name in DATASETS if not name.startswith(("vehicleid-", "celebreid-"))}
    assert shown.keys() == families
    assert all(DATASETS[name].folders[0] in folders for name, folders in shown.items())


@pytest.mark.parametrize("name", METHODS)
def test_the_readme_cites_what_the_method_s_page_cites(name):
    page = (ROOT / "docs" / "methods" / f"{name}.md").read_text("utf-8")
    cited = " ".join(page.partition("\n## ")[0].split())
    readme = (ROOT / "README.md").read_text("utf-8")
    title = page.splitlines()[0].removeprefix("# ")
    entry = next(e for e in readme.splitlines() if e.startswith(f"- {title}: "))
    authors, paper = entry.partition(": ")[2].split(". ")[:2]
    assert paper in cited
    assert paper == METHODS[name].title
    assert all(author in cited for author in authors.split(", "))
    assert re.findall(r"arXiv [0-9.]*[0-9]", entry) == re.findall(r"arXiv [0-9.]*[0-9]", cited)
