"""k-reciprocal Jaccard distance, exact and sparse: only pairs that are near are ever formed.

Zhong et al., Re-ranking Person Re-identification with k-reciprocal Encoding, CVPR 2017
(arXiv:1701.08398), in the form that the released codes of the unsupervised methods share:

    R(i)   = {j in the first k1 of i : i in the first k1 of j}            reciprocal set
    H(i)   = the same with the first h = round(k1 / 2) + 1, halves rounded to even
    E(i)   = R(i) united with each H(c), c in R(i), where |H(c) & R(i)| > 2/3 |H(c)|
    V(i,j) = softmax over j in E(i) of -(2 - 2 <f_i, f_j>)                 0 elsewhere
    V'(i)  = mean of V over the first k2 of i                              query expansion
    t(i,j) = sum over c of min(V'(i,c), V'(j,c)),   D(i,j) = max(1 - t / (2 - t), 0)

The released code slices k1 + 1 columns of lists that hold k1, the point itself included; so
the lists have k1 entries. Rows of V' sum to 1, hence 2 - t is the sum of the maxima. Points
that share no column are at distance 1.
"""

import numpy as np
import torch
from torch import Tensor

from common.clustering import compiled, tensors
from common.clustering.blocks import in_blocks
from common.clustering.neighbors import Neighbors, nearest_neighbors
from common.clustering.pairs import Pairs

SUM_SLACK = 1e-5  # of the least shared weight, for float32 rounding


def jaccard_pairs(features: Tensor, k1: int, k2: int, max_distance: float) -> Pairs:
    """All pairs with Jaccard distance <= max_distance.

    Time grows with N^2 D for the neighbours and nearly linearly after them; memory is linear
    in N. Works where the features lie.

    Args:
        features: (N, D) float32 unit rows.
        k1: neighbours of the reciprocal sets, the point itself included.
        k2: neighbours of the query expansion; 1 leaves it out.
        max_distance: in (0, 1]; compared in float32. 1 gives all pairs below 1.
    """
    neighbors = nearest_neighbors(features, k1)
    return pairs_of_neighbors(features, neighbors, half_length(k1), k2, max_distance)


def jaccard_distance(features: Tensor, k1: int, k2: int) -> np.ndarray:
    """(N, N) float32 Jaccard distances. For small N: memory is 4 N^2 bytes."""
    return jaccard_pairs(features, k1, k2, max_distance=1.0).dense(elsewhere=1.0)


def half_length(k1: int) -> int:
    """Neighbours that the half sets H look at."""
    return round(k1 / 2) + 1


def pairs_of_neighbors(
    features: Tensor, neighbors: Neighbors, half: int, k2: int, max_distance: float
) -> Pairs:
    """Everything after the neighbour search: sets, weights, expansion, sums of minima."""
    k1 = neighbors.rank.shape[1]
    half, k2 = min(half, k1), min(k2, k1)
    if not compiled.usable(features):
        return tensors.pairs_of_neighbors(features, neighbors, half, k2, max_distance)
    rank = neighbors.rank.numpy()
    rows = _weights(features.contiguous(), neighbors, half)
    if k2 > 1:
        rows = _averages(rank, k2, *rows)
    return _close_pairs(*rows, max_distance)


SparseRows = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(N + 1,) int64 starts, int32 columns, float32 values."""


def _weights(features: Tensor, neighbors: Neighbors, half: int) -> SparseRows:
    """V of all points."""
    rank, ranked = neighbors.rank.numpy(), neighbors.similarity.numpy()
    mutual = np.empty(rank.shape, np.int16)
    in_blocks(lambda a, b: compiled.jaccard.mutual_positions(rank, mutual, a, b), len(rank))
    fixed = (features.numpy(), rank, ranked, mutual, half)
    return _joined(in_blocks(lambda a, b: compiled.jaccard.weights(*fixed, a, b), len(rank)))


def _averages(rank: np.ndarray, k2: int, *rows: np.ndarray) -> SparseRows:
    """V' of all points."""
    fixed = (rank, k2, *rows)
    return _joined(in_blocks(lambda a, b: compiled.jaccard.averages(*fixed, a, b), len(rank)))


def _joined(parts: list[SparseRows]) -> SparseRows:
    """The sparse rows of consecutive blocks as one."""
    counts, columns, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return _starts(counts), columns, values


def _starts(counts: np.ndarray) -> np.ndarray:
    """[2, 0, 3] -> [0, 2, 2, 5]."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def _close_pairs(
    starts: np.ndarray, columns: np.ndarray, values: np.ndarray, max_distance: float
) -> Pairs:
    """Pairs of V' rows within the distance, by an inverted index over the columns."""
    size = len(starts) - 1
    list_starts = _starts(np.bincount(columns, minlength=size))
    list_rows, list_values = np.empty_like(columns), np.empty_like(values)
    compiled.jaccard.transpose(starts, columns, values, list_starts, list_rows, list_values)
    places = np.empty_like(columns)
    compiled.jaccard.sort_columns(list_starts, list_rows, starts, columns, places)
    limit = np.float32(max_distance)
    index = (starts, columns, places, list_starts, list_rows, list_values)
    fixed = (*index, np.float32(least_shared(max_distance)), limit)
    parts = in_blocks(lambda a, b: compiled.jaccard.close_pairs(*fixed, a, b), size)
    counts, others, distances = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Pairs(size, np.repeat(np.arange(size, dtype=np.int32), counts), others, distances)


def least_shared(max_distance: float) -> float:
    """Sum of minima t below which a distance exceeds the limit: D <= eps needs
    t >= 2 (1 - eps) / (2 - eps).
    """
    return 2 * (1 - max_distance) / (2 - max_distance) - SUM_SLACK
