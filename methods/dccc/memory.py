"""The similarity-weighted update of DCCC's cluster memory ("DyCL")."""

import numpy as np
import torch
from torch import Tensor

from common.memory import blend_distinct_, by_row, group_sums
from common.transfer import on_device


@torch.no_grad()
def blend_weighted_(
    bank: Tensor, rows: np.ndarray, embeddings: Tensor, momentum: float, *, temperature: float
) -> None:
    """Blend into every row named in the batch a mean that favours its far embeddings, once.

        bank[r] <- v / |v|,  v = momentum * bank[r] + (1 - momentum) * sum_i a_i z_i
        a = softmax_i(-z_i . bank[r] / t)   over the embeddings of the row

    He et al., 2023, arXiv:2303.06810. The weighted mean is not normalized before it is blended;
    t -> 0 gives the hardest embedding, t -> infinity the plain mean.

    Args:
        bank: (M, D) unit rows, changed in place.
        rows: (B,) int64 row ids, on the host.
        embeddings: (B, D) unit vectors.
        momentum: share of the old row that is kept.
        temperature: t > 0.
    """
    order, starts, counts = by_row(rows)
    present = rows[order[starts]]
    slots = np.arange(len(present)).repeat(counts)
    parts = (order, starts, slots, rows[order])
    places, begin, slot, named = (on_device(part, bank.device) for part in parts)
    z = embeddings.index_select(0, places)
    score = -(z * bank[named]).sum(dim=1) / temperature
    top = score.new_full((len(present),), -torch.inf)
    top = top.scatter_reduce(0, slot, score, "amax")
    weight = torch.exp(score - top[slot])[:, None]
    in_turn = torch.arange(len(rows), device=bank.device)
    total = group_sums(weight, in_turn, begin)
    means = group_sums(weight / total[slot] * z, in_turn, begin)
    blend_distinct_(bank, present, means, momentum)
