"""Images that are read from their files each time, by worker processes."""

import functools
import logging
from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from common.data.augment import Draw
from common.data.request import Request, Views
from common.data.transform import augment_image, normalize_image, read_image
from common.errors import UserError
from common.room import shared_room
from common.types import Samples

AHEAD = 2  # batches that each worker prepares ahead
HELD = 2  # batches that the caller has not let go yet

_log = logging.getLogger(__name__)


class DiskImages:
    """Serve batches image by image: for data that fits into no memory, and as the plain form.

    Args:
        samples: N images.
        height, width: in pixels.
        pad: black pixels added on all sides before the crop.
        device: where batches are wanted.
        workers: processes, each on a batch of its own; 0 works in this process. Fewer are started
            where their batches would not fit into shared memory.
    """

    def __init__(
        self,
        samples: Samples,
        height: int,
        width: int,
        pad: int,
        device: torch.device,
        workers: int,
    ) -> None:
        self.reader = _Reader(samples.paths.tolist(), height, width, pad)
        self.device = device
        self.workers = workers

    def __len__(self) -> int:
        return len(self.reader.paths)

    def batches(self, requests: Iterable[Request]) -> Iterator[Views]:
        """Views on the device, in the order of the requests.

        Up to two requests per worker are taken ahead.

        Raises:
            UserError: an image cannot be read.
        """
        waiting = iter(requests)
        first = next(waiting, None)
        if first is None:
            return
        workers = self._fitting_workers(first)
        loader = DataLoader(
            self.reader,
            sampler=chain([first], waiting),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=AHEAD if workers else None,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # else it draws a seed from torch's global one
        )
        for views in loader:
            if isinstance(views, str):
                raise UserError(views)
            yield tuple(view.to(self.device, non_blocking=True) for view in views)

    def _fitting_workers(self, request: Request) -> int:
        """How many can answer such requests: without room their batches would never arrive."""
        size = request.indices.size * 3 * self.reader.height * self.reader.width * 4  # float32
        fitting = max((shared_room() // size - HELD) // AHEAD, 0)
        if fitting < self.workers:
            _report_little_room(fitting, size)
        return min(self.workers, fitting)


@functools.cache
def _report_little_room(workers: int, size: int) -> None:
    _log.warning(
        "%d worker processes read images: shared memory (/dev/shm) has no room for the batches of "
        "more, %.0f MB each. Give a container more, e.g. by --shm-size=8g, or take --images host.",
        workers,
        size / 1e6,
    )


class _Reader(Dataset):
    """Answers requests; what a worker process gets a copy of."""

    def __init__(self, paths: list[str], height: int, width: int, pad: int) -> None:
        self.paths = paths
        self.height = height
        self.width = width
        self.pad = pad

    def __getitem__(self, request: Request) -> Views | str:
        """The views, or what a `UserError` said: raised in a worker, it would arrive with the
        worker's traceback in its text."""
        try:
            return tuple(self._view(indices, draw) for indices, draw in request.views())
        except UserError as error:
            return str(error)

    def _view(self, indices: np.ndarray, draw: Draw | None) -> Tensor:
        images = []
        for row, index in enumerate(indices):
            image = read_image(self.paths[index], self.height, self.width)
            if draw is None:
                images.append(normalize_image(image))
            else:
                images.append(augment_image(image, draw, row, self.pad))
        return torch.stack(images)
