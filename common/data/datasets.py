"""Data sets by name, and folders of own images, as `Dataset`."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.data import (
    celebreid,
    labelled_folder,
    market_layout,
    msmt17,
    synthetic,
    unlabelled_folder,
    vehicleid,
)
from common.data.catalogue import DATASETS, own_name
from common.data.market_layout import NameRule
from common.errors import UserError, did_you_mean, explained
from common.types import SPLITS, Dataset


@dataclass(frozen=True)
class Layout:
    """How one data set lies on disk.

    Args:
        missing: what a folder lacks to be complete.
        read: (name, folder) to data set.
    """

    missing: Callable[[Path], list[str]]
    read: Callable[[str, Path], Dataset]


@dataclass(frozen=True)
class Place:
    """A folder that was looked for, and what it lacks; `missing` is None if it is not there."""

    folder: Path
    missing: list[str] | None


def _like_market(rule: NameRule) -> Layout:
    return Layout(
        partial(market_layout.missing_parts, rule=rule),
        partial(market_layout.read_market_layout, rule=rule),
    )


def _drawn() -> Layout:
    rule = market_layout.OWN
    return Layout(
        lambda folder: market_layout.missing_parts(folder, rule) or synthetic.lost_images(folder),
        lambda name, folder: market_layout.read_market_layout(
            name, folder, rule, synthetic.version(folder)
        ),
    )


def _vehicleid(test_size: int) -> Layout:
    return Layout(
        partial(vehicleid.missing_parts, test_size=test_size),
        partial(vehicleid.read_vehicleid, test_size=test_size),
    )


def _celebreid(rule: celebreid.CameraRule) -> Layout:
    return Layout(celebreid.missing_parts, partial(celebreid.read_celebreid, rule=rule))


LAYOUTS: dict[str, Layout] = {
    "market1501": _like_market(market_layout.MARKET1501),
    "dukemtmcreid": _like_market(market_layout.DUKEMTMCREID),
    "msmt17": Layout(msmt17.missing_parts, msmt17.read_msmt17),
    "personx": _like_market(market_layout.PERSONX),
    "veri": _like_market(market_layout.VERI),
    "vehicleid": _vehicleid(800),
    "vehicleid-1600": _vehicleid(1600),
    "vehicleid-2400": _vehicleid(2400),
    "vehiclex": _like_market(market_layout.VEHICLEX),
    "celebreid": _celebreid("leading digit"),
    "celebreid-unique": _celebreid("unique"),
    "synthetic": _drawn(),
    "synthetic-b": _drawn(),
}


def load_dataset(name: str, root: Path) -> Dataset:
    """Read a data set from one of the folders it may have below the data root.

    Names only, no image is opened. Samples are sorted by relative name as plain strings; junk
    (identity -1) is dropped; training identities are 0..S-1 in ascending order of the set's own.

    Raises:
        UserError: unknown name, missing or incomplete data, file names that do not fit.
    """
    require_known(name)
    places = look_for(name, root)
    for place in places:
        if place.missing == []:
            return LAYOUTS[name].read(name, place.folder)
    raise UserError(_not_found(name, root, places))


def load_folder(folder: Path, cameras: str | None = None) -> Dataset:
    """Read own images: with a `labels.csv`, laid out like Market-1501, or without labels.

    Args:
        folder: names the data set, see `own_name`.
        cameras: for images without labels; see `read_unlabelled_folder`.

    Raises:
        UserError: no such folder, no images, labels that cannot be used, or a part of the layout
            of Market-1501 that would be taken for a camera.
    """
    folder = folder.absolute()
    with explained(f"{folder} cannot be read"):
        there = folder.is_dir()
        labelled = (folder / labelled_folder.LABELS).is_file()
        missing = market_layout.missing_parts(folder, market_layout.OWN)
    market = not missing
    if not there:
        raise UserError(f"{folder} is not a folder. Name the folder that holds your images.")
    if cameras is not None and (labelled or market):
        reason = "its labels.csv" if labelled else "its file names, as in Market-1501"
        raise UserError(f"{folder} names cameras in {reason}. Leave --cameras out.")
    if labelled:
        return labelled_folder.read_labelled_folder(folder)
    if market:
        return market_layout.read_market_layout(own_name(folder), folder, market_layout.OWN)
    if cameras is None and len(missing) < len(market_layout.MARKET_PARTS):
        raise UserError(
            f"{folder} is laid out like Market-1501 in part: it lacks {', '.join(missing)}. Add "
            "what is missing, or write a labels.csv. To train on all images without labels, say "
            "with --cameras how their names tell the camera."
        )
    return unlabelled_folder.read_unlabelled_folder(folder, cameras)


def look_for(name: str, root: Path) -> list[Place]:
    """Every folder in which the data set may lie, and what each of them lacks."""
    folders = [root.absolute() / folder for folder in DATASETS[name].folders]
    with explained(f"{root} cannot be read"):
        return [Place(f, LAYOUTS[name].missing(f) if f.is_dir() else None) for f in folders]


def require_known(name: str) -> None:
    """Refuse an unknown name, with the nearest known one."""
    if name not in DATASETS:
        hint = did_you_mean(name.lower(), DATASETS)
        raise UserError(f"unknown data set {name!r}.{hint} Known: {', '.join(DATASETS)}.")


def fingerprint(dataset: Dataset) -> str:
    """16 hex digits of the sha256 over all relative names, sizes, identities and cameras.

    Contents are not read, so it costs one look at every file. A file that is not there, or
    a link to itself, counts with size -1.
    """
    digest = hashlib.sha256()
    start = len(dataset.root) + 1
    for split in SPLITS:
        samples = getattr(dataset, split)
        for path, pid, cam in zip(samples.paths, samples.pids, samples.cams, strict=True):
            line = f"{split}\0{path[start:]}\0{_size(path)}\0{pid}\0{cam}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return -1


def _not_found(name: str, root: Path, places: list[Place]) -> str:
    described = DATASETS[name]
    there = [place for place in places if place.missing]
    if there:
        lines = [f"{name} is incomplete:"]
        lines += [f"  {place.folder} lacks {', '.join(place.missing or [])}" for place in there]
    else:
        lines = [f"{name} was not found below {root.absolute()}."]
    if not root.is_dir():
        lines.append("That folder itself does not exist.")
    lines.append(f"Looked for there: {', '.join(described.folders)}.")
    lines.append(f"A right one holds {described.holds}.")
    lines.append(f"Where it comes from: {described.origin}.")
    verb = "Unpack it into one of these folders" if described.download else "Put it there"
    lines.append(f"{verb}, or name another data root with --data-root.")
    return "\n".join(lines)
