"""The images of a split as batches on the device, wherever they are kept."""

from typing import Literal

import torch

from common.cores import own_cores
from common.data.cached_images import CachedImages, read_pixels
from common.data.disk_images import DiskImages
from common.data.request import ImageSource
from common.errors import UserError
from common.recipe import Augment
from common.room import device_room, host_room
from common.types import Samples, Tick

Kind = Literal["auto", "device", "host", "disk"]

DEVICE_SHARE = 0.25  # of the free GPU memory, per split; training needs the rest
HOST_SHARE = 0.4  # of the free main memory, per split
MOST_WORKERS = 8


def open_images(
    samples: Samples,
    height: int,
    width: int,
    augment: Augment,
    device: torch.device,
    kind: Kind = "auto",
    workers: int | None = None,
    progress: Tick | None = None,
) -> ImageSource:
    """An image source for a split. The kind changes speed and memory, never a number.

    Args:
        samples: N images; keeping them takes N x 3 x H x W bytes.
        height, width: size of the batches' images in pixels.
        augment: gives the padding; everything drawn comes with the requests.
        device: where batches are wanted.
        kind: keep decoded images on the device, on the host, or read the files each time;
            "auto" takes the first of these with room to spare. On a CPU, "device" is "host".
        workers: threads or processes that read files; None takes the machine's cores, at
            most 8.
        progress: called with images read and images in all, while the cache fills.

    Raises:
        UserError: an image cannot be read, or there is no room for the kind asked for.
    """
    workers = usual_workers() if workers is None else workers
    needed = len(samples) * 3 * height * width
    place = place_of(needed, device, kind)
    if place == "disk":
        return DiskImages(samples, height, width, augment.pad, device, workers)
    home = device if place == "device" else torch.device("cpu")
    _require_room(needed, home)
    pixels = read_pixels(samples, height, width, home, workers, progress)
    return CachedImages(pixels, augment.pad, device)


def usual_workers() -> int:
    """Threads or processes that read files where nobody chose their number."""
    return min(own_cores(), MOST_WORKERS)


def place_of(needed: int, device: torch.device, kind: Kind) -> Kind:
    """Where so many bytes of images are kept: as asked for, or the first with room to spare."""
    if kind != "auto":
        return kind
    if needed <= DEVICE_SHARE * device_room(device):
        return "device"
    return "host" if needed <= HOST_SHARE * host_room() else "disk"


def _require_room(needed: int, home: torch.device) -> None:
    room = device_room(home) if home.type == "cuda" else host_room()
    if needed > room:
        raise UserError(
            f"keeping the images on {home} takes {needed / 1e9:.1f} GB, and {room / 1e9:.1f} GB "
            "are free there. Use --images disk, or leave the choice to --images auto."
        )
