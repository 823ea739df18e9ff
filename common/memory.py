"""Rules by which memory banks start and move. All work without gradient; `_` means in place.

The rows that a batch names are given on the host, as NumPy arrays: how often each is named
decides the shapes and the number of steps, and to learn that from a device is to wait for it.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from common.transfer import on_device

Rule = Callable[[Tensor, np.ndarray, Tensor, float], None]
"""An update rule: bank (M, D) changed in place, rows (B,) of it, embeddings (B, D), momentum."""


@torch.no_grad()
def group_sums(values: Tensor, order: Tensor, starts: Tensor) -> Tensor:
    """Sum of every group's rows, added in the given order on every device.

    So all ranks get the same bits, as they would not by atomic additions.

    Args:
        values: (B, D).
        order: (B,) int64 rows of `values`, one group after the other.
        starts: (P,) int64 where each group begins; a group may be empty.

    Returns:
        (P, D).
    """
    return F.embedding_bag(order, values, starts, mode="sum")


@torch.no_grad()
def class_means(features: Tensor, labels: np.ndarray, num_classes: int) -> Tensor:
    """Mean feature of every class; rows with a negative label belong to none.

        c_k = sum_{i: y_i = k} f_i / n_k

    Args:
        features: (N, D).
        labels: (N,) int64 in [-1, C).
        num_classes: C. A class without members gets a row of zeros.

    Returns:
        (C, D), not normalized.
    """
    order, starts = members_by_class(labels, num_classes)
    members = order[starts[0] :]  # those of no class come first
    counts = np.diff(starts).clip(min=1)
    parts = (members, starts[:-1] - starts[0], counts[:, None])
    order_on, starts_on, counts_on = (on_device(part, features.device) for part in parts)
    return group_sums(features, order_on, starts_on) / counts_on


def members_by_class(labels: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (N,) by class, ascending, and (C + 1,) where each class's begin, and the last one's end.

    Those with a negative label come first.
    """
    order = np.argsort(labels, kind="stable")
    return order, np.searchsorted(labels[order], np.arange(num_classes + 1))


def centroids(features: Tensor, labels: np.ndarray, num_classes: int) -> Tensor:
    """Unit-length class means (C, D): how cluster memories start. See `class_means`."""
    return F.normalize(class_means(features, labels, num_classes), dim=1)


def turn_of(rows: np.ndarray) -> np.ndarray:
    """Count how often each row id occurred earlier in the batch: [7, 2, 7, 7] -> [0, 0, 1, 2]."""
    order, starts, counts = by_row(rows)
    turn = np.empty_like(order)
    turn[order] = np.arange(len(rows)) - starts.repeat(counts)
    return turn


