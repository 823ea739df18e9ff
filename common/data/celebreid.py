"""Celeb-reID: clothes change, and there are no cameras; two rules stand in for them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from common.data.scan import Row, jpegs, relabelled, samples_of
from common.errors import UserError, shortened
from common.types import SPLITS, Dataset, Samples

CameraRule = Literal["leading digit", "unique"]

_NAME = re.compile(r"(-1|\d+)_([1-9])\d*_")


def missing_parts(folder: Path) -> list[str]:
    """Sub-folders that a complete set has and this folder lacks."""
    return [f"{part}/" for part in SPLITS if not (folder / part).is_dir()]


def read_celebreid(name: str, folder: Path, rule: CameraRule) -> Dataset:
    """Read `x_y_z.jpg`: x identity, y running number of the image, z without meaning.

    Args:
        rule: "leading digit" takes the first digit of y, minus 1, for the camera, as the data
            set's authors and the released re-ID code do: images 1, 10-19, 100.. of a person
            share camera 0, and evaluation ignores gallery images that share the query's. With
            "unique" every image is its own camera, so that nothing is ignored.

    Raises:
        UserError: a part without images, or file names of another form.
    """
    bad: list[str] = []
    splits: list[Samples] = []
    first = 0  # camera of the split's first image under "unique"
    for part in SPLITS:
        rows = sorted(_rows(folder, part, bad))
        if rule == "unique":
            rows = [(image, pid, first + i) for i, (image, pid, _) in enumerate(rows)]
        splits.append(samples_of(folder, rows))
        first += len(rows)
    if bad:
        raise UserError(
            f"{name} at {folder} does not hold images <identity>_<number>_<any>.jpg only: "
            f"{shortened(sorted(bad))}. Unpack the data set again."
        )
    train, query, gallery = splits
    return Dataset(
        name,
        str(folder),
        relabelled(train),
        query,
        gallery,
        camera_rule=rule,
        cam_names=tuple("123456789") if rule == "leading digit" else (),
    )


def _rows(folder: Path, part: str, bad: list[str]) -> Iterator[Row]:
    names = jpegs(folder / part)
    if not names:
        bad.append(f"{part}/ without *.jpg")
    for image in names:
        match = _NAME.match(image)
        if not match:
            bad.append(f"{part}/{image}")
        elif match[1] != "-1":  # junk, as in all sets
            yield f"{part}/{image}", int(match[1]), int(match[2]) - 1
