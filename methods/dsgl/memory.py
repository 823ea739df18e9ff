"""The memory bank of DSGL's own: the latest feature of every image."""

import numpy as np
import torch
from torch import Tensor, nn

from common.memory import last_mentions
from common.transfer import on_device


class InstanceTable(nn.Module):
    """The latest feature of every image, started from the epoch's features; lives one epoch.

    Written between two loss terms of a step, unlike every other bank: the released code
    evaluates its disentangled loss before and after the batch has been written.

    Args:
        features: (N, D) unit rows of all images, outliers included; changed in place, because a
            copy takes as much memory again.
    """

    features: Tensor

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.register_buffer("features", features, persistent=False)

    @torch.no_grad()
    def write(self, indices: np.ndarray, embeddings: Tensor) -> None:
        """Replace the rows of the batch's images; the last one stays where an image repeats."""
        images, last = (on_device(part, self.features.device) for part in last_mentions(indices))
        self.features.index_copy_(0, images, embeddings.index_select(0, last))
