"""The sparse Jaccard distance and its labels against the definition, set by set."""

import logging
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.cluster import DBSCAN

from common.clustering import cluster_at, compiled, sparse, tensors
from common.clustering.jaccard import half_length, jaccard_distance, jaccard_pairs
from common.clustering.neighbors import nearest_neighbors
from common.clustering.rows import SparseRows
from common.recipe import Dbscan

EPS = (0.4, 0.5, 0.6, 0.7)
TOLERANCE = 2e-6


def clustered(size, dim, seed=0, spread=1.0):
    g = torch.Generator().manual_seed(seed)
    centers = torch.randn(1 + size // 15, dim, generator=g)
    identity = torch.randint(len(centers), (size,), generator=g)
    return F.normalize(centers[identity] + spread * torch.randn(size, dim, generator=g), dim=1)


def labels_at(features, settings, eps):
    return [found.labels for found in cluster_at(features, settings, eps)]


def ranks(features, k1):
    exact = features.double().numpy()
    similarity = (exact @ exact.T).astype(np.float32)
    np.fill_diagonal(similarity, np.inf)
    return np.argsort(-similarity, axis=1, kind="stable")[:, :k1]


def defined_distance(features, k1, k2):
    """(N, N) distances as section by section of the definition, with sets and full rows."""
    rank = ranks(features, k1)
    size, half = len(rank), round(k1 / 2) + 1

    def reciprocal(i, k):
        return {j for j in rank[i, :k] if i in rank[j, :k]}

    halves = [reciprocal(i, half) for i in range(size)]
    weights = np.zeros((size, size), np.float32)
    for i in range(size):
        own = reciprocal(i, k1)
        members = sorted(
            own.union(*(halves[c] for c in own if 3 * len(halves[c] & own) > 2 * len(halves[c])))
        )
        distance = 2 - 2 * features[members] @ features[i]
        weights[i, members] = torch.softmax(-distance, dim=0).numpy()
    if k2 > 1:
        weights = np.stack([weights[rank[i, :k2]].mean(axis=0) for i in range(size)])
    shared = np.stack([np.minimum(row, weights).sum(axis=1) for row in weights])
    distance = np.maximum(1 - shared / (2 - shared), 0)
    np.fill_diagonal(distance, 0)
    return distance


def scanned_labels(distance, eps, min_samples=4):
    return DBSCAN(eps=np.float32(eps), min_samples=min_samples, metric="precomputed").fit_predict(
        distance
    )


CASES = {
    "separate": (clustered(400, 64, 0, 0.8), 30, 6),
    "overlapping": (clustered(500, 32, 1, 1.4), 30, 6),
    "fewer neighbors, two of them averaged": (clustered(400, 32, 2, 1.2), 20, 2),
    "no query expansion": (clustered(400, 32, 3, 1.2), 30, 1),
    "half of an odd k1": (clustered(400, 32, 4, 1.2), 15, 4),
    "half rounds to even": (clustered(300, 32, 5, 1.2), 25, 4),
    "pairs of duplicates": (clustered(200, 32, 6, 1.2).repeat(2, 1), 30, 6),
    "ten duplicates": (clustered(40, 32, 7, 1.2).repeat(10, 1), 20, 6),
    "more duplicates than k1": (clustered(9, 32, 8, 1.0).repeat(40, 1), 30, 6),
    "one-hot": (torch.eye(50)[torch.arange(350) % 50], 20, 6),
    "fewer points than k1": (clustered(20, 16, 9, 1.0), 30, 6),
    "fewer points than k2": (clustered(4, 16, 9, 1.0), 30, 6),
    "only noise": (
        F.normalize(torch.randn(300, 128, generator=torch.Generator().manual_seed(0)), dim=1),
        30,
        6,
    ),
    "one giant cluster": (
        F.normalize(
            1 + 0.02 * torch.randn(300, 16, generator=torch.Generator().manual_seed(0)), dim=1
        ),
        30,
        6,
    ),
    "larger sets than kernels have room for at first": (
        F.normalize(
            1 + 0.02 * torch.randn(150, 16, generator=torch.Generator().manual_seed(1)), dim=1
        ),
        75,
        6,
    ),
}


@cache
def defined(case):
    """The distances that both forms must give."""
    return defined_distance(*CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_distances_and_labels_follow_the_definition(form, case):
    features, k1, k2 = CASES[case]
    expected = defined(case)

    distance = jaccard_distance(features, k1, k2)
    labels = labels_at(features, Dbscan(k1=k1, k2=k2), EPS)

    assert np.abs(distance - expected).max() <= TOLERANCE
    for eps, found in zip(EPS, labels, strict=True):
        wanted = scanned_labels(expected, eps)
        flipped = np.abs(
            expected[(distance <= np.float32(eps)) != (expected <= np.float32(eps))] - eps
        )
        assert np.array_equal(found, wanted) or len(flipped)  # one-hot features lie on eps exactly
        assert flipped.max(initial=0) <= TOLERANCE


def test_noise_and_one_giant_cluster_are_found_as_such():
    noise, crowd = CASES["only noise"][0], CASES["one giant cluster"][0]
    assert (labels_at(noise, Dbscan(), [0.4])[0] == -1).all()
    assert np.bincount(labels_at(crowd, Dbscan(), [0.7])[0] + 1).max() > 150


def test_points_without_a_common_column_are_at_distance_one(form):
    blocks = torch.block_diag(clustered(40, 8).abs(), clustered(40, 8, seed=1).abs())
    distance = jaccard_distance(blocks, 20, 6)
    assert (distance[:40, 40:] == 1).all()
    assert np.array_equal(distance, distance.T)


def test_a_pair_at_exactly_the_radius_is_within_it(form):
    features = clustered(60, 16, 3, 1.2)
    distances = np.unique(jaccard_pairs(features, 20, 6, max_distance=1.0).distance)
    for radius in distances[distances > 0][::29]:
        assert jaccard_pairs(features, 20, 6, float(radius)).distance.max() == radius


def in_order(pairs):
    order = np.lexsort((pairs.second, pairs.first))
    return pairs.first[order], pairs.second[order], pairs.distance[order]


@pytest.mark.parametrize(
    ("adds_in_order", "at_once"), [(True, 1 << 26), (False, 1 << 26), (False, 3000), (False, 1)]
)
def test_tensor_and_compiled_sums_have_equal_bits(adds_in_order, at_once, monkeypatch):
    features = clustered(300, 32, spread=1.4)
    neighbors = nearest_neighbors(features, 30)
    weights = tensors.weights(features, neighbors, half_length(30))
    monkeypatch.setattr(tensors, "adds_in_order", lambda device: adds_in_order)
    monkeypatch.setattr(tensors, "SUM_BLOCK_CPU", 1 << 14)
    monkeypatch.setattr(tensors, "ADDED_AT_ONCE", at_once)

    ours = sparse.close_pairs(sparse.averages(neighbors, 6, weights_as_int32(weights)), 0.7)
    theirs = tensors.close_pairs(tensors.averages(neighbors, 6, weights), 0.7)

    for a, b in zip(in_order(ours), in_order(theirs), strict=True):
        assert np.array_equal(a, b)


def test_additions_at_one_place_are_never_made_at_once(monkeypatch):
    assert not tensors.adds_in_order(torch.device("cuda"))
    monkeypatch.setattr(tensors, "adds_in_order", lambda device: False)
    features = clustered(300, 32, spread=1.4)
    rows = tensors.weights(features, nearest_neighbors(features, 30), half_length(30))
    plain, seen = torch.Tensor.index_add_, []

    def checked(sums, dim, places, terms):
        seen.append(len(places))
        assert len(places.unique()) == len(places)
        return plain(sums, dim, places, terms)

    monkeypatch.setattr(torch.Tensor, "index_add_", checked)
    tensors.close_pairs(rows, 0.7)
    assert len(seen) == rows.starts.diff().max()


def test_additions_are_taken_together_up_to_the_most_and_a_larger_one_alone():
    sizes = [9, 2, 3, 1, 9, 1]
    assert [sizes[some] for some in tensors._up_to(5, sizes)] == [[9], [2, 3], [1], [9], [1]]


def weights_as_int32(rows):
    return type(rows)(rows.starts, rows.columns.int(), rows.values)


@pytest.mark.parametrize("spread", [0.8, 1.4, 2.0])
def test_tensor_and_compiled_forms_give_the_same_labels(spread, monkeypatch):
    features = clustered(900, 64, spread=spread)
    ours = labels_at(features, Dbscan(), EPS)
    monkeypatch.setattr(compiled, "AVAILABLE", False)
    assert np.array_equal(ours, labels_at(features, Dbscan(), EPS))


@pytest.mark.parametrize("blocks", [(1, 7), (2, 64), (2, 10**6)])
def test_threads_and_blocks_do_not_change_a_bit(form, blocks, monkeypatch):
    features = clustered(500, 32, spread=1.4)
    expected = in_order(jaccard_pairs(features, 20, 6, 0.7))
    threads, size = blocks

    whole = sparse.in_blocks
    monkeypatch.setattr(sparse, "in_blocks", lambda work, count, **told: whole(work, count, size))
    monkeypatch.setattr(tensors, "CPU_BLOCK", 500 * size)
    monkeypatch.setattr(tensors, "SUM_BLOCK_CPU", 500 * size)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = in_order(jaccard_pairs(features, 20, 6, 0.7))
    finally:
        torch.set_num_threads(before)

    for a, b in zip(expected, found, strict=True):
        assert np.array_equal(a, b)


def test_the_order_of_the_rows_does_not_change_a_bit(monkeypatch):
    features = clustered(500, 32, spread=1.4)
    walked = in_order(jaccard_pairs(features, 20, 6, 0.7))
    monkeypatch.setattr(compiled.jaccard, "walk_order", in_reverse)
    reverse = in_order(jaccard_pairs(features, 20, 6, 0.7))
    for a, b in zip(walked, reverse, strict=True):
        assert np.array_equal(a, b)


def in_reverse(rank, near, order):
    order[:] = np.arange(len(rank))[::-1]


def test_the_walk_visits_every_point_once_and_neighbors_in_turn():
    features, identity = torch.eye(20).repeat(5, 1), torch.arange(20).repeat(5)
    rank = nearest_neighbors(features, 5).rank.numpy()
    order = np.empty(100, np.int32)
    compiled.jaccard.walk_order(rank, 5, order)
    assert sorted(order) == list(range(100))
    assert (identity[order].view(20, 5) == torch.arange(20)[:, None]).all()


def test_several_radii_in_one_pass_equal_one_pass_each():
    features = clustered(400, 32, spread=1.2)
    together = labels_at(features, Dbscan(), [0.58, 0.6, 0.62])
    for eps, labels in zip([0.58, 0.6, 0.62], together, strict=True):
        assert np.array_equal(labels, labels_at(features, Dbscan(), [eps])[0])


def test_missing_numba_is_reported_once(monkeypatch, caplog):
    monkeypatch.setattr(compiled, "AVAILABLE", False)
    compiled._report_missing.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            labels_at(clustered(50, 8), Dbscan(), [0.5])
    assert [record.message for record in caplog.records if "numba" in record.message] == [
        "numba cannot be used: clustering takes the slower tensor form, same labels."
    ]


def test_too_few_points_for_k1_are_reported_once(caplog):
    with caplog.at_level(logging.WARNING):
        for k1 in (29, 29, 11):
            labels_at(clustered(11, 8), Dbscan(k1=k1), [0.5])
    messages = [record.message for record in caplog.records]
    assert messages == ["11 images have no 29 neighbours: k1 is cut to their number."]


@pytest.mark.gpu
@pytest.mark.parametrize("case", CASES)
def test_a_gpu_gives_the_labels_of_the_cpu(case):
    features, k1, k2 = CASES[case]
    expected = labels_at(features, Dbscan(k1=k1, k2=k2), EPS)
    for _ in range(2):
        assert np.array_equal(expected, labels_at(features.cuda(), Dbscan(k1=k1, k2=k2), EPS))


def test_compiled_and_tensor_weights_have_equal_bits():
    features = clustered(400, 32, spread=1.2)
    neighbors = nearest_neighbors(features, 30)
    found = [form.weights(features, neighbors, 15) for form in (sparse, tensors)]
    dense = [torch.zeros(400, 400) for _ in found]
    for rows, matrix in zip(found, dense, strict=True):
        points = torch.arange(400) if rows.order is None else rows.order.long()
        row = points.repeat_interleave(rows.starts.diff())
        # Rows that are stored in an order of their own name columns by place in it.
        matrix[row, points[rows.columns.long()]] = rows.values
    assert torch.equal(*dense)


def test_the_sums_of_minima_leave_the_rows_as_they_are():
    features = clustered(200, 16)
    rows = sparse.weights(features, nearest_neighbors(features, 20), 10)
    before = rows.columns.clone()
    first, second = (sparse.close_pairs(rows, 0.6) for _ in range(2))
    assert torch.equal(rows.columns, before)
    assert np.array_equal(first.distance, second.distance)


def test_a_pair_that_rounding_brings_within_the_radius_is_found():
    """Beyond 1/2 each of 1,633 equal terms is rounded up, below, without the hub's, none."""
    hub, term = 0.40006, 3521 * 2.0**-25 + 2.0**-36
    pair = [(0, hub), *((column, term) for column in range(1, 1634))]
    entries = [pair, pair, *([(0, hub), (1634, 0.6)] for _ in range(1998))]
    starts = torch.tensor([0, *(len(row) for row in entries)]).cumsum(0)
    columns, values = (
        torch.tensor(part) for part in zip(*(one for row in entries for one in row), strict=True)
    )

    found = sparse.close_pairs(SparseRows(starts, columns.int(), values), 0.6)

    alike = (found.first == 0) & (found.second == 1)
    assert found.distance[alike].tolist() == [pytest.approx(0.6, abs=1e-5)]