def last_mentions(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct row ids (P,), ascending, and the position (P,) at which each is named last."""
    present, from_end = np.unique(rows[::-1], return_index=True)
    return present, len(rows) - 1 - from_end


def by_row(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A batch grouped by row, rows ascending, a row's positions in batch order.

    Args:
        rows: (B,) int64 row ids, not negative.

    Returns:
        order (B,) positions in the batch, starts (P,) where in it each row's begin, counts (P,).
    """
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    first = np.ones(len(rows), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    starts = np.flatnonzero(first)
    return order, starts, np.diff(np.append(starts, len(rows)))


@torch.no_grad()
def blend_rows_(
    bank: Tensor, rows: np.ndarray, embeddings: Tensor, momentum: float | Tensor
) -> None:
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
    order, starts, counts = by_row(rows)
    turn = np.arange(len(rows)) - starts.repeat(counts)
    # Rows mentioned most come first in every turn: those still moving are a head of the block.
    order = order[np.argsort(turn * len(rows) - counts.repeat(counts), kind="stable")]
    sizes = np.bincount(turn, minlength=1).tolist()
    present = on_device(rows[order[: sizes[0]]], bank.device)
    block = bank.index_select(0, present)
    for now in on_device(order, bank.device).split(sizes):
        kept = momentum[now, None] if isinstance(momentum, Tensor) else momentum
        _blend_(block[: len(now)], embeddings.index_select(0, now), kept)
    bank.index_copy_(0, present, block)


def _blend_(block: Tensor, embeddings: Tensor, kept: float | Tensor) -> None:
    """One blend of as many rows; both are changed in place."""
    block.mul_(kept).add_(embeddings.mul_(1 - kept))
    block.div_(torch.linalg.vector_norm(block, dim=1, keepdim=True))


@torch.no_grad()
def blend_distinct_(bank: Tensor, rows: np.ndarray, embeddings: Tensor, momentum: float) -> None:
    """`blend_rows_` where no row is named twice: one step.

    Args:
        embeddings: (B, D); scratch space, changed in place.
    """
    present = on_device(rows, bank.device)
    block = bank.index_select(0, present)
    _blend_(block, embeddings, momentum)
    bank.index_copy_(0, present, block)


@torch.no_grad()
def hardest_members(
    bank: Tensor, rows: np.ndarray, embeddings: Tensor
) -> tuple[np.ndarray, Tensor]:
    """For every row named in the batch, the embedding least similar to it.

    Args:
        bank: (M, D) rows before the update.
        rows: (B,) int64 row of every embedding.
        embeddings: (B, D).

    Returns:
        present (P,) ascending row ids, position (P,) of the hardest embedding in the batch;
        the first one in batch order on a tie.
    """
    order, starts, counts = by_row(rows)
    places = np.arange(counts.max(initial=1)) + starts[:, None]
    # (P, K) positions of each row's embeddings, filled up with the last: it changes no minimum.
    table = order[np.minimum(places, (starts + counts - 1)[:, None])]
    members, named = (on_device(part, bank.device) for part in (table, rows))
    similarity = bank.index_select(0, named).mul_(embeddings).sum(dim=1)
    hardest = similarity[members].argmin(dim=1, keepdim=True)
    return rows[order[starts]], members.gather(1, hardest).squeeze(1)


@torch.no_grad()
def hardest_and_mean(
    bank: Tensor, rows: np.ndarray, embeddings: Tensor
) -> tuple[np.ndarray, Tensor, Tensor]:
    """For every row named in the batch, its hardest embedding and the mean of its embeddings.

    Args:
        bank: (M, D) rows that decide which embedding is hardest (smallest inner product).
        rows: (B,) int64 row of every embedding.
        embeddings: (B, D).

    Returns:
        present (P,) ascending row ids, hardest (P, D), mean (P, D); the mean is not normalized.
    """
    present, position = hardest_members(bank, rows, embeddings)
    _, mean = row_means(rows, embeddings)
    return present, embeddings.index_select(0, position), mean


@torch.no_grad()
def row_means(rows: np.ndarray, embeddings: Tensor) -> tuple[np.ndarray, Tensor]:
    """Distinct rows (P,), ascending, and the mean (P, D) of each one's embeddings."""
    order, starts, counts = by_row(rows)
    parts = (order, starts, counts[:, None])
    order_on, starts_on, counts_on = (on_device(part, embeddings.device) for part in parts)
    return rows[order[starts]], group_sums(embeddings, order_on, starts_on) / counts_on


def blend_hardest_(bank: Tensor, rows: np.ndarray, embeddings: Tensor, momentum: float) -> None:
    """Blend into every row named in the batch its hardest embedding, once.

        bank[r] <- v / |v|,  v = momentum * bank[r] + (1 - momentum) * argmin_z (z . bank[r])

    The "hard" update of Cluster Contrast (Dai et al., 2022, arXiv:2103.11568). Arguments as in
    `blend_rows_`.
    """
    present, position = hardest_members(bank, rows, embeddings)
    blend_distinct_(bank, present, embeddings.index_select(0, position), momentum)


def blend_mean_(bank: Tensor, rows: np.ndarray, embeddings: Tensor, momentum: float) -> None:
    """Blend into every row named in the batch the plain mean of its embeddings, once.

        bank[r] <- v / |v|,  v = momentum * bank[r] + (1 - momentum) * mean z

    The mean is not normalized before it is blended. Arguments as in `blend_rows_`.
    """
    blend_distinct_(bank, *row_means(rows, embeddings), momentum)
