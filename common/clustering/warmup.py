"""Compile the kernels before they are needed."""

import torch
import torch.nn.functional as F

from common.arithmetic import has_fast_bfloat16
from common.clustering import candidates, compiled
from common.clustering.jaccard import jaccard_pairs
from common.clustering.similarity import pair_similarities


def warm_up(device: torch.device) -> None:
    """Run every kernel that labels need there, so that it is compiled or read from its cache.

    Takes about ten seconds the first time on a machine, a fraction of a second later.

    Args:
        device: of the features; only the form for CPUs is compiled.
    """
    if device.type != "cpu":
        return
    generator = torch.Generator().manual_seed(0)
    size = candidates.BLOCK // 4 + 64  # two blocks: one of their products is off the diagonal
    features = F.normalize(torch.randn(size, 8, generator=generator), dim=1)
    if compiled.usable(features):
        fast = has_fast_bfloat16(features.device)
        for dtype in (torch.bfloat16, torch.float32) if fast else (torch.float32,):
            candidates.from_triangle(features, 20, dtype, range(size))
    pair_similarities(features, torch.arange(4), torch.arange(4))
    jaccard_pairs(features[:64], 8, 3, 0.9)
