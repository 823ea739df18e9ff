"""Own images with a `labels.csv`: image, id, cam, split."""

import csv
import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

from common.data.catalogue import own_name
from common.data.scan import (
    Row,
    composed,
    files_below,
    is_image,
    numbered,
    relabelled,
    samples_of,
)
from common.errors import UserError, counted, explained, listed
from common.types import SPLITS, Dataset

LABELS = "labels.csv"
COLUMNS = ("image", "id", "cam", "split")
CAMERA_RULE = "labels.csv"
_SHOWN = 10


def read_labelled_folder(folder: Path) -> Dataset:
    """Read the images that `labels.csv` names, each at most once per split; others are counted.

    Images lie in `images/`, or where their name says, relative to the folder. Cameras are any
    integers, numbered from 0 over all splits in ascending order. Identities of query and
    gallery are kept as they are; -1 is junk and dropped. Training identities may be left out;
    those given are renumbered from 0, shown in reports, and learned from by a supervised run
    alone.

    Raises:
        UserError: lines that cannot be used, all at once.
    """
    file = folder / LABELS
    lines = _read(file)
    names = files_below(folder)
    there = {composed(name): name for name in names} | {name: name for name in names}
    rows: dict[str, dict[str, tuple[int, int]]] = {split: {} for split in SPLITS}
    bad: list[str] = []
    for number, line in lines:
        try:
            if isinstance(line, str):
                raise ValueError(line)
            split, (image, pid, cam) = _parsed(line, there)
            if image in rows[split]:
                raise ValueError(f"{line['image']!r} is named twice in {split}")
            rows[split][image] = (pid, cam)
        except ValueError as error:
            bad.append(f"line {number}: {error}")
    if bad:
        said = f"{file}: {counted(len(bad), 'line')} cannot be used. Correct what follows."
        raise UserError("\n".join([said, *listed(bad, _SHOWN)]))
    named = set().union(*rows.values())
    unnamed = sum(is_image(name) and name not in named for name in names)
    return replace(_dataset(folder, rows), unnamed=unnamed)


def _dataset(folder: Path, rows: dict[str, dict[str, tuple[int, int]]]) -> Dataset:
    if not any(rows.values()):
        raise UserError(f"{folder / LABELS} names no image. Add a line per image.")
    cams = numbered(cam for part in rows.values() for _, cam in part.values())
    train, query, gallery = (
        samples_of(
            folder,
            (
                (image, pid, cams[cam])
                for image, (pid, cam) in rows[split].items()
                if split == "train" or pid != -1
            ),
        )
        for split in SPLITS
    )
    if bool(len(query)) != bool(len(gallery)):
        there, lacking = ("query", "gallery") if len(query) else ("gallery", "query")
        raise UserError(
            f"{folder / LABELS} has images of split {there} but none of {lacking}, where -1 does "
            "not count. A test needs both; give both or neither."
        )
    name = own_name(folder)
    return Dataset(
        name,
        str(folder),
        relabelled(train),
        query,
        gallery,
        camera_rule=CAMERA_RULE,
        cam_names=tuple(map(str, cams)),
    )


def _read(file: Path) -> list[tuple[int, dict[str, str] | str]]:
    """Lines by number; a text says what is wrong with a short or long one."""
    try:
        with (
            explained(f"{file} cannot be read"),
            file.open(encoding="utf-8-sig", newline="") as stream,
        ):
            reader = csv.reader(stream)
            header = [name.strip().lower() for name in next(reader, [])]
            if lacking := [name for name in COLUMNS if name not in header]:
                raise UserError(
                    f"{file} lacks the columns {', '.join(lacking)} in its first line, which is "
                    f"{','.join(header)!r}. It must name {','.join(COLUMNS)}, with commas between."
                )
            if repeated := [name for name in COLUMNS if header.count(name) > 1]:
                raise UserError(
                    f"{file} names the columns {', '.join(repeated)} more than once. Keep one of "
                    "each."
                )
            return [(reader.line_num, _named(header, values)) for values in reader if any(values)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file} is not a UTF-8 text of comma-separated values: {error}.") from None


def _named(header: list[str], values: list[str]) -> dict[str, str] | str:
    if len(values) != len(header):
        return f"{len(values)} values instead of {len(header)}"
    return {name: value.strip() for name, value in zip(header, values, strict=True)}


def _parsed(line: dict[str, str], there: dict[str, str]) -> tuple[str, Row]:
    """Split and row; a ValueError says what is wrong with the line."""
    split = line["split"].lower()
    if split not in SPLITS:
        raise ValueError(f"split {line['split']!r} is none of {', '.join(SPLITS)}")
    pid = -1 if split == "train" and not line["id"] else _integer("id", line["id"])
    if pid < -1:
        raise ValueError(f"id {pid} is negative; -1 is junk, others start at 0")
    return split, (_found(line["image"], there), pid, _integer("cam", line["cam"]))


def _integer(name: str, text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):  # int() would take 1_2 for 12
        raise ValueError(f"{name} {text!r} is not a whole number of at most 18 digits")
    return int(text)


def _found(image: str, there: dict[str, str]) -> str:
    """The name on disk: exactly that of the line if there is one, else one that looks the same."""
    path = str(PurePosixPath(image))  # "./1.jpg" is 1.jpg; what lies outside is not among `there`
    for text in (path, composed(path)):
        for name in (f"images/{text}", text):
            if name in there:
                return there[name]
    hint = "; write / between folders" if "\\" in image else ""  # as Windows writes paths
    raise ValueError(f"image {image!r} is not in images/, nor relative to the folder{hint}")
