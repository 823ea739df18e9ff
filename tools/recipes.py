"""`tools recipes`: the settings of the published runs, side by side."""

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Sequence
from typing import Any

from common.recipe import NAMES, Recipe
from common.recipe_text import to_plain
from methods import METHODS
from tools.lookup import paper_recipe, spec_of


def overview() -> list[dict[str, Any]]:
    """All methods with their papers and the runs that have a recipe."""
    return [
        {
            "method": spec.name,
            "title": spec.title,
            "arxiv": spec.arxiv,
            "recipes": [_identity(recipe) for recipe in spec.recipes],
        }
        for spec in METHODS.values()
    ]


def side_by_side(method: str, dataset: str | None = None) -> dict[str, Any]:
    """The recipes of a method, of one data set or of all.

    Returns:
        {"method", "title", "arxiv", "recipes", "differs", "meanings"}. Each recipe holds its
        names, `settings` by dotted name as `--set` takes them, and `paper`: the published
        numbers in percent, where they stand (`source`) and where the settings come from
        (`settings`). `differs` lists the settings in which the recipes differ.

    Raises:
        UserError: unknown method, or no recipe for that data set.
    """
    spec = spec_of(method)
    chosen = [r for r in spec.recipes if dataset is None or r.dataset == dataset]
    if not chosen:
        paper_recipe(method, str(dataset))  # raises, and names those that there are
    columns = [settings_of(recipe) for recipe in chosen]
    names = list(dict.fromkeys(name for column in columns for name in column))
    return {
        "method": spec.name,
        "title": spec.title,
        "arxiv": spec.arxiv,
        "recipes": [
            {**_identity(recipe), "settings": column}
            for recipe, column in zip(chosen, columns, strict=True)
        ],
        "differs": [name for name in names if differs(columns, name)],
        "meanings": _meanings(chosen),
    }


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """Dotted names to values, with the kind of clustering and schedule where there is a choice."""
    return {
        name: value
        for name, value, *_ in _walk(recipe)
        if name not in NAMES and not name.startswith("paper.")
    }


def differs(columns: Sequence[dict[str, Any]], name: str) -> bool:
    """Whether a setting has more than one value, or some recipes lack it."""
    values = [column.get(name) for column in columns]
    return any(value != values[0] for value in values)


def _walk(owner: Any, prefix: str = "") -> typing.Iterator[tuple[str, Any, str, str]]:
    """(dotted name, value, kind whose it is, meaning) of all settings, in order of declaration."""
    notes, whose = field_notes(type(owner)), type(owner).__name__
    hints = typing.get_type_hints(type(owner))
    for field in dataclasses.fields(owner):
        name, value = prefix + field.name, getattr(owner, field.name)
        if not dataclasses.is_dataclass(value):
            yield name, value, whose, notes.get(field.name, "")
            continue
        if typing.get_origin(hints[field.name]) in (types.UnionType, typing.Union):
            kind = type(value).__name__
            yield name, kind, kind, _first_sentence(type(value))
        for inner, inner_value, kind, meaning in _walk(value, f"{name}."):
            yield inner, inner_value, kind, meaning or notes.get(field.name, "")


def field_notes(kind: type) -> dict[str, str]:
    """What the `Args` section of a dataclass's docstring says about each field."""
    section = (inspect.getdoc(kind) or "").partition("Args:\n")[2].partition("\n\n")[0]
    entries = re.split(r"\n(?= {4}\S)", "\n" + section)
    notes: dict[str, str] = {}
    for entry in entries:
        names, colon, text = entry.strip().partition(":")
        if colon:
            note = re.sub(r"\s+", " ", text).strip()
            notes |= {name.strip(): note for name in names.split(",")}
    return notes


def _meanings(chosen: Sequence[Recipe]) -> dict[str, str]:
    """By name; where kinds of clustering or schedule mean different things by it, that of each."""
    found: dict[str, dict[str, str]] = {}
    for recipe in chosen:
        for name, _, kind, note in _walk(recipe):
            if note:
                found.setdefault(name, {}).setdefault(note, kind)
    return {name: _of_each(notes) for name, notes in found.items()}


def _of_each(notes: dict[str, str]) -> str:
    """A meaning, or several, each after the kind whose it is."""
    if len(notes) == 1:
        return next(iter(notes))
    return " ".join(f"{kind}: {note.rstrip('.')}." for note, kind in notes.items())


def _first_sentence(kind: type) -> str:
    return (inspect.getdoc(kind) or "").partition("\n")[0].rstrip(".")


def _identity(recipe: Recipe) -> dict[str, Any]:
    plain = to_plain(recipe.paper)
    del plain["kind"]
    return {**{name: getattr(recipe, name) for name in NAMES[1:]}, "paper": plain}
