"""The results table as text in several formats."""

from collections.abc import Sequence
from typing import Any, Literal

from rich.table import Table

from tools.layout import (
    MISSING,
    SCORES,
    comma_separated,
    duration,
    latex,
    markdown,
    points,
    rich_table,
)

SHORT = {score: title.replace("rank-", "R") for score, title in SCORES.items()}
NAMES = ("method", "data set", "variant")
FACTS = ("clusters", "seeds", "time", "devices", "cameras", "BN", "code", "remarks")
SOURCE = "source of the published numbers"
WORDS = ("run", *NAMES, "devices", "cameras", "code", "remarks", SOURCE)
LEFT_OUT = (  # in this order until the terminal is wide enough, by the header's first word
    *("code", "cameras", "start", "devices"),
    "remarks",  # moves below the names, like the seeds
    *("time", "clusters", "BN", "seeds", "ours"),
)
# Characters at least: the longest name of a method fits into a line, and most settings do.
WORD_WIDTH, REMARKS_WIDTH = 15, 24
Rows = Sequence[dict[str, Any]]


def as_text(rows: Rows, style: Literal["markdown", "latex", "csv"]) -> str:
    """The table in a format for files: all scores, and the source of the published numbers."""
    if style == "csv":
        return as_csv(rows)
    headers, cells = table_cells(rows, tuple(SCORES))
    sources = [row["paper"]["source"] if row["paper"] else MISSING for row in rows]
    lines = [[*line, source] for line, source in zip(cells, sources, strict=True)]
    write = markdown if style == "markdown" else latex
    return write([*headers, SOURCE], lines, texts=_words([*headers, SOURCE]))


def as_terminal(rows: Rows, width: int) -> Table:
    """Ours with mAP above rank-1; what was not run is dimmed; facts as far as there is room."""
    headers, cells = table_cells(rows, ("map", "rank1"))
    lines = [dict(zip(headers, line, strict=True)) for line in cells]
    for count in range(len(LEFT_OUT) + 1):
        left_out = LEFT_OUT[:count]
        titles = [h for h in headers if h not in NAMES and h.split()[0] not in left_out]
        shown = [_fitted(line, titles, left_out) for line in lines]
        titles = ["run", *(title.replace(" ", "\n", 1) for title in titles)]
        if _width([titles, *shown]) <= width:
            break
    wide = "run" if "remarks" in left_out else "remarks"
    styles = ["" if row["status"] == "finished" else "dim" for row in rows]
    table = rich_table(titles, shown, texts=_words(titles), styles=styles)
    _share_width(table, [titles, *shown], wide, width)
    return table


