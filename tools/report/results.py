"""The result: before and after training, beside what was published."""

from collections.abc import Sequence
from typing import Any

from common.recipe import PaperResult
from tools.layout import MISSING, SCORES, gap, percent, points
from tools.report.inputs import ReportInputs
from tools.report.markup import Html, element, join, table


def headline(inputs: ReportInputs) -> Html:
    """The four or five numbers to remember; of the tests that which the paper's compares with."""
    result = inputs.result
    start, shown = result.get("start"), result.get(inputs.recipe.paper.compares)
    tiles = []
    for key in ("map", "rank1"):
        if shown:
            before = f"from {percent(start[key])} before training" if start else ""
            tiles.append(_tile(SCORES[key], percent(shown[key]), "%", before))
    if inputs.epochs:
        images, last = len(inputs.train), inputs.epochs[-1]
        tiles.append(_tile("clusters", f"{last['clusters']:,}", "", f"in {images:,} images"))
        share = f"{100 * last['outliers'] / max(images, 1):.0f} % of the images"
        tiles.append(_tile("outliers", f"{last['outliers']:,}", "", share))
    if seconds := _total_seconds(inputs):
        done = len(inputs.epochs)
        tiles.append(_tile("time", *duration(seconds), f"{done} epoch{'s' * (done != 1)}"))
    return element("div", *tiles, css="tiles")


def results(inputs: ReportInputs) -> Html:
    """One row per moment of the run, the published numbers, the difference, references."""
    result, paper = inputs.result, inputs.recipe.paper
    rows: list[Sequence[str]] = []
    for name, title in (
        ("start", "before training"),
        ("last", "last test"),
        ("best", "best test"),
    ):
        if found := result.get(name):
            epoch = found.get("epoch")
            after = "–" if epoch is None or epoch < 0 else str(epoch + 1)
            row = [title, *(_cell(percent(found.get(key))) for key in SCORES), after]
            rows.append(
                [element("strong", cell) for cell in row] if name == paper.compares else row
            )
    if not rows:
        missing = "This data set has no test part" if inputs.gallery is None else "No test was made"
        return element("p", f"{missing}, so there is nothing to compare.", css="note")
    published = {key: getattr(paper, key) for key in SCORES}
    if any(value is not None for value in published.values()):
        rows.append(["published", *(_cell(points(value)) for value in published.values()), ""])
        rows.append(_difference(result.get(paper.compares), paper))
    for other in result.get("references") or []:
        rows.append([str(other["name"]), *(_cell(percent(other.get(key))) for key in SCORES), ""])
    head = ["", *SCORES.values(), "after epoch"]
    caption = f"Results on {inputs.recipe.dataset}, in percent"
    return join([table(caption, head, rows, css="numbers"), _notes(inputs.recipe.paper)])


def duration(seconds: float) -> tuple[str, str]:
    """A length of time in the unit that suits it, as number and unit."""
    if seconds < 100:
        return f"{seconds:.0f}", "s"
    if seconds < 6000:
        return f"{seconds / 60:.0f}", "min"
    return f"{seconds / 3600:.1f}", "h"


def _difference(ours: dict[str, Any] | None, paper: PaperResult) -> list[str]:
    cells = [_cell(gap(ours[key] if ours else None, getattr(paper, key))) for key in SCORES]
    return [f"difference ({paper.compares} − published)", *cells, ""]


def _notes(paper: PaperResult) -> Html:
    notes = []
    if paper.map is not None:
        notes.append(f"Published numbers: {paper.source}.")
    if paper.settings:
        notes.append(f"Settings: {paper.settings}.")
    notes.append("The best test is chosen on the test set itself, as the released scripts do.")
    return element("p", " ".join(note.replace("..", ".") for note in notes), css="note")


def _tile(name: str, value: str, unit: str, below: str) -> Html:
    number = element("b", value, element("small", unit) if unit else Html(""))
    return element("div", element("span", name), number, element("span", below), css="tile-number")


def _total_seconds(inputs: ReportInputs) -> float:
    spent = inputs.result.get("seconds")
    if isinstance(spent, int | float):
        return float(spent)
    return sum(sum(event.get("seconds", {}).values()) for event in inputs.epochs)


def _cell(number: str) -> str:
    """A number with a dash and a minus as a printer sets them."""
    return "–" if number == MISSING else number.replace("-", "−")
