"""Images that are read from their files each time, by worker processes."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from common.data.request import Request, Views
from common.data.transform import augment_image, normalize_image, read_image
from common.errors import UserError
from common.types import Samples

AHEAD = 2  # batches that each worker prepares ahead


class DiskImages:
    """Serve batches image by image: for data that fits into no memory, and as the plain form.

    Args:
        samples: N images.
        height, width: in pixels.
        pad: black pixels added on all sides before the crop.
        device: where batches are wanted.
        workers: processes, each on a batch of its own; 0 works in this process.
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
        loader = DataLoader(
            self.reader,
            sampler=requests,
            batch_size=None,
            num_workers=self.workers,
            prefetch_factor=AHEAD if self.workers else None,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # else it draws a seed from torch's global one
        )
        for views in loader:
            if isinstance(views, str):
                raise UserError(views)
            yield tuple(view.to(self.device, non_blocking=True) for view in views)


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
            return tuple(self._view(request, number) for number in range(request.indices.shape[1]))
        except UserError as error:
            return str(error)

    def _view(self, request: Request, number: int) -> Tensor:
        images = []
        for row, index in enumerate(request.indices[:, number]):
            image = read_image(self.paths[index], self.height, self.width)
            if request.draws is None:
                images.append(normalize_image(image))
            else:
                images.append(augment_image(image, request.draws[number], row, self.pad))
        return torch.stack(images)
