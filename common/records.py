"""What a run writes as plain values: the shapes of its records, and where one has another.

Here no library is loaded, so that a command can ask at once whether a run has written to a folder.

A shape is a type, where `float` is any finite number; None; a word, which must be that word; a
tuple of alternatives; a list, [shape] of any length or [shape, shape] of just these; or a dict of
names. A name with "?" may be missing, one that is not named may hold anything, or the shape under
`str` where there is one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import UserError

Shape = Any

MOST = 1e15  # no number of a run is larger
SHOWN = 60  # characters of a wrong value

SCORES = {"map": float, "rank1": float, "rank5": float, "rank10": float}
TESTED = ({**SCORES, "epoch": int}, None)
COURSE = {"start": TESTED, "last": TESTED, "best": TESTED, "clusters": [int]}
PROGRESS = {**COURSE, "outliers": [int], "epoch": int, "steps": int, "seconds": {str: float}}

COUNTS = {"images": int, "ids": int, "cameras": int}
DATASET = {
    "name": str,
    "version": str,
    "root?": str,
    "origin?": {"name": str, "root": str, "cameras?": (str, None)},
    "dropped?": [str],
    "fingerprint": str,
    **dict.fromkeys(("train?", "query?", "gallery?"), COUNTS),
}
PLACE = {"versions": {str: str}, "commit": str, "device": str, "devices": int}
ENVIRONMENT = {
    **PLACE,
    "precision": str,
    "bn_chunks": int,
    "dataset": DATASET,
    "source?": (DATASET, None),
    "cameras": {"sampler": bool, "clustering?": bool, "loss": bool},
    "changes": [str],
    "deviations?": [str],
    "resumptions?": [{**PLACE, "changed": [str], "deviations?": [str]}],
}
RECIPE = {"method": str, "dataset": str, "source": str, "variant": str}  # the rest by its reader
RESULT = {
    **RECIPE,
    "seed": int,
    **COURSE,
    "outliers?": [int],
    "seconds": float,
    "paper": {
        **dict.fromkeys(SCORES, (float, None)),
        "source": str,
        "compares": ("best", "last"),
    },
    "references?": [{"name": str, "map": float, "rank1": float}],
    "reference_curve?": ({str: [[int, float]]}, None),
    "environment": ENVIRONMENT,
}
FILES: dict[str, Shape] = {
    "recipe.json": RECIPE,
    "environment.json": ENVIRONMENT,
    "result.json": RESULT,
}

EVENT = {"epoch?": int}
EVENTS: dict[Any, Shape] = {
    "epoch": {
        "event": str,
        "epoch": int,
        "losses": {str: float},
        "clusters": int,
        "outliers": int,
        "seconds?": {str: float},
        str: float,
    },
    "test": {**SCORES, "epoch": int, "network": str},
    "warning": {**EVENT, "text": str},
}


def is_run_folder(path: Path) -> bool:
    """Whether a run has begun in the folder: its recipe is written after its environment."""
    return (path / "recipe.json").is_file()


def require_run_folder(path: Path) -> None:
    """Refuse what no run has written to.

    Raises:
        UserError: the folder is missing or holds no run.
    """
    if not is_run_folder(path):
        raise UserError(
            f"{path} is not a run folder: it holds no recipe.json. Name a folder that a run has "
            "written, e.g. one in runs/."
        )


def misfit(value: Any, shape: Shape, at: str = "") -> str:
    """The first place where a value has another shape, e.g. "dataset.name is 3"; else "".

    Args:
        at: dotted name of the value.
    """
    if isinstance(shape, tuple):
        found = [misfit(value, one, at) for one in shape]
        return found[0] if all(found) else ""
    if isinstance(shape, dict) and isinstance(value, dict):
        return next(filter(None, _in_dict(value, shape, at)), "")
    if isinstance(shape, list) and isinstance(value, list) and len(shape) in (1, len(value)):
        return next(filter(None, _in_list(value, shape, at)), "")
    if not isinstance(shape, dict | list) and _is_plain(value, shape):
        return ""
    return f"{at or 'it'} is {repr(value)[:SHOWN]}"


def _in_dict(value: dict[str, Any], shape: dict[Any, Shape], at: str) -> Iterator[str]:
    named = {name.removesuffix("?"): inner for name, inner in shape.items() if name is not str}
    for name, inner in value.items():
        wanted = named.get(name, shape.get(str))
        if wanted is not None:
            yield misfit(inner, wanted, f"{at}.{name}" if at else name)
    for name in named:
        if name not in value and f"{name}?" not in shape:
            yield f"{at}{'.' if at else ''}{name} is missing"


def _in_list(value: list[Any], shape: list[Shape], at: str) -> Iterator[str]:
    shapes = shape * len(value) if len(shape) == 1 else shape
    for place, (inner, wanted) in enumerate(zip(value, shapes, strict=True)):
        yield misfit(inner, wanted, f"{at}[{place}]")


def _is_plain(value: Any, shape: Shape) -> bool:
    if shape in (int, float):
        number = isinstance(value, int if shape is int else int | float)
        return number and not isinstance(value, bool) and abs(value) <= MOST  # NaN is not
    if shape is None or isinstance(shape, str):
        return bool(value == shape)
    return isinstance(value, shape)
