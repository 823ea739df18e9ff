"""Images that are decoded and resized once and kept as bytes on the device or on the host."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from common.data.augment import Draw
from common.data.host_batch import host_batch
from common.data.pixels import transform_batch
from common.data.request import Request, Views
from common.data.transform import read_image
from common.transfer import on_device
from common.types import Samples, Tick

BLOCK = 1024  # images read before they move to the device


class CachedImages:
    """Serve batches from resized images in memory.

    Resizing is the first and only fixed step of the transform, so keeping its result changes
    nothing: every random step is still drawn anew for every image.

    Bytes on the host for a GPU cross over as bytes, a quarter of the finished batch, and are
    transformed there.

    Args:
        pixels: (N, 3, H, W) uint8 on the host or on `device`; 98 KB per 256 x 128 image.
        pad: black pixels added on all sides before the crop.
        device: where batches are wanted.
    """

    def __init__(self, pixels: Tensor, pad: int, device: torch.device) -> None:
        self.pixels = pixels
        self.pad = pad
        self.device = device

    def __len__(self) -> int:
        return len(self.pixels)

    def batches(self, requests: Iterable[Request]) -> Iterator[Views]:
        """Views on the device, in the order of the requests. None is taken ahead."""
        for request in requests:
            yield tuple(self._view(index, draw) for index, draw in request.views())

    def _view(self, index: np.ndarray, draw: Draw | None) -> Tensor:
        if self.device.type == "cpu":
            return host_batch(self.pixels, index, draw, self.pad)
        return transform_batch(self._gather(index), draw, self.pad)

    def _gather(self, index: np.ndarray) -> Tensor:
        """(B, 3, H, W) uint8 on the device, without waiting for it."""
        if self.pixels.device.type != "cpu":
            return self.pixels[on_device(index, self.device)]
        pinned = self.device.type == "cuda"
        shape = (len(index), *self.pixels.shape[1:])
        chosen = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
        torch.index_select(self.pixels, 0, torch.from_numpy(index), out=chosen)
        return chosen.to(self.device, non_blocking=True)


def read_pixels(
    samples: Samples,
    height: int,
    width: int,
    device: torch.device,
    workers: int,
    progress: Tick | None = None,
) -> Tensor:
    """Decode and resize all images.

    Args:
        device: where the result lies; the host never holds more than a block for a GPU.
        workers: threads; Pillow decodes and resizes outside the interpreter's lock.
        progress: called with the number of images done and in all.

    Returns:
        (N, 3, H, W) uint8.

    Raises:
        UserError: an image cannot be read.
    """
    count = len(samples)
    pixels = torch.empty(count, 3, height, width, dtype=torch.uint8, device=device)

    def read(path: str) -> Tensor:
        image = np.array(read_image(path, height, width))
        return torch.from_numpy(image).permute(2, 0, 1)

    with ThreadPoolExecutor(max(workers, 1)) as pool:
        for start in range(0, count, BLOCK):
            paths = samples.paths[start : start + BLOCK]
            block = torch.stack(list(pool.map(read, paths)))
            pixels[start : start + BLOCK] = block
            if progress:
                progress(start + len(block), count)
    return pixels
