"""Made trees of named data sets: empty files, and the names and counts of Market-1501."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from common.types import Samples

CAMERAS = 6
TRAIN_IMAGES, QUERY_IMAGES, GALLERY_IMAGES = 12_936, 3_368, 13_115  # gallery of the 750
DISTRACTORS, JUNK = 2_798, 3_819  # identities 0 and -1 of the gallery folder


def write(folder: Path, names: Iterable[str]) -> None:
    """Empty files of these names below a folder."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(samples: Samples) -> list[str]:
    """File names of samples, without their folders."""
    return [path.rpartition("/")[2] for path in samples.paths]


def make_market1501(root: Path, image: bytes) -> Path:
    """Write `<root>/market1501/Market-1501-v15.09.15` and return it.

    As published: 751 training identities with 12,936 images; 750 test identities with 3,368
    queries, at most one per camera, and 13,115 gallery images; 2,798 distractors (identity 0);
    3,819 junk images (-1); six cameras. All files are one file with many names where the file
    system allows that.

    Args:
        image: content of every file, e.g. a small JPEG.
    """
    folder = root / "market1501" / "Market-1501-v15.09.15"
    train_ids, test_ids = range(1, 1502, 2), range(2, 1502, 2)
    gallery = [
        *_names(test_ids, GALLERY_IMAGES),
        *_names(range(1), DISTRACTORS),
        *_names(range(-1, 0), JUNK),
    ]
    _write(folder / "bounding_box_train", _names(train_ids, TRAIN_IMAGES), image)
    _write(folder / "query", _names(test_ids, QUERY_IMAGES, frame=0), image)
    _write(folder / "bounding_box_test", gallery, image)
    return folder


def _names(ids: range, images: int, frame: int = 1) -> Iterator[str]:
    """`images` names dealt out to the identities in turn; cameras follow each other."""
    for number in range(images):
        turn, place = divmod(number, len(ids))
        pid, camera = ids[place], (turn + place) % CAMERAS + 1
        text = f"{pid:04d}" if pid >= 0 else "-1"
        yield f"{text}_c{camera}s1_{turn * 25 + frame:06d}_{turn % 10:02d}.jpg"


def _write(folder: Path, names: Iterator[str] | list[str], image: bytes) -> None:
    folder.mkdir(parents=True)
    first: Path | None = None
    for name in names:
        path = folder / name
        if first is None:
            first = path
            path.write_bytes(image)
            continue
        try:
            path.hardlink_to(first)
        except OSError:  # no links here, or too many of one file
            path.write_bytes(image)
