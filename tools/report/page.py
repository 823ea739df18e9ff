"""The page of a run: its sections in order, in one file without network or script."""

from pathlib import Path

from common.data.thumbnails import thumbnail_box
from common.errors import explained
from common.run import write_atomically
from tools.report.curves import course
from tools.report.inputs import ReportInputs
from tools.report.maps import feature_maps
from tools.report.markup import Html, element, join
from tools.report.ranking import ranked_lists
from tools.report.results import headline, results
from tools.report.settings import environment, remarks, settings
from tools.report.sheets import cluster_sheets
from tools.report.style import STYLE

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # nothing may be fetched


def write_page(folder: Path, inputs: ReportInputs) -> Path:
    """Write `folder`/index.html, whole or not at all, and return its path.

    Raises:
        UserError: the folder cannot be made or written.
    """
    with explained(f"{folder} cannot be made"):
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    # A file name need not be valid text; what is not becomes a question mark.
    write_atomically(path, page(inputs).encode("utf-8", "replace"))
    return path


def page(inputs: ReportInputs) -> Html:
    """The whole document; sections without content are left out."""
    sections = [
        ("results", "Results", results(inputs)),
        ("remarks", "Remarks", remarks(inputs)),
        ("course", "Course of the run", course(inputs)),
        ("ranking", "Ranked lists", ranked_lists(inputs)),
        ("clusters", "Clusters", cluster_sheets(inputs)),
        ("map", "Feature map", feature_maps(inputs)),
        ("settings", "Settings", settings(inputs)),
        ("environment", "Environment", environment(inputs)),
    ]
    shown = [(key, title, body) for key, title, body in sections if body]
    links = [element("a", title, attributes={"href": f"#{key}"}) for key, title, _ in shown]
    parts = [
        element("section", element("h2", title), body, attributes={"id": key})
        for key, title, body in shown
    ]
    width, height = thumbnail_box(inputs.recipe.encoder.height, inputs.recipe.encoder.width)
    shape = {"style": f"--shape: {width} / {height}"}
    return join(
        [
            Html('<!doctype html>\n<html lang="en">'),
            _head(inputs),
            element(
                "body",
                _header(inputs),
                element("nav", *links, attributes={"aria-label": "Sections"}),
                element("main", *parts, attributes=shape),
            ),
            Html("</html>\n"),
        ]
    )


def _head(inputs: ReportInputs) -> Html:
    return element(
        "head",
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        element("title", _title(inputs)),
        element("style", Html(STYLE)),
    )


def _header(inputs: ReportInputs) -> Html:
    recipe = inputs.recipe
    parts = [f"seed {recipe.seed}", recipe.encoder.arch]
    if recipe.variant:
        parts.insert(0, f"variant {recipe.variant}")
    if name := inputs.result.get("name"):
        parts.append(str(name))
    return element(
        "header",
        element("h1", _title(inputs)),
        element("p", " · ".join(parts), css="note"),
        headline(inputs),
    )


def _title(inputs: ReportInputs) -> str:
    recipe = inputs.recipe
    source = f"{recipe.source} → " if recipe.source else ""
    return f"{recipe.method} on {source}{recipe.dataset}"
