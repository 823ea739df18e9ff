"""The Jaccard distance by compiled loops over sparse rows, on the CPU."""

import numpy as np
import torch
from torch import Tensor

from common.clustering import compiled
from common.clustering.blocks import in_blocks
from common.clustering.neighbors import Neighbors
from common.clustering.pairs import Pairs, least_shared
from common.clustering.rows import SparseRows

Block = tuple[np.ndarray, np.ndarray, np.ndarray]


def weights(features: Tensor, neighbors: Neighbors, half: int) -> SparseRows:
    """V: softmax of minus the squared distances over the expanded reciprocal sets."""
    rank, ranked = neighbors.rank.numpy(), neighbors.similarity.numpy()
    mutual = np.empty(rank.shape, np.int16)
    in_blocks(lambda a, b: compiled.jaccard.mutual_positions(rank, mutual, a, b), len(rank))
    fixed = (features.numpy(), rank, ranked, mutual, half)
    return _joined(in_blocks(lambda a, b: compiled.jaccard.weights(*fixed, a, b), len(rank)))


def averages(neighbors: Neighbors, k2: int, rows: SparseRows) -> SparseRows:
    """V': mean of V over the first k2 neighbours, summed in rank order."""
    rank = neighbors.rank.numpy()
    fixed = (rank, k2, *rows.numpy())
    return _joined(in_blocks(lambda a, b: compiled.jaccard.averages(*fixed, a, b), len(rank)))


def close_pairs(rows: SparseRows, max_distance: float) -> Pairs:
    """Pairs of rows within the distance, by an inverted index over the columns."""
    starts, columns, values = rows.numpy()
    size = len(starts) - 1
    list_starts = _starts(np.bincount(columns, minlength=size))
    list_rows, list_values = np.empty_like(columns), np.empty_like(values)
    compiled.jaccard.transpose(starts, columns, values, list_starts, list_rows, list_values)
    places = np.empty_like(columns)
    compiled.jaccard.sort_columns(list_starts, list_rows, starts, columns, places)
    index = (starts, columns, places, list_starts, list_rows, list_values)
    fixed = (*index, np.float32(least_shared(max_distance)), np.float32(max_distance))
    parts = in_blocks(lambda a, b: compiled.jaccard.close_pairs(*fixed, a, b), size)
    counts, others, distances = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Pairs(size, np.repeat(np.arange(size, dtype=np.int32), counts), others, distances)


def _joined(parts: list[Block]) -> SparseRows:
    """The sparse rows of consecutive blocks as one."""
    counts, columns, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return SparseRows(*map(torch.from_numpy, (_starts(counts), columns, values)))


def _starts(counts: np.ndarray) -> np.ndarray:
    """[2, 0, 3] -> [0, 2, 2, 5]."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
