"""DBSCAN on pairs against scikit-learn's on the full matrix, label by label."""

import numpy as np
import pytest
from sklearn.cluster import DBSCAN

from common.clustering.dbscan import dbscan
from common.clustering.pairs import Pairs


def random_distances(seed):
    """Symmetric float32 distances on a coarse grid, so that many equal eps exactly."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 60))
    matrix = rng.integers(1, 11, (size, size)).astype(np.float32) / np.float32(10)
    sparse = np.triu(matrix, 1) * (rng.random((size, size)) < rng.choice([0.05, 0.15, 0.6]))
    matrix = sparse + sparse.T
    matrix[matrix == 0] = 1
    np.fill_diagonal(matrix, 0)
    return matrix


def listed(matrix):
    first, second = np.nonzero(np.triu(matrix < 1, 1))
    return Pairs(
        len(matrix), first.astype(np.int32), second.astype(np.int32), matrix[first, second]
    )


@pytest.mark.parametrize("seed", range(25))
def test_labels_equal_those_of_the_full_matrix(seed, monkeypatch):
    monkeypatch.setitem(dbscan.__globals__, "LINKED", 1 + 3 * seed)  # pairs at once
    matrix = random_distances(seed)
    for eps in (0.2, 0.3, 0.6, 0.7):
        for min_samples in (1, 2, 4):
            model = DBSCAN(eps=np.float32(eps), min_samples=min_samples, metric="precomputed")
            labels = dbscan(listed(matrix), eps, min_samples)
            assert np.array_equal(labels, model.fit_predict(matrix))


def test_a_border_point_joins_the_lowest_numbered_cluster():
    """Point 8 has one neighbour in each of two clusters of four; cluster 0 holds point 0."""
    fours = [
        (a, b) for group in ((0, 5, 6, 7), (1, 2, 3, 4)) for a in group for b in group if a < b
    ]
    first, second = np.array([*fours, (1, 8), (0, 8)], np.int32).T
    pairs = Pairs(9, first, second, np.full(len(first), 0.5, np.float32))
    assert dbscan(pairs, 0.5, 4).tolist() == [0, 1, 1, 1, 1, 0, 0, 0, 0]


def test_points_without_pairs_are_noise():
    none = np.zeros(0, np.int32)
    assert dbscan(Pairs(3, none, none, np.zeros(0, np.float32)), 0.5, 2).tolist() == [-1, -1, -1]
