"""Memory banks of DSGL: cluster prototypes, and the latest feature of every image."""

import torch
from torch import Tensor, nn

from common.memory import turn_of


class InstanceTable(nn.Module):
    """The latest feature of every image, started from the epoch's features; lives one epoch.

    Written between two loss terms of a step, unlike every other bank: the released code
    evaluates its disentangled loss before and after the batch has been written.

    Args:
        features: (N, D) unit rows of all images, outliers included.
    """

    features: Tensor

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.register_buffer("features", features.clone(), persistent=False)

    @torch.no_grad()
    def write(self, indices: Tensor, embeddings: Tensor) -> None:
        """Replace the rows of the batch's images; the last one stays where an image repeats."""
        counts = torch.bincount(indices, minlength=len(self.features))
        last = turn_of(indices) + 1 == counts[indices]
        self.features[indices[last]] = embeddings[last]
