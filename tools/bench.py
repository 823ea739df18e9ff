"""`tools bench`: runs the benchmarks of `tools/benchmarks`, one file and one question each."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from common.errors import UserError, did_you_mean
from common.recipe_text import parse_changes, parsed
from tools import benchmarks

Rows = list[dict[str, Any]]


def found_benchmarks() -> dict[str, ModuleType]:
    """The modules of the folder that have a `run`, by name; the others help them."""
    names = sorted(found.name for found in pkgutil.iter_modules(benchmarks.__path__))
    modules = {name: importlib.import_module(f"{benchmarks.__name__}.{name}") for name in names}
    return {n.replace("_", "-"): module for n, module in modules.items() if hasattr(module, "run")}


def questions() -> list[dict[str, Any]]:
    """Name, question and settings of every benchmark."""
    return [
        {
            "name": name,
            "question": (module.__doc__ or "").partition("\n")[0],
            "settings": {key: p.default for key, p in _parameters(module.run).items()},
        }
        for name, module in found_benchmarks().items()
    ]


def shown_questions(found: Rows) -> Rows:
    """The same for a reader, settings as `--set` takes them: "repeats=3 threads=1,2"."""
    return [
        {**row, "settings": " ".join(f"{k}={_written(v)}" for k, v in row["settings"].items())}
        for row in found
    ]


def run_benchmark(name: str, changes: Sequence[str] = ()) -> Rows:
    """Run a benchmark; its rows. Arguments and errors as in `arguments_of`."""
    arguments = arguments_of(name, changes)
    run: Callable[..., Rows] = found_benchmarks()[name].run
    return run(**arguments)


def arguments_of(name: str, changes: Sequence[str] = ()) -> dict[str, Any]:
    """The changed arguments of a benchmark's `run`.

    Args:
        changes: arguments as NAME=VALUE; lists are written "threads=1,2".

    Raises:
        UserError: no such benchmark or setting, or a value of another type.
    """
    known = found_benchmarks()
    if name not in known:
        hint = did_you_mean(name, known)
        raise UserError(f"unknown benchmark {name!r}. Known: {', '.join(known)}.{hint}")
    parameters = _parameters(known[name].run)
    arguments = {}
    for key, text in parse_changes(list(changes)).items():
        if key not in parameters:
            raise UserError(f"{name} has no setting {key!r}. Known: {', '.join(parameters)}.")
        arguments[key] = _like(parameters[key].default, text, key)
    return arguments


def _parameters(run: Callable[..., Rows]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(run).parameters)


def _written(value: Any) -> str:
    """A value as `_like` reads it."""
    if isinstance(value, tuple | list):
        return ",".join(map(_written, value))
    return str(value)


def _like(default: Any, text: str, name: str) -> Any:
    """`text` as a value of the default's type."""
    if isinstance(default, tuple | list):
        return type(default)(_like(default[0], part, name) for part in text.split(","))
    return text if default is None else parsed(text, type(default), name)
