"""The Jaccard distance by compiled loops over sparse rows, on the CPU.

The rows are stored in an order that keeps neighbours together: what a row needs was mostly read
for the row before, and is still in the cache.
"""

import numpy as np
import torch
from torch import Tensor

from common.clustering import compiled
from common.clustering.blocks import AVERAGING, SUMMING, WEIGHING, in_blocks, telling
from common.clustering.inverted_index import inverted_index, starts_of
from common.clustering.neighbors import Neighbors
from common.clustering.pairs import Pairs, least_shared
from common.clustering.rows import SparseRows

WALKED = 6  # neighbours that the order follows; more or fewer are as good

Block = tuple[np.ndarray, np.ndarray, np.ndarray]


def weights(features: Tensor, neighbors: Neighbors, half: int) -> SparseRows:
    """V: softmax of minus the squared distances over the expanded reciprocal sets."""
    order = np.empty(len(neighbors.rank), np.int32)
    near = min(WALKED, neighbors.rank.shape[1])
    compiled.jaccard.walk_order(neighbors.rank.numpy(), near, order)
    rank = _numbers(order)[neighbors.rank.numpy()[order]]
    mutual = np.empty(rank.shape, np.int16)
    in_blocks(lambda a, b: compiled.jaccard.mutual_positions(rank, mutual, a, b), len(rank))
    fixed = (features.numpy(), order, rank, neighbors.similarity.numpy(), mutual, half)
    parts = in_blocks(
        lambda a, b: compiled.jaccard.weights(*fixed, a, b), len(rank), progress=telling(WEIGHING)
    )
    return _joined(parts, torch.from_numpy(order))


def averages(neighbors: Neighbors, k2: int, rows: SparseRows) -> SparseRows:
    """V': mean of V over the first k2 neighbours, summed in rank order."""
    order = _order(rows)
    rank = _numbers(order)[neighbors.rank[:, :k2].numpy()[order]]
    fixed = (rank, k2, *rows.numpy())
    parts = in_blocks(
        lambda a, b: compiled.jaccard.averages(*fixed, a, b), len(rank), progress=telling(AVERAGING)
    )
    return _joined(parts, rows.order)


def close_pairs(rows: SparseRows, max_distance: float) -> Pairs:
    """Pairs of rows within the distance, by an inverted index over the columns.

    Sums grow in ascending order of the columns' points, however the rows are ordered.
    """
    order = _order(rows)
    index = inverted_index(*rows.numpy(), _numbers(order))
    fixed = (*index, np.float32(least_shared(max_distance)), np.float32(max_distance))

    def near(a: int, b: int) -> Block:
        counts, others, distances = compiled.minima.close_pairs(*fixed, a, b)
        here, there = order[a:b].repeat(counts), order[others]
        return np.minimum(here, there), np.maximum(here, there), distances

    parts = in_blocks(near, len(order), progress=telling(SUMMING))
    first, second, distance = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Pairs(len(order), first, second, distance)


def _order(rows: SparseRows) -> np.ndarray:
    """The point of each row."""
    if rows.order is None:
        return np.arange(len(rows.starts) - 1, dtype=np.int32)
    return rows.order.numpy()


def _numbers(order: np.ndarray) -> np.ndarray:
    """(N,) int32 row of each point."""
    numbers = np.empty_like(order)
    numbers[order] = np.arange(len(order), dtype=order.dtype)
    return numbers


def _joined(parts: list[Block], order: Tensor | None) -> SparseRows:
    """The sparse rows of consecutive blocks as one."""
    counts, columns, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    arrays = [torch.from_numpy(array) for array in (starts_of(counts), columns, values)]
    return SparseRows(arrays[0], arrays[1], arrays[2], order)
