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

import functools
import logging

import numpy as np
from torch import Tensor

from common.clustering import compiled, sparse, tensors
from common.clustering.approximate import find_neighbors
from common.clustering.neighbors import Neighbors
from common.clustering.pairs import Pairs
from common.recipe import Exact, Search
from common.team import ALONE, Team

_log = logging.getLogger(__name__)


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
    features = features.detach().contiguous()
    neighbors = search(features, k1, Exact())
    return pairs_of_neighbors(features, neighbors, k1, k2, max_distance)


def jaccard_distance(features: Tensor, k1: int, k2: int) -> np.ndarray:
    """(N, N) float32 Jaccard distances. For small N: memory is 4 N^2 bytes."""
    return jaccard_pairs(features, k1, k2, max_distance=1.0).dense(elsewhere=1.0)


def search(features: Tensor, k1: int, how: Search, team: Team = ALONE) -> Neighbors:
    """The lists of the reciprocal sets; shorter where there are fewer than k1 images."""
    if len(features) < k1 and team.first:
        _report_few_points(len(features), k1)
    return find_neighbors(features, k1, how, team)


def half_length(k1: int) -> int:
    """Neighbours that the half sets H look at."""
    return round(k1 / 2) + 1


def pairs_of_neighbors(
    features: Tensor, neighbors: Neighbors, k1: int, k2: int, max_distance: float
) -> Pairs:
    """Everything after the neighbour search: sets, weights, query expansion, sums of minima."""
    form = sparse if compiled.usable(features) else tensors
    width = neighbors.rank.shape[1]  # less than k1 for fewer points
    rows = form.weights(features, neighbors, min(half_length(k1), width))
    if k2 > 1:
        rows = form.averages(neighbors, min(k2, width), rows)
    return form.close_pairs(rows, max_distance)


@functools.cache
def _report_few_points(size: int, k1: int) -> None:
    _log.warning("%d images have no %d neighbours: k1 is cut to their number.", size, k1)
