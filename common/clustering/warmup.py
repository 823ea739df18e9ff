"""Compile the kernels before they are needed."""

import torch
import torch.nn.functional as F

from common.clustering.jaccard import jaccard_pairs


def warm_up() -> None:
    """Cluster a few points, so that every kernel is compiled or read from its cache.

    Takes some seconds the first time on a machine, milliseconds later.
    """
    generator = torch.Generator().manual_seed(0)
    jaccard_pairs(F.normalize(torch.randn(64, 8, generator=generator), dim=1), 8, 3, 0.9)
