"""Sets laid out like Market-1501: a folder per split, `<identity>_c<camera>...` in each."""

import re
from dataclasses import dataclass
from pathlib import Path

from common.data.scan import Row, images, jpegs, numbered, relabelled, samples_of
from common.errors import UserError, counted, shortened
from common.types import Dataset

MARKET_PARTS = ("bounding_box_train", "query", "bounding_box_test")

# Matched at the start of the base name; the released patterns search the whole path, so that a
# folder such as `run1_c2/` is read as identity 1, camera 2.
_NAME = re.compile(r"(-?\d+)_c(\d+)")


def cameras(first: int, last: int) -> dict[int, int]:
    """Camera numbers first..last, stored as 0, 1, ..."""
    return {number: number - first for number in range(first, last + 1)}


@dataclass(frozen=True)
class NameRule:
    """What the file names of a set may say.

    Args:
        pids: identities that occur; -1 is junk and dropped in addition.
        cams: camera in the name -> camera stored; None numbers those found in ascending order.
        parts: folders of train, query, gallery; shorter where a set has no test part.
    """

    pids: range
    cams: dict[int, int] | None
    parts: tuple[str, ...] = MARKET_PARTS


MARKET1501 = NameRule(range(1502), cameras(1, 6))
DUKEMTMCREID = NameRule(range(1, 7141), cameras(1, 8))
MSMT17 = NameRule(range(3060), cameras(1, 15))
PERSONX = NameRule(range(1, 100_000), {3: 0, 4: 1, 8: 2, 10: 3, 11: 4, 12: 5})
VERI = NameRule(range(777), cameras(1, 20), ("image_train", "image_query", "image_test"))
VEHICLEX = NameRule(range(1, 1363), cameras(6, 36), ("image_train",))
OWN = NameRule(range(10**9), None)


def missing_parts(folder: Path, rule: NameRule) -> list[str]:
    """Sub-folders that a complete set has and this folder lacks."""
    return [f"{part}/" for part in rule.parts if not (folder / part).is_dir()]


def read_market_layout(name: str, folder: Path, rule: NameRule, version: str = "") -> Dataset:
    """Read a set whose parts are present.

    Raises:
        UserError: a part without images, or file names that do not fit the rule.
    """
    listing = jpegs if rule.cams is not None else images
    listed = [[f"{part}/{image}" for image in listing(folder / part)] for part in rule.parts]
    if empty := [part for part, found in zip(rule.parts, listed, strict=True) if not found]:
        raise _incomplete(name, f"{shortened(empty)} of {folder}", own=rule.cams is None)
    rows = [[_parsed(image) for image in part] for part in listed]
    _require_fitting(name, folder, rule, listed, rows)
    kept = [[row for row in part if row is not None and row[1] != -1] for part in rows]
    cams = rule.cams or numbered(cam for part in kept for _, _, cam in part)
    splits = [samples_of(folder, [(n, pid, cams[cam]) for n, pid, cam in part]) for part in kept]
    splits += [samples_of(folder, [])] * (3 - len(splits))
    return Dataset(
        name,
        str(folder),
        relabelled(splits[0]),
        splits[1],
        splits[2],
        version,
        cam_names=tuple(map(str, cams)),
    )


def _incomplete(name: str, where: str, *, own: bool) -> UserError:
    if own:
        return UserError(
            f"{name} is incomplete: no images in {where}. Put some there, or write a labels.csv, "
            "which may do without a test part."
        )
    return UserError(
        f"{name} is incomplete: no images (*.jpg, lower case) in {where}. Unpack the data set "
        "again, or name another root with --data-root."
    )


def _parsed(image: str) -> Row | None:
    match = _NAME.match(image.rpartition("/")[2])
    return (image, int(match[1]), int(match[2])) if match else None


def _require_fitting(
    name: str, folder: Path, rule: NameRule, listed: list[list[str]], rows: list[list[Row | None]]
) -> None:
    bad = [
        image
        for images_, part in zip(listed, rows, strict=True)
        for image, row in zip(images_, part, strict=True)
        if row is None
        or (row[1] != -1 and row[1] not in rule.pids)
        or (rule.cams is not None and row[2] not in rule.cams)
    ]
    if bad:
        allowed = f"identities {rule.pids.start} to {rule.pids.stop - 1} (or -1)"
        advice = (
            "Rename these files, or move them away; a labels.csv lets images of your own have any "
            "names"
        )
        if rule.cams is not None:
            allowed += f" and cameras {shortened(rule.cams, 40)}"
            advice = "Remove these files, or restore the set's own names"
        raise UserError(
            f"{name}: the names of {counted(len(bad), 'file')} in {folder} are not "
            f"<identity>_c<camera>... with {allowed}: {shortened(sorted(bad))}. {advice}."
        )
