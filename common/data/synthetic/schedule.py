"""Who is seen by which camera how often, and the file that each image becomes."""

from collections.abc import Iterator
from dataclasses import dataclass

from common.data.synthetic.settings import SyntheticSettings
from common.data.synthetic.streams import stream

TRAIN, QUERY, GALLERY = FOLDERS = ("bounding_box_train", "query", "bounding_box_test")


@dataclass(frozen=True)
class Shot:
    """One image to be drawn.

    Args:
        camera: from 0; the file name counts from 1.
        number: from 0, among the images of this person by this camera.
    """

    pid: int
    camera: int
    number: int
    folder: str

    @property
    def name(self) -> str:
        return f"{self.pid:04d}_c{self.camera + 1}s1_{self.number:06d}_00.jpg"


def shots_of(pid: int, settings: SyntheticSettings) -> list[Shot]:
    """The images of one person: 3 to 6 cameras, 3 to 6 images in each.

    Of a test identity the first image in each camera is a query and the others are gallery, so
    every query has matches in another camera. A distractor has one gallery image.
    """
    rng = stream(settings.seed, settings.part, "visits", pid)
    most = min(6, settings.cameras)
    count = int(rng.integers(min(3, most), most + 1))
    cameras = sorted(rng.permutation(settings.cameras)[:count].tolist())
    images = rng.integers(3, 7, count).tolist()
    if pid >= settings.train_ids + settings.test_ids:
        return [Shot(pid, cameras[0], 0, GALLERY)]
    first, others = (TRAIN, TRAIN) if pid < settings.train_ids else (QUERY, GALLERY)
    return [
        Shot(pid, camera, number, first if number == 0 else others)
        for camera, many in zip(cameras, images, strict=True)
        for number in range(many)
    ]


def all_shots(settings: SyntheticSettings) -> Iterator[Shot]:
    """The images of all people, person by person."""
    for pid in range(settings.people):
        yield from shots_of(pid, settings)
