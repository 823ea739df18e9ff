"""Features of a set of images, in image order, shared out over the processes of a run."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from common.backbones.network import EXTRACTED_AT_ONCE, Encoder
from common.data.request import ImageSource, Request
from common.team import Team
from common.types import Tick


@torch.no_grad()
def extract(
    encoder: Encoder,
    images: ImageSource,
    team: Team,
    progress: Tick | None = None,
) -> Tensor:
    """Features of all images: evaluation mode, test transform, single view.

    Args:
        encoder: left in evaluation mode; rank 0's running statistics are used on all ranks.
        images: N images.
        team: each process extracts a part; all receive the whole.
        progress: called with images done and images in all, of this process.

    Returns:
        (N, D) float32 unit rows on the team's device.
    """
    team.copy_buffers(encoder)
    encoder.eval()
    features = torch.empty(len(images), encoder.num_features, device=team.device)
    part = team.part(len(images))
    done = 0
    for (batch,) in images.batches(_requests(part)):
        start, done = part.start + done, done + len(batch)
        features[start : part.start + done] = encoder(batch)
        if progress:
            progress(done, len(part))
    return team.complete_(features)


def _requests(part: range) -> Iterator[Request]:
    for start in part[::EXTRACTED_AT_ONCE]:
        indices = np.arange(start, min(start + EXTRACTED_AT_ONCE, part.stop))
        yield Request(indices[:, None], None)
