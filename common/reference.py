"""Stored inputs and outputs of the authors' code, and how ours is compared with them.

A case is one `.npz` file: arrays, and settings as JSON under `meta`. Its kind is the beginning
of its file name. Whoever owns a kind gives a function from `Case` to a list of `Check`; it
takes sizes, seeds and settings from the case and calls the code that training calls.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.npyio import NpzFile
from torch import Tensor

from common.errors import UserError


class Stored(dict[str, Any]):
    """What a case holds, by name; a runner that asks for more raises a `UserError`."""

    def __init__(self, what: str, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.what = what

    def __missing__(self, name: str) -> Any:
        raise UserError(f"the case has no {self.what} {name!r}.")


@dataclass(frozen=True)
class Case:
    """One stored case."""

    path: Path
    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]

    @property
    def name(self) -> str:
        return self.path.stem

    def tensor(self, key: str) -> Tensor:
        """An array as training would hold it: numbers with a fraction are float32."""
        values = torch.from_numpy(self.arrays[key])
        return values.float() if values.is_floating_point() else values

    def count(self, prefix: str) -> int:
        """Arrays whose names begin so: the steps of which each has one."""
        return sum(key.startswith(prefix) for key in self.arrays)


@dataclass(frozen=True)
class Check:
    """One compared quantity: the largest difference, and how large it may be."""

    name: str
    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.difference <= self.tolerance  # NaN fails


Runner = Callable[[Case], list[Check]]


def kind_of(name: str, kinds: Iterable[str]) -> str | None:
    """The longest of the kinds that a case's name begins with, or None."""
    return max(filter(name.startswith, kinds), key=len, default=None)


def load_case(path: Path) -> Case:
    """Read a case.

    Raises:
        UserError: the file is not a case.
    """
    try:
        # Not np.load, which tries .npy and pickles too and then advises to unpickle the file.
        with path.open("rb") as stream, NpzFile(stream, allow_pickle=False) as file:
            arrays = {key: _readable(file[key]) for key in file.files}
        meta = Stored("setting", _settings(arrays.pop("meta")))
    except Exception as error:  # zip, zlib, NumPy and JSON each raise their own kinds
        raise UserError(
            f"{path} is not a reference case (.npz with a JSON 'meta'): {error}"
        ) from None
    return Case(path, Stored("array", arrays), meta)


def close(name: str, ours: Any, theirs: Any, tolerance: float, relative: float = 0.0) -> Check:
    """Compare two arrays: |ours - theirs| <= tolerance + relative * |theirs|, element by element.

    Arrays of different shapes, and NaN, fail with an infinite difference; one number may be
    stored as an array of one. With a relative part the difference reported is the excess over it.
    Values are compared in the stored precision.
    """
    b = _array(theirs)
    a = _array(ours, stored=_precision(theirs))
    if a.shape != b.shape and not a.size == b.size == 1:
        return Check(f"{name}: shape {a.shape}, expected {b.shape}", float("inf"), tolerance)
    if a.size == 0:
        return Check(name, 0.0, tolerance)
    excess = np.abs(a - b) - relative * np.abs(b)
    worst = float(np.maximum(excess, 0.0).max())
    return Check(name, worst if np.isfinite(worst) else float("inf"), tolerance)


def close_gradient(name: str, ours: Any, theirs: Any, tolerance: float = 1e-6) -> Check:
    """Compare two gradients: |ours - theirs| <= `tolerance`, or 1e-5 of their largest entry.

    The larger of both counts. An entry is a sum of terms that cancel, so its rounding follows the
    size of the terms: that of the largest entry, which a small temperature or batch raises, or,
    where all of them cancel, a size that no entry shows.
    """
    largest = float(np.abs(_array(theirs)).max(initial=0.0))
    return close(name, ours, theirs, max(tolerance, 1e-5 * largest))


def equal(name: str, ours: Any, theirs: Any) -> Check:
    """Compare integers or booleans: the difference is the number of unequal entries."""
    a, b = _array(ours), _array(theirs)
    if a.shape != b.shape and not a.size == b.size == 1:
        return Check(f"{name}: shape {a.shape}, expected {b.shape}", float("inf"), 0.0)
    return Check(name, float((a != b).sum()), 0.0)


def _settings(stored: np.ndarray) -> Any:
    """The JSON of a case, which is text or bytes, alone or in an array, or an array of codes."""
    codes = stored.dtype.kind in "iu"
    text = stored.astype(np.uint8).tobytes() if codes else np.ravel(stored)[0]
    return json.loads(text, parse_float=_number)


def _number(text: str) -> float:
    """A number of a JSON file; some programs write a whole one as 20.0."""
    number = float(text)
    return int(number) if number.is_integer() else number


def _readable(array: np.ndarray) -> np.ndarray:
    """With types that torch computes with: this machine's byte order, whole numbers as int64."""
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return native.astype(np.int64, copy=False) if native.dtype.kind in "iu" else native


def _precision(stored: Any) -> np.dtype:
    """The type that the values were computed in: also float32 ones may be stored as float64."""
    array = np.asarray(stored)
    if array.dtype == np.float64 and np.array_equal(array, array.astype(np.float32)):
        return np.dtype(np.float32)
    return array.dtype


def _array(value: Any, stored: np.dtype | None = None) -> np.ndarray:
    """As float64 or int64, rounded to the stored precision first where one is named."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    if stored is not None and stored.kind == "f":
        array = array.astype(stored)
    return array.astype(np.float64) if array.dtype.kind == "f" else array.astype(np.int64)
