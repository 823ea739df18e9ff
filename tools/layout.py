"""Columns and rows as text: terminal table, Markdown, LaTeX, CSV; and JSON for programs."""

import csv
import io
import json
import math
import shlex
import sys
from collections.abc import Container, Sequence
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

Format = Literal["terminal", "markdown", "latex", "csv", "json"]
PLAIN_WIDTH = 160  # columns where the output is a file or a pipe
UNBOUNDED = 10_000  # columns, to ask how wide a table is
MISSING = "-"
SCORES = {"map": "mAP", "rank1": "rank-1", "rank5": "rank-5", "rank10": "rank-10"}


def terminal(*, errors: bool = False) -> Console:
    """The console on standard output, or on standard error."""
    shown = (sys.stderr if errors else sys.stdout).isatty()
    return Console(stderr=errors, highlight=False, width=None if shown else PLAIN_WIDTH)


def shell_command(*words: object) -> str:
    """A command of ours between backticks, quoted so that a shell reads names as they are."""
    return f"`{shlex.join(['tools', *map(str, words)])}`"


def say(out: Console, text: str, style: str = "") -> None:
    """A paragraph: wrapped on a terminal, one line elsewhere."""
    out.print(Text(text, style=style), soft_wrap=not out.is_terminal)


def rich_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    texts: Container[int] = (0,),
    title: str = "",
    styles: Sequence[str] | None = None,
) -> Table:
    """A table for the terminal; columns `texts` are aligned to the left, the others are numbers."""
    table = Table(
        title=escape(title) or None,
        title_justify="left",
        box=SIMPLE_HEAD,
        show_header=any(headers),
        pad_edge=False,
        collapse_padding=True,
    )
    for i, header in enumerate(headers):
        table.add_column(escape(header), justify="left" if i in texts else "right", overflow="fold")
    for i, row in enumerate(rows):
        table.add_row(*(Text(cell) for cell in row), style=styles[i] if styles else None)
    return table


def dict_table(rows: Sequence[dict[str, Any]], out: Console, title: str = "") -> Table:
    """Rows as a table with their keys as headers; turned where the terminal is too narrow."""
    headers = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[short(row.get(key)) for key in headers] for row in rows]
    words = [i for i, key in enumerate(headers) if any(_wordy(row.get(key)) for row in rows)]
    upright = rich_table(headers, cells, texts=words, title=title)
    first, *others = zip(headers, *cells, strict=True)
    turned = rich_table(first, others, texts=(0,), title=title)
    return min(upright, turned, key=lambda table: max(_least_width(table, out), out.width))


def _least_width(table: Table, out: Console) -> int:
    """Characters of a line in which no number and no word is broken."""
    return out.measure(table, options=out.options.update(max_width=UNBOUNDED)).minimum


def facts_table(facts: dict[str, Any]) -> Table:
    """One line for each entry."""
    return rich_table(("", ""), [[key, short(value)] for key, value in facts.items()], texts=(0, 1))


def _wordy(value: Any) -> bool:
    return isinstance(value, str | dict | list | tuple)


def markdown(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, texts: Container[int] = (0,)
) -> str:
    """A Markdown table, aligned like `rich_table`."""
    rule = ["---" if i in texts else "---:" for i in range(len(headers))]
    lines = [headers, rule, *rows]
    return "\n".join(
        "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines
    )


def latex(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, texts: Container[int] = (0,)
) -> str:
    """A LaTeX tabular with the rules of package booktabs, aligned like `rich_table`."""
    spec = "".join("l" if i in texts else "r" for i in range(len(headers)))
    body = [" & ".join(map(_escaped, line)) + r" \\" for line in (headers, *rows)]
    body.insert(1, r"\midrule")
    lines = [rf"\begin{{tabular}}{{{spec}}}", r"\toprule", *body, r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines)


def comma_separated(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """CSV with a header line."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([headers, *rows])
    return file.getvalue().rstrip("\n")


def json_text(value: Any) -> str:
    """Strict JSON in ASCII, which every output takes: a number that is not finite becomes null."""
    return json.dumps(_finite(value), indent=2, default=str, allow_nan=False)


def percent(fraction: float | None) -> str:
    """0.8423 to 84.2; a dash for None."""
    return MISSING if fraction is None else points(100 * fraction)


def points(percent: float | None) -> str:
    """84.23 to 84.2; a dash for None."""
    return MISSING if percent is None else f"{percent:.1f}"


def gap(ours: float | None, paper: float | None) -> str:
    """Our fraction minus a published percentage, e.g. +0.3; a dash where either is missing."""
    return MISSING if ours is None or paper is None else f"{100 * ours - paper:+.1f}"


def duration(seconds: float) -> str:
    """8.4 s, 3 min 20 s, 2 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def short(value: Any) -> str:
    """A value in few characters: 4 significant digits, a dash for None."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple | list):
        return ", ".join(map(short, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {short(item)}" for key, item in value.items())
    return str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


LATEX_SPECIALS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "|": r"\textbar{}",  # these are other characters in LaTeX's usual fonts, or active ones
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': "''",
    **{character: "\\" + character for character in "&%$#_{}"},
}


def _escaped(text: str) -> str:
    return "".join(LATEX_SPECIALS.get(character, character) for character in text)
