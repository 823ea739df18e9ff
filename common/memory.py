"""Rules by which memory banks start and move. All work without gradient; `_` means in place."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.types import MemoryUpdate, PseudoLabels

Rule = Callable[[Tensor, Tensor, Tensor, float], None]
"""An update rule: bank (M, D) changed in place, rows (B,), embeddings (B, D), momentum."""


@torch.no_grad()
def class_means(features: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Mean feature of every class; rows with a negative label belong to none.

        c_k = sum_{i: y_i = k} f_i / n_k

    Args:
        features: (N, D).
        labels: (N,) int64 in [-1, C).
        num_classes: C. A class without members gets a row of zeros.

    Returns:
        (C, D), not normalized.
    """
    slot = labels.where(labels >= 0, num_classes)  # one row more takes those of no class
    sums = features.new_zeros(num_classes + 1, features.shape[1]).index_add_(0, slot, features)
    counts = torch.bincount(slot, minlength=num_classes + 1)[:num_classes].clamp(min=1)
    return sums[:num_classes] / counts[:, None]


def centroids(features: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Unit-length class means (C, D): how cluster memories start. See `class_means`."""
    return F.normalize(class_means(features, labels, num_classes), dim=1)


def turn_of(rows: Tensor) -> Tensor:
    """Count how often each row id occurred earlier in the batch: [7, 2, 7, 7] -> [0, 0, 1, 2]."""
    order, turn, _ = _mentions(rows)
    return torch.empty_like(rows).scatter_(0, order, turn)


def _mentions(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The batch sorted by row: positions, how often each row came before, how often in all."""
    ordered, order = torch.sort(rows, stable=True)
    first = torch.searchsorted(ordered, ordered)
    count = torch.searchsorted(ordered, ordered, right=True) - first
    return order, torch.arange(len(rows), device=rows.device) - first, count


@torch.no_grad()
def blend_rows_(bank: Tensor, rows: Tensor, embeddings: Tensor, momentum: float | Tensor) -> None:
    """Blend every embedding into its row, one after the other in batch order.

        bank[r] <- v / |v|,  v = momentum * bank[r] + (1 - momentum) * embedding

    A row named k times is blended and normalized k times, so the last sample weighs
    most; averaging the k samples first would give another memory. Rows do not touch
    each other, hence the n-th mention of every row is handled at once: K small steps
    for K instances per identity, instead of B, bit for bit the same. The norm has no
    epsilon, as in the released code.

    Args:
        bank: (M, D) unit rows, changed in place.
        rows: (B,) int64 row ids in [0, M).
        embeddings: (B, D) unit vectors.
        momentum: share of the old row that is kept, in [0, 1]; (B,) where it differs.
    """
    order, turn, count = _mentions(rows)
    # Rows mentioned most come first in every turn: those still moving are a head of the block.
    order = order[torch.argsort(turn * len(rows) - count, stable=True)]
    sizes = torch.bincount(turn, minlength=1).tolist()  # the only wait for the GPU
    present = rows[order[: sizes[0]]]
    block = bank.index_select(0, present)
    for now in order.split(sizes):
        kept = momentum[now, None] if isinstance(momentum, Tensor) else momentum
        moving = block[: len(now)]
        moving.mul_(kept).add_(embeddings.index_select(0, now).mul_(1 - kept))
        moving.div_(torch.linalg.vector_norm(moving, dim=1, keepdim=True))
    bank.index_copy_(0, present, block)


@torch.no_grad()
def hardest_members(bank: Tensor, rows: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """For every row named in the batch, the embedding least similar to it.

    Args:
        bank: (M, D) rows before the update.
        rows: (B,) int64 row of every embedding.
        embeddings: (B, D).

    Returns:
        present (P,) ascending row ids, position (P,) of the hardest embedding in the batch;
        the first one in batch order on a tie.
    """
    similarity = bank.index_select(0, rows).mul_(embeddings).sum(dim=1)
    by_similarity = torch.argsort(similarity, stable=True)
    by_row = torch.argsort(rows[by_similarity], stable=True)
    order = by_similarity[by_row]  # rows ascending, hardest first within a row
    ordered = rows[order]
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first], order[first]


@torch.no_grad()
def hardest_and_mean(
    bank: Tensor, rows: Tensor, embeddings: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """For every row named in the batch, its hardest embedding and the mean of its embeddings.

    Args:
        bank: (M, D) rows that decide which embedding is hardest (smallest inner product).
        rows: (B,) int64 row of every embedding.
        embeddings: (B, D).

    Returns:
        present (P,) ascending row ids, hardest (P, D), mean (P, D); the mean is not normalized.
    """
    present, position = hardest_members(bank, rows, embeddings)
    slot = torch.searchsorted(present, rows)
    return present, embeddings[position], class_means(embeddings, slot, len(present))


def blend_hardest_(bank: Tensor, rows: Tensor, embeddings: Tensor, momentum: float) -> None:
    """Blend into every row named in the batch its hardest embedding, once.

        bank[r] <- v / |v|,  v = momentum * bank[r] + (1 - momentum) * argmin_z (z . bank[r])

    The "hard" update of Cluster Contrast (Dai et al., 2022, arXiv:2103.11568). Arguments as in
    `blend_rows_`.
    """
    present, position = hardest_members(bank, rows, embeddings)
    blend_rows_(bank, present, embeddings[position], momentum)


def blend_mean_(bank: Tensor, rows: Tensor, embeddings: Tensor, momentum: float) -> None:
    """Blend into every row named in the batch the plain mean of its embeddings, once.

        bank[r] <- v / |v|,  v = momentum * bank[r] + (1 - momentum) * mean z

    The mean is not normalized before it is blended. Arguments as in `blend_rows_`.
    """
    present, slot = torch.unique(rows, return_inverse=True)
    blend_rows_(bank, present, class_means(embeddings, slot, len(present)), momentum)


class ClusterMemory(nn.Module):
    """One unit row per cluster, moved by a rule.

    The bank lives one epoch and is rebuilt from features, so it stays out of checkpoints.

    Args:
        rows: (C, D) unit rows.
        momentum: share of the old row that is kept.
        rule: how a batch moves the rows, e.g. `blend_rows_`.
    """

    rows: Tensor

    def __init__(self, rows: Tensor, momentum: float, rule: Rule) -> None:
        super().__init__()
        self.momentum = momentum
        self.rule = rule
        self.register_buffer("rows", rows.clone(), persistent=False)

    def update(self, seen: MemoryUpdate) -> None:
        self.rule(self.rows, seen.labels, seen.embeddings, self.momentum)


class HybridMemory(nn.Module):
    """Two unit prototypes per cluster, both started at the cluster's centroid ("CMhybrid").

    `hard` follows the batch member least similar to it, `mean` follows the average of
    the batch members. Each cluster in the batch moves once per iteration. The bank lives
    one epoch and is rebuilt from features, so its buffers stay out of checkpoints.

    Args:
        centroids: (C, D) unit rows.
        momentum: share of the old prototype that is kept.
    """

    hard: Tensor
    mean: Tensor

    def __init__(self, centroids: Tensor, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("hard", centroids.clone(), persistent=False)
        self.register_buffer("mean", centroids.clone(), persistent=False)

    def update(self, seen: MemoryUpdate) -> None:
        clusters, hardest, mean = hardest_and_mean(self.hard, seen.labels, seen.embeddings)
        blend_rows_(self.hard, clusters, hardest, self.momentum)
        blend_rows_(self.mean, clusters, mean, self.momentum)


def cluster_centroids(features: Tensor, pseudo: PseudoLabels) -> Tensor:
    """Unit centroids (C, D) of the epoch's clusters from its features (N, D)."""
    labels = torch.as_tensor(pseudo.labels, device=features.device)
    return centroids(features, labels, pseudo.num_classes)
