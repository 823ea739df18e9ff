"""The Jaccard distance by compiled loops over sparse rows, on the CPU.

The rows are stored in an order that keeps neighbours together: what a row needs was mostly read
for the row before, and is still in the cache.
"""

import numpy as np
import torch
from torch import Tensor

from common.clustering import compiled
from common.clustering.blocks import AVERAGING, SUMMING, WEIGHING, in_blocks, telling
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
    ranked = neighbors.similarity.numpy()[order]
    mutual = np.empty(rank.shape, np.int16)
    in_blocks(lambda a, b: compiled.jaccard.mutual_positions(rank, mutual, a, b), len(rank))
    fixed = (features.numpy(), order, rank, ranked, mutual, half)
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
    starts, columns, values = rows.numpy()
    size, order = len(starts) - 1, _order(rows)
    list_starts = _starts(np.bincount(columns, minlength=size))
    list_rows, list_values = np.empty_like(columns), np.empty_like(values)
    compiled.minima.transpose(starts, columns, values, list_starts, list_rows, list_values)
    ordered, places = np.empty_like(columns), np.empty_like(columns)
    lists = (list_starts, list_rows)
    compiled.minima.sort_columns(_numbers(order), *lists, starts, ordered, places)
    index = (starts, ordered, places, *lists, list_values)
    fixed = (*index, np.float32(least_shared(max_distance)), np.float32(max_distance))

    def near(a: int, b: int) -> Block:
        counts, others, distances = compiled.minima.close_pairs(*fixed, a, b)
        here, there = order[a:b].repeat(counts), order[others]
        return np.minimum(here, there), np.maximum(here, there), distances

    parts = in_blocks(near, size, progress=telling(SUMMING))
    first, second, distance = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Pairs(size, first, second, distance)


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
    arrays = [torch.from_numpy(array) for array in (_starts(counts), columns, values)]
    return SparseRows(arrays[0], arrays[1], arrays[2], order)


def _starts(counts: np.ndarray) -> np.ndarray:
    """[2, 0, 3] -> [0, 2, 2, 5]."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
