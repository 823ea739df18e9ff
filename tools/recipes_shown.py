"""Recipes as a reader sees them: settings as rows, recipes as columns, differences marked."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from tools.layout import MISSING, rich_table, say, short

MARK = "*"
GAP = 3  # columns between two columns of a table


def show_overview(out: Console, methods: Sequence[dict[str, Any]]) -> None:
    """A block per method: paper, and the runs with the published mAP."""
    for method in methods:
        arxiv = f"  arXiv:{method['arxiv']}" if method["arxiv"] else ""
        say(out, f"{method['method']}{arxiv}", "bold")
        say(out, f"  {method['title']}")
        for dataset in dict.fromkeys(recipe["dataset"] for recipe in method["recipes"]):
            runs = [r for r in method["recipes"] if r["dataset"] == dataset]
            say(out, f"  {dataset:<14}{', '.join(map(_run, runs))}")
    say(out, "\nIn brackets: published mAP in percent. `tools recipes METHOD` shows the settings.")


def show_recipes(out: Console, found: dict[str, Any], *, meanings: bool) -> None:
    """The settings, in as many tables as the width asks for; the first has all rows."""
    say(out, f"{found['method']}: {found['title']}", "bold")
    recipes, marked = found["recipes"], set(found["differs"])
    columns = [[_header(recipe), *_values(recipe, found)] for recipe in recipes]
    names = [f"{MARK if name in marked else ' '} {name}" for name in setting_names(recipes)]
    names += ["  paper: mAP", "  paper: rank-1"]
    width = max(map(len, names))
    for number, block in enumerate(blocks(columns, out.width - width)):
        rows = [[name, *(c[i + 1] for c in block)] for i, name in enumerate(names)]
        if number:
            rows = [row for row in rows if not row[0].startswith("  ") or "paper" in row[0]]
        styles = ["bold yellow" if row[0].startswith(MARK) else "" for row in rows]
        headers = [f"{MARK} differs" if marked else "setting", *(c[0] for c in block)]
        out.print(rich_table(headers, rows, styles=styles))
    _sources(out, recipes)
    if meanings:
        notes = [[name, found["meanings"].get(name, "")] for name in setting_names(recipes)]
        out.print(rich_table(["setting", "meaning"], [n for n in notes if n[1]], texts=(0, 1)))
    elif len(recipes) > 1:
        say(out, f"`tools recipes {found['method']} DATASET` explains each setting.")


def setting_names(recipes: Sequence[dict[str, Any]]) -> list[str]:
    """All settings of the recipes, each once, group by group."""
    names = list(dict.fromkeys(name for recipe in recipes for name in recipe["settings"]))
    groups = list(dict.fromkeys(name.split(".")[0] for name in names))
    return sorted(names, key=lambda name: groups.index(name.split(".")[0]))


def blocks(columns: Sequence[list[str]], width: int) -> list[list[list[str]]]:
    """Columns in groups that fit the width; at least one column in each."""
    groups: list[list[list[str]]] = [[]]
    used = 0
    for column in columns:
        need = GAP + max(len(line) for cell in column for line in cell.split("\n"))
        if groups[-1] and used + need > width:
            groups.append([])
            used = 0
        groups[-1].append(column)
        used += need
    return groups


def _values(recipe: dict[str, Any], found: dict[str, Any]) -> list[str]:
    settings, paper = recipe["settings"], recipe["paper"]
    cells = [
        short(settings[name]) or MISSING if name in settings else MISSING
        for name in setting_names(found["recipes"])
    ]
    return [*cells, short(paper["map"]), short(paper["rank1"])]


def _header(recipe: dict[str, Any]) -> str:
    source = f"\nfrom {recipe['source']}" if recipe["source"] else ""
    return f"{recipe['dataset']}{source}" + (f"\n{recipe['variant']}" if recipe["variant"] else "")


def _run(recipe: dict[str, Any]) -> str:
    way = [f"from {recipe['source']}"] if recipe["source"] else []
    way += [recipe["variant"]] if recipe["variant"] else []
    score = recipe["paper"]["map"]
    return (" ".join(way) or "plain") + (f" ({score})" if score is not None else "")


def _sources(out: Console, recipes: Sequence[dict[str, Any]]) -> None:
    """Where settings and results come from, each source once with the runs it covers."""
    for key, what in (("settings", "settings"), ("source", "published numbers")):
        covered: dict[str, list[str]] = {}
        for recipe in recipes:
            run = _header(recipe).replace("\n", " ")
            covered.setdefault(recipe["paper"][key] or "defaults", []).append(run)
        for source, runs in covered.items():
            said = "" if len(covered) == 1 else f" ({', '.join(runs)})"
            say(out, f"{what}: {source}{said}")
