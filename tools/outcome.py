"""What a run has come to, as lines and tables for a reader."""

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

from rich.table import Table

from common.errors import UserError
from tools.layout import MISSING, SCORES, gap, percent, points, rich_table
from tools.sweep import parts_of

HEADERS = ("", *SCORES.values())
LABELLED = ("clusters", "outliers")  # of every epoch of a result
TOLD_APART = ("event", "epoch", "epochs", "losses", "clusters", "outliers", "seconds", "remaining")
"""Keys of an epoch's event; the others are numbers of the clustering and the method, and lr."""


def result_table(result: dict[str, Any]) -> Table | None:
    """Our scores beside the paper's, in percent; None where nothing was tested."""
    if not result["last"]:
        return None
    rows = [_line(row["name"], row) for row in result["references"]]
    rows.append(_line("before training", result["start"]))
    rows.append(_line(f"last test (epoch {result['last']['epoch'] + 1})", result["last"]))
    if result["best"]:
        rows.append(_line(f"best test (epoch {result['best']['epoch'] + 1})", result["best"]))
    paper = result["paper"]
    if paper["map"] is not None:
        rows.append([f"paper ({paper['compares']})", *(points(paper[k]) for k in SCORES)])
        ours = result[paper["compares"]] or result["last"]
        rows.append(["ours - paper", *(gap(ours[key], paper[key]) for key in SCORES)])
    return rich_table(HEADERS, rows, title=run_title(result))


def runs_table(results: Sequence[dict[str, Any]], seeds: int, sweep: str = "") -> Table:
    """Scores of several runs in percent: a pair of rows for each value of the swept setting.

    Of runs without a test the clusters and outliers of the last epoch, in a row for each value.

    Args:
        results: the `seeds` runs of the first value, then those of the next one; of those that
            stopped the number alone is shown.
        seeds: runs of each value; of several, mean and standard deviation are shown.
        sweep: the option's text, "NAME=V1,V2"; "" without one.
    """
    name, values = parts_of(sweep)
    tested = any(result.get("last") for result in results)
    rows = []
    for place, value in enumerate(values):
        every = results[place * seeds : (place + 1) * seeds]
        runs = [result for result in every if "stopped" not in result]
        if len(runs) < len(every):
            rows.append([f"{value} {len(every) - len(runs)} of {len(every)} stopped".strip()])
        if runs and not tested:
            last = [[result[key][-1] for result in runs] for key in LABELLED]
            rows.append([value, *(_spread(numbers, "{:.0f}") for numbers in last)])
            continue
        for which in ("last", "best"):
            scores = [result[which] for result in runs if result[which]]
            if scores:
                cells = [_spread([100 * s[key] for s in scores], "{:.1f}") for key in SCORES]
                rows.append([f"{value} {which} test".strip(), *cells])
    said = [name] if name else []
    said += [f"{seeds} seeds: mean ± standard deviation"] if seeds > 1 else []
    return rich_table(HEADERS if tested else ("", *LABELLED), rows, title=", ".join(said))


def require_none_stopped(results: Sequence[dict[str, Any]]) -> None:
    """Let a command fail, at its end, of whose runs some could not go on.

    Raises:
        UserError: with their number.
    """
    stopped = sum("stopped" in result for result in results)
    if stopped:
        raise UserError(
            f"{stopped} of {len(results)} runs stopped before their end: the warnings above say "
            "where, why, and what to try."
        )


def test_table(results: Sequence[dict[str, Any]]) -> Table:
    """Scores of given weights, a row per data set."""
    rows = [_line(f"{result['dataset']}{_ways(result)}", result) for result in results]
    return rich_table(HEADERS, rows, title=f"{results[0]['method']}: {results[0]['weights']}")


def _ways(result: dict[str, Any]) -> str:
    """What else decides a test's scores: " (V1, re-ranked, the source's batch norm)"."""
    version = result["data"]["version"]
    said = [version] if version else []
    said += ["re-ranked"] if result["rerank"] else []
    said += ["the source's batch norm"] if result["domain"] == "source" else []
    return f" ({', '.join(said)})" if said else ""


def run_title(result: dict[str, Any]) -> str:
    """E.g. "hhcl on market1501 (ibn), seed 1"."""
    source = f" from {result['source']}" if result["source"] else ""
    variant = f" ({result['variant']})" if result["variant"] else ""
    return f"{result['method']} on {result['dataset']}{source}{variant}, seed {result['seed']}"


def recipe_lines(event: dict[str, Any]) -> list[tuple[str, str]]:
    """An announced recipe as (group, values): a line for each group of settings, then origin."""
    groups: dict[str, list[str]] = {}
    for name, value in event["settings"].items():
        if name.startswith("paper."):
            continue
        group, dot, inner = name.partition(".")
        text = f"{(inner or name).removesuffix('.value')} {value or '-'}"
        groups.setdefault(group if dot else "run", []).append(text)
    lines = [(group, ", ".join(values)) for group, values in groups.items()]
    return [*lines, ("origin", _origin(event["settings"]))]


def _origin(settings: dict[str, str]) -> str:
    """Where a recipe's settings come from, which may be a guess, and what was published for it."""
    origin, source = settings["paper.settings"] or "defaults", settings["paper.source"]
    if settings["paper.map"] == "None":
        return origin
    scores = " / ".join(settings[f"paper.{key}"] for key in SCORES)
    return f"{origin}; published: {scores.replace('None', MISSING)} ({source})"


def _line(name: str, scores: dict[str, Any] | None) -> list[str]:
    return [name, *(percent((scores or {}).get(key)) for key in SCORES)]


def _spread(values: list[float], form: str) -> str:
    """The value of a single run; mean and deviation of several."""
    if len(values) == 1:
        return form.format(values[0])
    return f"{form.format(mean(values))} ± {form.format(stdev(values))}"
