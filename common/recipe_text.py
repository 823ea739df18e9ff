"""A recipe as text: stored as JSON, named by dotted names, changed by `NAME=VALUE`.

A change is read as the type of the value it replaces; an unknown name is an error that suggests
the nearest one.
"""

import ast
import contextlib
import dataclasses
import json
import typing
from pathlib import Path
from typing import Any, Literal

from common.errors import UserError, did_you_mean
from common.recipe import DESCRIPTION, EncoderSettings, Recipe
from common.schedules import Constant


def to_plain(value: Any) -> Any:
    """Dataclasses to dicts with their class name under "kind", tuples to lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"kind": type(value).__name__, **fields}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return value


def from_plain(hint: Any, value: Any) -> Any:
    """Inverse of `to_plain` for a value whose declared type is `hint`.

    Raises:
        UserError: a kind of setting that the type does not admit, or a value out of range.
        TypeError: a value of another type.
    """
    if isinstance(value, dict) and "kind" in value:
        kind = next((c for c in _classes(hint) if c.__name__ == value["kind"]), None)
        if kind is None:
            raise UserError(f"unknown kind of setting {value['kind']!r} in the stored recipe.")
        hints = typing.get_type_hints(kind)
        known = {f.name for f in dataclasses.fields(kind)}
        fields = {name: from_plain(hints[name], v) for name, v in value.items() if name in known}
        return kind(**fields)
    return _checked(value, hint)


def to_json(recipe: Recipe) -> str:
    """The recipe as readable JSON."""
    return json.dumps(to_plain(recipe), indent=2)


def from_json(text: str, settings_class: type) -> Recipe:
    """Inverse of `to_json`; `settings_class` is the method's own dataclass.

    Raises:
        UserError: a kind of setting that is unknown, or a value out of range.
        ValueError, LookupError, TypeError: the text is not one that `to_json` writes.
    """
    plain = json.loads(text)
    settings = from_plain(settings_class, plain.pop("settings"))
    plain["settings"] = None
    recipe: Recipe = from_plain(Recipe, plain)
    return dataclasses.replace(recipe, settings=settings)


def parse_changes(texts: list[str]) -> dict[str, str]:
    """["a.b=1"] to {"a.b": "1"}.

    Raises:
        UserError: a text without a name or without "=", or a name with two values.
    """
    changes: dict[str, str] = {}
    for text in texts:
        name, sign, value = (part.strip() for part in text.partition("="))
        if not sign or not name:
            raise UserError(f"{text!r} is not a change. Write NAME=VALUE, e.g. clustering.k1=20.")
        if changes.setdefault(name, value) != value:
            raise UserError(f"{name} is given {changes[name]} and {value}. Leave one of them out.")
    return changes


def override(recipe: Recipe, changes: dict[str, str]) -> Recipe:
    """The recipe with the named values replaced; their order is of no effect.

    Raises:
        UserError: a name that the recipe does not have or that is not to be set, a value of
            another type, or values that do not fit each other.
    """
    left = sorted(changes.items(), key=lambda change: change[0].count("."))  # kinds come first
    while left:
        refused: dict[tuple[str, str], UserError] = {}
        for name, text in left:
            try:
                recipe = _replaced(recipe, name.split("."), text, name)
            except UserError as error:  # perhaps it fits after another
                refused[name, text] = error
        if len(refused) == len(left):
            raise next(iter(refused.values()))
        left = list(refused)
    return recipe


def flatten(recipe: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted names to values, in order of declaration.

    `--set` accepts them, except those of `DESCRIPTION`.
    """
    flat: dict[str, Any] = {}
    for f in dataclasses.fields(recipe):
        value = getattr(recipe, f.name)
        if dataclasses.is_dataclass(value):
            flat |= flatten(value, f"{prefix}{f.name}.")
        else:
            flat[prefix + f.name] = value
    return flat


def _replaced(owner: Any, path: list[str], text: str, full: str) -> Any:
    names = [f.name for f in dataclasses.fields(owner)]
    if full.split(".")[0] in DESCRIPTION:
        raise UserError(
            f"{full!r} says which published run this is; it is not a setting. `tools reproduce` "
            "takes METHOD, DATASET, --source and --variant for another."
        )
    if path[0] not in names:
        raise UserError(f"no setting {full!r} in this recipe.{_known(owner, path, full)}")
    old = getattr(owner, path[0])
    hint = typing.get_type_hints(type(owner))[path[0]]
    if len(path) > 1 and not dataclasses.is_dataclass(old):
        raise UserError(f"no setting {full!r} in this recipe: {path[0]!r} is a single value.")
    if len(path) > 1:
        value = _replaced(old, path[1:], text, full)
    elif dataclasses.is_dataclass(old):
        value = _group(old, text, hint, full)
    else:
        value = parsed(text, hint, full)
    return dataclasses.replace(owner, **{path[0]: value})


