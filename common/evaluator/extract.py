"""Features of a set of images, in image order, shared out over the processes of a run."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from common.backbones.encoder import Encoder
from common.data.images import ImageSource, Request
from common.team import Team

Progress = Callable[[int, int], None]


@torch.no_grad()
def extract(
    encoder: Encoder,
    images: ImageSource,
    team: Team,
    batch_size: int = 256,
    progress: Progress | None = None,
) -> Tensor:
    """Features of all images: evaluation mode, test transform, single view.

    Args:
        encoder: left in evaluation mode; rank 0's running statistics are used on all ranks.
        images: N images.
        team: each process extracts an equal share; all receive the whole.
        batch_size: images at a time; does not change the result beyond rounding.
        progress: called with images done and images in all, of this process.

    Returns:
        (N, D) float32 unit rows on the team's device.
    """
    team.copy_buffers(encoder)
    encoder.eval()
    count = len(images)
    part = -(-count // team.size)
    mine = np.arange(team.rank * part, (team.rank + 1) * part).clip(max=count - 1)
    rows = []
    for (batch,) in images.batches(_requests(mine, batch_size)):
        rows.append(encoder(batch).float())
        if progress:
            progress(min(len(rows) * batch_size, part), part)
    return team.gather_rows(torch.cat(rows))[:count]


def _requests(indices: np.ndarray, batch_size: int) -> Iterator[Request]:
    for start in range(0, len(indices), batch_size):
        yield Request(indices[start : start + batch_size, None], None)
