"""`tools bench`: runs the benchmarks of `tools/benchmarks`, one file and one question each."""

import ast
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.errors import UserError, did_you_mean
from common.recipe_text import parse_changes, parsed
from tools import benchmarks

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Benchmark:
    """What a file says of its benchmark: its question, the arguments of its `run` with defaults."""

    name: str
    question: str
    settings: dict[str, Any]


def found_benchmarks() -> dict[str, Benchmark]:
    """Those of the folder, by name; files without a `run` help them.

    The files are read and not loaded, which takes seconds: all need PyTorch.
    """
    found = {}
    for module in sorted(pkgutil.iter_modules(benchmarks.__path__), key=lambda module: module.name):
        text = Path(benchmarks.__path__[0], f"{module.name}.py").read_text(encoding="utf-8")
        if benchmark := _read(module.name.replace("_", "-"), ast.parse(text)):
            found[benchmark.name] = benchmark
    return found


def _read(name: str, file: ast.Module) -> Benchmark | None:
    """What is said in a file, None without a `run`; all defaults are constants."""
    runs = (item for item in file.body if isinstance(item, ast.FunctionDef) and item.name == "run")
    run = next(runs, None)
    if run is None:
        return None
    names = [argument.arg for argument in run.args.args]
    defaults = map(ast.literal_eval, run.args.defaults)
    question = (ast.get_docstring(file) or "").partition("\n")[0]
    return Benchmark(name, question, dict(zip(names, defaults, strict=True)))


def questions() -> Rows:
    """Name, question and settings of every benchmark."""
    return [asdict(benchmark) for benchmark in found_benchmarks().values()]


def shown_questions(found: Rows) -> Rows:
    """The same for a reader, settings as `--set` takes them: "repeats=3 threads=1,2"."""
    return [
        {**row, "settings": " ".join(f"{k}={_written(v)}" for k, v in row["settings"].items())}
        for row in found
    ]


def run_benchmark(name: str, changes: Sequence[str] = ()) -> Rows:
    """Run a benchmark; its rows. Arguments and errors as in `arguments_of`."""
    arguments = arguments_of(name, changes)
    module = importlib.import_module(f"{benchmarks.__name__}.{name.replace('-', '_')}")
    run: Callable[..., Rows] = module.run
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
    defaults = known[name].settings
    arguments = {}
    for key, text in parse_changes(list(changes)).items():
        if key not in defaults:
            raise UserError(f"{name} has no setting {key!r}. Known: {', '.join(defaults)}.")
        arguments[key] = _like(defaults[key], text, key)
    return arguments


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