def _share_width(table: Table, lines: Sequence[Sequence[str]], wide: str, width: int) -> None:
    """Numbers in full; words at their narrowest, and what is left shared among them.

    Left to itself, rich narrows words below their least width, and cuts what no longer fits.
    """
    words = []
    for column, title, *cells in zip(table.columns, *lines, strict=True):
        if column.justify == "right":
            column.no_wrap = True
        else:
            least = REMARKS_WIDTH if title == wide else WORD_WIDTH
            words.append((_longest([title, *cells]) - least, least, column))
    room = width - _width(lines)
    for i, (wanted, least, column) in enumerate(sorted(words, key=lambda word: word[0])):
        more = max(0, min(wanted, room // (len(words) - i)))
        column.width, room = least + more, room - more


def _fitted(line: dict[str, str], titles: Sequence[str], left_out: Sequence[str]) -> list[str]:
    """A row's cells: its names, with remarks and seeds below where these have no column."""
    names = [" ".join(line[name] for name in NAMES).removesuffix(f" {MISSING}")]
    narrow = "remarks" in left_out
    if "seeds" in left_out and line["seeds"] != MISSING:
        names.append(f"seed {line['seeds']}")
    if narrow and line["remarks"] != MISSING:
        names += line["remarks"].split("; ")
    return ["\n".join(names), *(_stacked(line[title], always=narrow) for title in titles)]


def _width(lines: Sequence[Sequence[str]]) -> int:
    """Characters that a table needs in a line: numbers in full, words at their narrowest."""
    total = REMARKS_WIDTH - WORD_WIDTH
    for title, *cells in zip(*lines, strict=True):
        total += WORD_WIDTH if title in WORDS else _longest([title, *cells])
    return total + 2 * len(lines[0])


def _longest(cells: Sequence[str]) -> int:
    return max(len(line) for cell in cells for line in cell.split("\n"))


def _words(headers: Sequence[str]) -> list[int]:
    """Columns of texts, not numbers."""
    return [i for i, header in enumerate(headers) if header in WORDS]


def _stacked(scores: str, always: bool) -> str:
    """Scores one above the other; those without a spread stay in a line where there is room."""
    return scores.replace(" / ", "\n") if always or "±" in scores else scores


def table_cells(rows: Rows, scores: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Headers and cells; scores stand together as "84.2 / 93.4", in percent."""
    which = " / ".join(SHORT[score] for score in scores)
    scored = [f"{name} {which}" for name in ("paper", "start", "best", "last")]
    headers = [*NAMES, *scored, "ours - paper"]
    several = _differ_in_images(rows)
    cells = [
        [
            *_names(row),
            _paper(row["paper"], scores),
            *(_ours(row[which], scores) for which in ("start", "best", "last")),
            _gap(row["difference"], scores),
            *_facts(row, tell_images=_shown_data(row) in several),
        ]
        for row in rows
    ]
    return [*headers, *FACTS], cells


def as_csv(rows: Rows) -> str:
    """One number per column."""
    flat = [_flat(row) for row in rows]
    return comma_separated(list(flat[0]) if flat else [], [list(line.values()) for line in flat])


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    paper, line = row["paper"] or {}, {}
    names = ("method", "dataset", "version", "source", "source_version", "variant", "status")
    for name in names:
        line[name] = row[name]
    for score in SCORES:
        line[f"paper_{score}"] = paper.get(score)
        for which in ("start", "best", "last"):
            for part in ("mean", "spread"):
                line[f"{which}_{score}_{part}"] = row[which][score][part] if row[which] else None
        line[f"difference_{score}"] = row["difference"][score] if row["difference"] else None
    facts = ("curve", "clusters", "hours", "devices", "cameras", "bn_chunks")
    line |= {name: row[name] for name in facts}
    line |= {"seeds": " ".join(map(str, row["seeds"])), "changes": " ".join(row["changes"])}
    line |= {"counts": " ".join(row["counts"])}
    line |= {"precision": row["precision"], "code": row["code"], "runs": " ".join(row["runs"])}
    line |= {name: row[name] for name in ("images", "source_images")}
    line |= {"paper_source": paper.get("source"), "compares": paper.get("compares")}
    return line


def _names(row: dict[str, Any]) -> list[str]:
    return [row["method"], _shown_data(row), row["variant"] or MISSING]


def _shown_data(row: dict[str, Any]) -> str:
    """E.g. "market1501 from msmt17 V2"."""
    target = f"{row['dataset']} {row['version']}".rstrip()
    source = f"{row['source']} {row['source_version']}".strip()
    return f"{target} from {source}" if source else target


def _differ_in_images(rows: Rows) -> set[str]:
    """Names of data under which the rows saw more than one set of images."""
    found: dict[str, set[Any]] = {}
    for row in rows:
        if row["images"]:
            found.setdefault(_shown_data(row), set()).add(_images(row))
    return {name for name, images in found.items() if len(images) > 1}


def _images(row: dict[str, Any]) -> tuple[str, str]:
    return row["images"], row["source_images"]


def _paper(paper: dict[str, Any] | None, scores: Sequence[str]) -> str:
    if paper is None or paper["map"] is None:
        return MISSING
    return " / ".join(points(paper[score]) for score in scores)


def _ours(found: dict[str, Any] | None, scores: Sequence[str]) -> str:
    return " / ".join(_spread(found[score]) for score in scores) if found else MISSING


def _spread(value: dict[str, Any]) -> str:
    spread = f" ± {points(value['spread'])}" if value["spread"] is not None else ""
    return f"{points(value['mean'])}{spread}"


def _gap(difference: dict[str, Any] | None, scores: Sequence[str]) -> str:
    known = difference and any(value is not None for value in difference.values())
    if not known or difference is None:
        return MISSING
    gaps = (difference[score] for score in scores)
    return " / ".join(f"{gap:+.1f}" if gap is not None else MISSING for gap in gaps)


def _facts(row: dict[str, Any], *, tell_images: bool) -> list[str]:
    finished = row["status"] == "finished"
    remarks = [] if finished else [row["status"]]
    if finished and row["paper"] and row["paper"]["map"] is not None:
        remarks.append(f"paper: {row['paper']['compares']}")
    if row["curve"] is not None:
        remarks.append(f"clusters {100 * row['curve']:.0f} % off the authors' log")
    if row["counts"]:
        remarks.append("data not as published")
    remarks += row["changes"]
    if tell_images and row["images"]:
        remarks.append(f"images {' from '.join(filter(None, _images(row)))}")
    remarks += [f"precision {row['precision']}"] if row["precision"] != "exact" else []
    return [
        f"{row['clusters']:,.0f}" if finished else MISSING,
        " ".join(map(str, row["seeds"])) or MISSING,
        duration(3600 * row["hours"]) if finished else MISSING,
        row["devices"] or MISSING,
        row["cameras"] or MISSING,
        str(row["bn_chunks"]) if row["bn_chunks"] else MISSING,
        row["code"] or MISSING,
        "; ".join(remarks) or MISSING,
    ]
