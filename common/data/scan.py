"""Names of image files on disk, and the samples made of them."""

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from common.errors import explained
from common.types import Samples

Row = tuple[str, int, int]
"""Name relative to the data set's folder, identity, camera."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_UNREAD = (".heic", ".heif", ".avif", ".gif", ".tif", ".tiff", ".jfif", ".jp2", ".ppm", ".pgm")


def jpegs(folder: Path) -> list[str]:
    """Names that `*.jpg` matches in a folder: no hidden files, no upper-case endings.

    The released loaders list files this way, so what they ignore is no part of a named set.
    """
    return [name for name in _shown(folder) if name.endswith(".jpg")]


def images(folder: Path) -> list[str]:
    """Image names in a folder, of every kind that own folders may hold."""
    return [name for name in _shown(folder) if is_image(name)]


def files_below(folder: Path) -> list[str]:
    """All files below a folder, as relative names with "/"; hidden ones are left out.

    Links to folders are followed, each folder once, so a link to a parent does no harm. Of several
    names of one folder the first in ascending order counts.
    """
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    waiting = [("", folder)]
    while waiting:
        prefix, here = waiting.pop()
        with explained(f"{here} cannot be read"):
            status = here.stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in sorted(_entries(here), key=lambda entry: entry.name, reverse=True):
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                waiting.append((f"{prefix}{entry.name}/", Path(entry.path)))
            else:
                found.append(prefix + entry.name)
    return found


def lines_of(file: Path) -> list[str]:
    """Lines of a list of images; bytes that are not UTF-8 are kept, as they are in names of files.

    Raises:
        UserError: the file cannot be read.
    """
    with explained(f"{file} cannot be read"):
        return file.read_text("utf-8", "surrogateescape").splitlines()


def is_image(name: str) -> bool:
    """Whether the ending is that of an image, in any case."""
    return name.lower().endswith(SUFFIXES)


def is_unread(name: str) -> bool:
    """Whether the ending is that of an image of a kind that is not read."""
    return name.lower().endswith(_UNREAD)


def composed(text: str) -> str:
    """The text with every accent in one character with its letter (NFC).

    macOS writes names with the accents apart, most keyboards and programs do not. Readers see no
    difference, so names that differ in nothing else are taken for equal where they are looked up.
    """
    return unicodedata.normalize("NFC", text)


def samples_of(folder: Path, rows: Iterable[Row]) -> Samples:
    """Samples in the order of their relative names as plain strings."""
    ordered = sorted(rows)
    paths = np.empty(len(ordered), dtype=object)
    paths[:] = [f"{folder}/{name}" for name, _, _ in ordered]
    pids = np.array([pid for _, pid, _ in ordered], dtype=np.int64)
    cams = np.array([cam for _, _, cam in ordered], dtype=np.int64)
    return Samples(paths, pids, cams)


def relabelled(samples: Samples) -> Samples:
    """The same with identities 0..S-1 in ascending order of the old ones; -1 stays -1.

    The released loaders enumerate a Python set; for DukeMTMC-reID its order is not ascending.
    That permutes class numbers only.
    """
    pids = samples.pids.copy()
    known = pids >= 0
    pids[known] = np.unique(pids[known], return_inverse=True)[1]
    return Samples(samples.paths, pids, samples.cams)


def numbered(values: Iterable[int | str]) -> dict[int | str, int]:
    """Distinct values in ascending order, numbered from 0."""
    return {value: number for number, value in enumerate(sorted(set(values)))}


def _shown(folder: Path) -> list[str]:
    """Names of all that is neither hidden nor a folder."""
    names = [entry.name for entry in _entries(folder) if not _is_folder(entry)]
    return [name for name in names if not name.startswith(".")]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with explained(f"{folder} cannot be listed"), os.scandir(folder) as entries:
        return list(entries)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # e.g. a link to itself; whoever reads it as a file says what is wrong
        return False
