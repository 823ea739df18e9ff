"""DBSCAN on a sparse list of close pairs, with scikit-learn's numbering of the clusters."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from common.clustering.pairs import Pairs

LINKED = 1 << 22  # pairs joined at once: the graph takes 40 bytes for each of them


def dbscan(pairs: Pairs, eps: float, min_samples: int) -> np.ndarray:
    """Labels of DBSCAN (Ester et al., KDD 1996) from the pairs with distance <= eps.

    A core point has at least `min_samples` neighbours, itself counted. Clusters are the
    connected components of the core points, numbered by their smallest core index. A border
    point joins the lowest-numbered cluster with a core neighbour. This equals, label by
    label, scikit-learn's scan over the rows of the full distance matrix.

    Args:
        pairs: all pairs with distance <= eps, and possibly farther ones.
        eps: radius, inclusive, compared in float32.
        min_samples: neighbours that make a core point, itself included.

    Returns:
        (N,) int64; 0..C-1, -1 for noise.
    """
    near = pairs.within(eps)
    size = pairs.num_points
    degree = 1 + np.bincount(near.first, minlength=size) + np.bincount(near.second, minlength=size)
    core = degree >= min_samples
    labels = np.where(core, _components(near, core), size)
    _join_borders(labels, near, core)
    labels[labels == size] = -1
    return labels


def _components(near: Pairs, core: np.ndarray) -> np.ndarray:
    """(N,) int64: for core points the number of their component, by smallest core index."""
    size = near.num_points
    component = np.arange(size, dtype=np.int32)
    for start in range(0, len(near.first), LINKED):
        first, second = (ends[start : start + LINKED] for ends in (near.first, near.second))
        linked = core[first] & core[second]
        ends = component[first[linked]], component[second[linked]]
        links = coo_array((np.ones(linked.sum(), np.bool_), ends), shape=(size, size))
        component = connected_components(links, directed=False)[1][component]
    points = np.flatnonzero(core)
    _, first, inverse = np.unique(component[points], return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    labels = np.zeros(size, np.int64)
    labels[points] = number[inverse]
    return labels


def _join_borders(labels: np.ndarray, near: Pairs, core: np.ndarray) -> None:
    """Give non-core points the smallest label among their core neighbours, in place."""
    for here, there in ((near.first, near.second), (near.second, near.first)):
        joins = core[here] & ~core[there]
        np.minimum.at(labels, there[joins], labels[here[joins]])
