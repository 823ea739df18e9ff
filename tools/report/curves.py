"""The course of the run: one small chart per quantity, and the numbers behind them."""

from collections.abc import Sequence
from dataclasses import replace

from common.run import Event
from tools.outcome import TOLD_APART
from tools.report.figures import Line, line_chart, stacked_chart
from tools.report.inputs import ReportInputs
from tools.report.markup import Html, element, join, table

MOST_ROWS = 400  # of the table of all numbers


def course(inputs: ReportInputs) -> Html:
    """Charts of everything that was logged; a quantity that never changed becomes a sentence.

    What the authors' log holds is drawn beside the run's, by the same name.
    """
    epochs = inputs.epochs
    if not epochs:
        return element("p", "No epoch was completed.", css="note")
    reference = inputs.result.get("reference_curve") or {}
    charts = _loss_charts(epochs, reference)
    for title, key in (("mAP, %", "map"), ("Rank-1, %", "rank1")):
        if lines := _scores(inputs, key, reference):
            charts.append(line_chart(title, lines))
    for title, key in (("Clusters", "clusters"), ("Outliers", "outliers")):
        own = _values(epochs, key, "this run")
        charts.append(line_chart(title, [own, *_reference(reference, key)]))
    watched = {name: _values(epochs, name, "this run") for name in _watched(epochs)}
    charts += [
        line_chart(_title(name).capitalize(), [own, *_reference(reference, name)])
        for name, own in watched.items()
        if _moves(own) or name in reference
    ]
    if parts := _seconds(epochs):
        charts.append(stacked_chart("Seconds per epoch", parts))
    constant = [
        f"{_title(name)} {own.y[0]:.4g}" for name, own in watched.items() if not _moves(own)
    ]
    note = f"The same in every epoch: {', '.join(constant)}." if constant else ""
    return join(
        [
            element("div", *charts, css="charts"),
            element("p", note, css="note") if note else Html(""),
            _numbers(inputs),
        ]
    )


def _loss_charts(epochs: Sequence[Event], reference: dict) -> list[Html]:
    """One chart, or one for each loss where the authors' log holds them: two grey lines in one
    chart could not be told apart."""
    lines = _losses(epochs)
    if not any(line.name in reference for line in lines):
        return [line_chart("Loss", lines)]
    return [
        line_chart(
            f"Loss: {line.name}",
            [replace(line, name="this run"), *_reference(reference, line.name)],
        )
        for line in lines
    ]


def _losses(epochs: Sequence[Event]) -> list[Line]:
    names = list(dict.fromkeys(name for event in epochs for name in event["losses"]))
    lines = []
    for name in names:
        logged = [event for event in epochs if name in event["losses"]]
        y = [event["losses"][name] for event in logged]
        lines.append(Line(name, [event["epoch"] + 1 for event in logged], y))
    return lines


def _scores(inputs: ReportInputs, key: str, reference: dict) -> list[Line]:
    lines = [
        Line(network, [event["epoch"] + 1 for event in tests], [100 * t[key] for t in tests])
        for network, tests in inputs.tests.items()
    ]
    return lines + _reference(reference, key, scale=100) if lines else []


def _reference(reference: dict, key: str, scale: float = 1) -> list[Line]:
    points = reference.get(key) or []
    if not points:
        return []
    x, y = zip(*points, strict=True)
    return [
        Line("authors' log", [e + 1 for e in x], [scale * value for value in y], reference=True)
    ]


def _watched(epochs: Sequence[Event]) -> list[str]:
    """Numbers of the clustering and the method: eps, lr, temperature, whatever was logged."""
    return list(
        dict.fromkeys(
            name
            for event in epochs
            for name, value in event.items()
            if name not in TOLD_APART and isinstance(value, int | float)
        )
    )


def _values(epochs: Sequence[Event], key: str, name: str) -> Line:
    logged = [event for event in epochs if key in event]
    return Line(name, [event["epoch"] + 1 for event in logged], [event[key] for event in logged])


def _moves(line: Line) -> bool:
    return len(set(line.y)) > 1


def _seconds(epochs: Sequence[Event]) -> list[Line]:
    names = list(dict.fromkeys(name for event in epochs for name in event.get("seconds", {})))
    x = [event["epoch"] + 1 for event in epochs]
    return [Line(n, x, [e.get("seconds", {}).get(n, 0.0) for e in epochs]) for n in names]


def _title(name: str) -> str:
    return {"lr": "learning rate"}.get(name, name.replace("_", " "))


def _numbers(inputs: ReportInputs) -> Html:
    """Every epoch as a row, folded away."""
    epochs = inputs.epochs[-MOST_ROWS:]
    losses = [line.name for line in _losses(epochs)]
    moving = [n for n in _watched(epochs) if _moves(_values(epochs, n, n))]
    networks = inputs.tests
    scores = {name: {e["epoch"]: e for e in tests} for name, tests in networks.items()}
    head = ["epoch", *losses, "clusters", "outliers", *map(_title, moving), "seconds"]
    for name in networks:
        head += [f"mAP {name}", f"rank-1 {name}"]
    rows = []
    for event in epochs:
        row = [str(event["epoch"] + 1)]
        row += [_number(event["losses"].get(name), "#.4g") for name in losses]
        row += [str(event["clusters"]), str(event["outliers"])]
        row += [_number(event.get(name), ".4g") for name in moving]
        row.append(f"{sum(event.get('seconds', {}).values()):.1f}")
        for name in networks:
            found = scores[name].get(event["epoch"])
            row += [f"{100 * found[key]:.1f}" if found else "" for key in ("map", "rank1")]
        rows.append(row)
    summary = element("summary", "All numbers")
    return element("details", summary, table("One row per epoch", head, rows, css="numbers"))


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