def _known(owner: Any, path: list[str], full: str) -> str:
    """What an unknown name may have meant, at any depth, else what there is in its place."""
    before = full.split(".")[: -len(path)]
    names = [f.name for f in dataclasses.fields(owner) if before or f.name not in DESCRIPTION]
    if not names:
        return f" {'.'.join(before)} is {owner}; write another kind in its place."
    inner = [name.split(".") for name in flatten(owner) if name.split(".")[0] in names]
    parts = {".".join([*before, *name[:end]]) for name in inner for end in range(1, len(name) + 1)}
    deep_first = sorted(parts, key=lambda name: (-name.count("."), name))
    near = did_you_mean(path[0], deep_first)
    return near or f" Known here: {', '.join('.'.join([*before, name]) for name in names)}."


def _group(old: Any, text: str, hint: Any, name: str) -> Any:
    """A kind in place of a group of settings; eps=0.5 is short for eps=Constant(value=0.5)."""
    kinds = _classes(hint)
    if Constant in kinds and "(" not in text:
        with contextlib.suppress(ValueError):
            return Constant(float(text))
    if len(kinds) > 1 or (kinds and "(" in text):
        return _called(text, hint, name)
    parts = ", ".join(f.name for f in dataclasses.fields(old))
    raise UserError(f"{name!r} is a group of settings. Name one of: {parts}.")


def parsed(text: str, hint: Any, name: str) -> Any:
    """`text` read as a value of type `hint`.

    Args:
        hint: a Literal, a tuple of one type, bool, or a type that is called with the text.
        name: of what is changed, for the message.

    Raises:
        UserError: it is none.
    """
    origin = typing.get_origin(hint)
    if origin is Literal:
        choices = typing.get_args(hint)
        if text not in map(str, choices):
            raise UserError(f"{name}={text}: choose one of {', '.join(map(str, choices))}.")
        return next(choice for choice in choices if str(choice) == text)
    if origin is tuple:
        kinds, parts = typing.get_args(hint), [part for part in text.split(",") if part]
        if Ellipsis not in kinds and len(parts) != len(kinds):
            raise UserError(f"{name}={text}: write {len(kinds)} values with a comma between them.")
        return tuple(parsed(part, kinds[0], name) for part in parts)
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise UserError(f"{name}={text}: write true or false.")
        return text.lower() == "true"
    try:
        return hint(text)
    except ValueError:
        kind = "a whole number" if hint is int else "a number"
        raise UserError(f"{name}={text}: write {kind}.") from None


def _called(text: str, hint: Any, name: str) -> Any:
    """A dataclass written as a call with literal keywords, e.g. StepDecay(every=20)."""
    try:
        return _read(ast.parse(text, mode="eval").body, hint)
    except (KeyError, TypeError, ValueError, SyntaxError):
        kinds = _classes(hint)
        number = "a number, or " if Constant in kinds else ""
        example = "LinearEps(start=0.6)" if Constant in kinds else f"{kinds[-1].__name__}()"
        raise UserError(
            f"{name}={text}: write {number}one of {', '.join(sorted(k.__name__ for k in kinds))} "
            f"with its settings by name, e.g. {example}."
        ) from None


def _read(node: ast.expr, hint: Any) -> Any:
    """A literal of the declared type, or a dataclass that the type admits."""
    if not isinstance(node, ast.Call):
        return _checked(ast.literal_eval(node), hint)
    if node.args or not isinstance(node.func, ast.Name):
        raise ValueError("not a call with keywords")
    kind = {c.__name__: c for c in _classes(hint)}[node.func.id]
    hints = typing.get_type_hints(kind)
    return kind(**{str(k.arg): _read(k.value, hints[str(k.arg)]) for k in node.keywords})


def _checked(value: Any, hint: Any) -> Any:
    """A literal of the declared type; a number also stands for a constant schedule, and a whole
    one for a float."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return tuple(_checked(part, inner[0]) for part in value)
    kinds = inner or (hint,)  # of a Literal the values, else types
    if float in kinds and type(value) is int:
        return float(value)
    if Constant in kinds and type(value) in (int, float):
        return Constant(float(value))
    if hint is not Any and (value if origin is Literal else type(value)) not in kinds:
        raise TypeError(f"{value!r} is no {getattr(hint, '__name__', hint)}")
    return value


def _classes(hint: Any) -> list[type]:
    """Dataclasses that a type hint admits."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return [hint]
    return [c for arg in typing.get_args(hint) for c in _classes(arg)]


def in_full(settings: EncoderSettings) -> EncoderSettings:
    """The settings with a weight file's path in full, so that they hold in any working folder."""
    if settings.weights in ("imagenet", "random"):
        return settings
    return dataclasses.replace(settings, weights=str(from_home(settings.weights).absolute()))


def from_home(name: str) -> Path:
    """The path with the home folder in place of ~; as it is where nobody has that name."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)
