"""What decides the result: settings, environment, warnings."""

import re
from collections.abc import Iterable
from typing import Any

from common.errors import shortened
from common.recipe import NAMES, Recipe
from tools.recipes import settings_of
from tools.report.inputs import ReportInputs
from tools.report.markup import Html, element, join, table

Rows = list[tuple[str, Any]]


def settings(inputs: ReportInputs) -> Html:
    """The recipe, one small table per group; what the user changed is marked."""
    changed = {text.partition("=")[0] for text in inputs.environment.get("changes") or []}
    groups = grouped(inputs.recipe)
    tables = [
        table(
            title,
            [],
            [[name.removeprefix(prefix), _value(value, name in changed)] for name, value in rows],
            css="settings",
        )
        for title, prefix, rows in groups
    ]
    note = "Names are those of --set."
    if changed:
        note += " Marked values were changed from the recipe."
    return join([element("p", note, css="note"), element("div", *tables, css="columns")])


def grouped(recipe: Recipe) -> list[tuple[str, str, Rows]]:
    """Title, prefix of the names, and (full name, value) of each group of settings."""
    named = {name: getattr(recipe, name) for name in NAMES} | settings_of(recipe)
    groups: dict[str, Rows] = {}
    for name, value in named.items():
        group, dot, _ = name.partition(".")
        groups.setdefault(group if dot else "", []).append((name, value))
    single = [(name, value) for name, value in groups.pop("") if name not in groups]
    several = [  # a group's own name stands for its form where there is a choice of forms
        (f"{group}: {named[group]}" if group in named else group, f"{group}.", rows)
        for group, rows in groups.items()
    ]
    return [("run", "", single), *several]


def environment(inputs: ReportInputs) -> Html:
    """Versions, devices, data: whatever the run recorded."""
    hidden = ("changes", "deviations", "resumptions")
    kept = {key: value for key, value in inputs.environment.items() if key not in hidden}
    single = [(key, value) for key, value in kept.items() if not isinstance(value, dict)]
    tables = (
        [table("run", [], [[k, _text(v)] for k, v in single], css="settings")] if single else []
    )
    for key, value in kept.items():
        if isinstance(value, dict) and value:
            rows = [[name, _text(found)] for name, found in _flat(value)]
            tables.append(table(key, [], rows, css="settings"))
    return element("div", *tables, css="columns") if tables else Html("")


def remarks(inputs: ReportInputs) -> Html:
    """Deviations from the recipe, resumptions elsewhere, epochs still to come, and warnings."""
    texts = [str(text) for text in inputs.environment.get("deviations") or []]
    for again in inputs.environment.get("resumptions") or []:
        texts += [f"resumed after changes: {'; '.join(again['changed'])}."] * bool(again["changed"])
        texts += [text for text in again.get("deviations", []) if text not in texts]
    done = inputs.epochs[-1]["epoch"] + 1 if inputs.epochs else 0
    if done < inputs.recipe.epochs:
        texts.append(f"{done} of {inputs.recipe.epochs} epochs are done.")
    texts += _folded(inputs.warnings)
    return (
        element(
            "ul", *(element("li", text[:1].upper() + text[1:]) for text in texts), css="remarks"
        )
        if texts
        else Html("")
    )


def _folded(warnings: Iterable[str]) -> list[str]:
    """Of warnings that differ in numbers alone, such as an epoch's, the last and a count."""
    alike: dict[str, list[str]] = {}
    for text in dict.fromkeys(warnings):
        alike.setdefault(re.sub(r"[\d,.]*\d", "0", text), []).append(text)
    return [
        texts[-1] + (f" (The last of {len(texts)} such warnings.)" if len(texts) > 1 else "")
        for texts in alike.values()
    ]


def _value(value: Any, changed: bool) -> Html:
    text = element("span", _text(value))
    return join([element("mark", _text(value)), Html(" changed")]) if changed else text


def _text(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return shortened(map(_text, value)) or "–"  # images that were left out may be many
    return str(value)


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key} ")
        else:
            rows.append((f"{prefix}{key}", value))
    return rows
