"""MSMT17: the released list files, or the converted layout; faces as filmed (V1) or masked (V2)."""

from collections.abc import Iterator
from pathlib import Path

from common.data import market_layout
from common.data.scan import Row, files_below, lines_of, relabelled, samples_of
from common.errors import UserError, counted, shortened
from common.types import Dataset, Samples

_LISTS = ("list_train.txt", "list_val.txt", "list_query.txt", "list_gallery.txt")
_FOLDERS = {"V1": ("train", "test"), "V2": ("mask_train_v2", "mask_test_v2")}
_CAMERAS = range(1, 16)


def missing_parts(folder: Path) -> list[str]:
    """What is lacking of the layout that is there in part; of the list layout if neither is."""
    converted = market_layout.missing_parts(folder, market_layout.MSMT17)
    lists = [name for name in _LISTS if not (folder / name).is_file()]
    if not converted or (len(lists) == len(_LISTS) and len(converted) < 3):
        return converted
    if _version(folder) is None:
        lists += ["train/ and test/ (V1) or mask_train_v2/ and mask_test_v2/ (V2)"]
    return lists


def read_msmt17(name: str, folder: Path) -> Dataset:
    """Read either layout; list files decide for the list layout, un-masked images for V1.

    Cameras are stored as 0..14 in both. The released loaders of the list layout store 1..15,
    which makes no difference: cameras are only compared.

    Raises:
        UserError: malformed list lines, or listed images that are not there.
    """
    released = _version(folder)
    if released and all((folder / file).is_file() for file in _LISTS):
        return _read_lists(name, folder, released)
    upper = folder.name.upper()
    version = next((v for v in ("V1", "V2") if upper.endswith(v)), "unknown")
    return market_layout.read_market_layout(name, folder, market_layout.MSMT17, version)


def _version(folder: Path) -> str | None:
    for version, parts in _FOLDERS.items():
        if all((folder / part).is_dir() for part in parts):
            return version
    return None


def _read_lists(name: str, folder: Path, version: str) -> Dataset:
    train_part, test_part = _FOLDERS[version]
    there = {
        f"{part}/{image}"
        for part in (train_part, test_part)
        for image in files_below(folder / part)
    }
    problems: list[str] = []

    def split(lists: tuple[str, ...], part: str) -> Samples:
        rows = [row for file in lists for row in _rows(folder / file, part, problems)]
        problems.extend(
            f"{image} is listed, but not there" for image, _, _ in rows if image not in there
        )
        return samples_of(folder, rows)

    train = relabelled(split(("list_train.txt", "list_val.txt"), train_part))
    query = split(("list_query.txt",), test_part)
    gallery = split(("list_gallery.txt",), test_part)
    if problems:
        raise UserError(
            f"{name} at {folder} is damaged, {counted(len(problems), 'line')} of its lists cannot "
            f"be used: {shortened(problems)}. Unpack the data set again."
        )
    names = tuple(map(str, _CAMERAS))
    return Dataset(name, str(folder), train, query, gallery, version, cam_names=names)


def _rows(file: Path, part: str, problems: list[str]) -> Iterator[Row]:
    """Identity and camera come from the file name, fields 1 and 3; the label in the list is
    ignored, as in the released code.
    """
    for number, line in enumerate(lines_of(file), start=1):
        if not line.strip():
            continue
        image = line.split()[0]
        fields = image.rpartition("/")[2].split("_")
        if len(fields) > 3 and fields[0].isdecimal() and fields[2].isdecimal():
            camera = int(fields[2])
            if camera in _CAMERAS:
                yield f"{part}/{image}", int(fields[0]), camera - 1
                continue
        problems.append(
            f"{file.name} line {number} ({line.strip()[:60]}) names no identity and camera"
        )
