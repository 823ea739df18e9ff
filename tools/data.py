"""`tools data list`, `check` and `prepare`: what is known, found, missing, and put into place."""

import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common.data.archive import unpack
from common.data.catalogue import DATASETS, is_own_folder
from common.data.check import check_dataset
from common.data.datasets import (
    LAYOUTS,
    Place,
    fingerprint,
    load_dataset,
    load_folder,
    look_for,
    require_known,
)
from common.errors import UserError, explained
from common.types import SPLITS, Dataset, Tick

Result = dict[str, Any]

_DEPTH = 4  # folders within folders that an archive may wrap around a data set


def list_datasets(root: Path) -> list[Result]:
    """Every data set with a name: whether it is there, what is missing, where it comes from."""
    rows = []
    for name, described in DATASETS.items():
        places = look_for(name, root)
        complete = next((place.folder for place in places if place.missing == []), None)
        partial: list[Place] = [] if complete else [place for place in places if place.missing]
        rows.append(
            {
                "name": name,
                "title": described.title,
                "found": str(complete) if complete else None,
                "incomplete": {str(place.folder): place.missing for place in partial},
                "looked_for": [str(place.folder) for place in places],
                "holds": described.holds,
                "published": asdict(described.published),
                "origin": described.origin,
                "terms": described.terms,
                "licence": described.licence,
                "download": described.download,
            }
        )
    return rows


def check(
    name: str,
    root: Path,
    *,
    strict: bool = False,
    read_images: bool = True,
    cameras: str | None = None,
    workers: int | None = None,
    progress: Tick | None = None,
) -> Result:
    """Check a data set by name, or a folder of own images, and return all that was found.

    Args:
        strict: warnings make it unsound too.
        cameras: for a folder without labels, see `load_folder`.

    Returns:
        The fields of `DataReport`, and "fingerprint" and "sound".
    """
    dataset = _loaded(name, root, cameras)
    read = SPLITS if read_images else ()
    report = check_dataset(dataset, read_images=read, workers=workers, progress=progress)
    sound = report.sound and not (strict and report.warnings)
    return {**asdict(report), "fingerprint": fingerprint(dataset), "sound": sound}


def prepare(
    name: str,
    archive: Path,
    root: Path,
    *,
    progress: Tick | None = None,
) -> Result:
    """Unpack a downloaded archive to where the data set is looked for.

    It is unpacked beside its place, read there, and then renamed: a data set is in place as a
    whole or not at all, and nothing that exists is touched.

    Raises:
        UserError: the place is taken, the archive is refused, or holds another data set.
    """
    require_known(name)
    _require_free(name, root)
    place = Path(os.path.realpath(root / _top(name)))  # it may be a link to another disk
    with explained(f"{place.parent} cannot be made"):
        place.parent.mkdir(parents=True, exist_ok=True)
    left = sorted(place.parent.glob(f".{name}-unpacking-*"))
    left_over = [f"{path} was left by a killed call. Delete it unless one runs." for path in left]
    aside = place.parent / f".{name}-unpacking-{os.getpid()}"
    files = unpack(archive, aside, progress=progress)
    try:
        folder = _complete_folder(name, archive, aside)
        _require_readable(name, folder, archive)
        with explained(f"{place} cannot be filled"):
            _moved(name, folder, aside).rename(place)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    dataset = load_dataset(name, root)
    report = check_dataset(dataset, read_images=())
    return {
        "name": name,
        "folder": dataset.root,
        "version": dataset.version,
        "files": files,
        "found": {split: asdict(counts) for split, counts in report.found.items()},
        "warnings": report.warnings + left_over,
        "errors": report.errors,
    }


def _loaded(name: str, root: Path, cameras: str | None) -> Dataset:
    if is_own_folder(name):
        return load_folder(Path(name), cameras)
    require_known(name)
    if cameras is not None:
        raise UserError(f"{name} has its own cameras. --cameras is for folders of your own images.")
    return load_dataset(name, root)


def _top(name: str) -> str:
    """The folder directly below the data root that a data set is put into."""
    return DATASETS[name].folders[0].partition("/")[0]


def _require_free(name: str, root: Path) -> None:
    place = root / _top(name)
    if name.startswith("synthetic"):
        raise UserError(f"{name} comes in no archive. Draw it with `tools data synth`.")
    for found in look_for(name, root):
        if found.missing == []:
            raise UserError(f"{name} is already at {found.folder}. Nothing was unpacked.")
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise UserError(
            f"{place} exists and is not empty; nothing is overwritten. Move it away, or name "
            "another data root with --data-root or $REID_DATA."
        )


def _complete_folder(name: str, archive: Path, aside: Path) -> Path:
    """The outermost folder of what was unpacked that is the complete data set."""
    level = [aside]
    for _ in range(_DEPTH):
        for folder in level:
            if not LAYOUTS[name].missing(folder):
                return folder
        level = sorted(inner for outer in level for inner in outer.iterdir() if inner.is_dir())
    holds = ", ".join(sorted(entry.name for entry in aside.iterdir())[:10])
    raise UserError(
        f"{archive} is not {name}: it holds {holds or 'nothing'}. A right one holds "
        f"{DATASETS[name].holds}. Nothing of it was kept."
    )


def _require_readable(name: str, folder: Path, archive: Path) -> None:
    """Refuse damaged lists and names before the move, by their place in the archive."""
    try:
        LAYOUTS[name].read(name, folder)
    except UserError as error:
        said = str(error).replace(str(folder), str(archive))
        raise UserError(f"{said} Nothing of {archive} was kept.") from None


def _moved(name: str, folder: Path, aside: Path) -> Path:
    """What is renamed: as much of the unpacked as can stay around the data set."""
    top = _top(name)
    accepted = {Path(place) for place in DATASETS[name].folders}
    inside = folder.relative_to(aside).parts
    for depth in range(len(inside)):
        if Path(top, *inside[depth:]) in accepted:
            return aside.joinpath(*inside[:depth])
    return folder
