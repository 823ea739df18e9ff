"""The approximate search: equal to the exact one without misses, and honest about its recall."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from common.clustering import approximate, candidates, cluster
from common.clustering.approximate import find_neighbors
from common.clustering.neighbors import nearest_neighbors
from common.errors import UserError
from common.label_checks import low_recall
from common.recipe import Approximate, Dbscan, Exact, InfoMap
from common.types import PseudoLabels


def clustered(size=700, dim=32, seed=0, spread=1.5):
    g = torch.Generator().manual_seed(seed)
    centers = torch.randn(1 + size // 12, dim, generator=g)
    identity = torch.randint(len(centers), (size,), generator=g)
    return F.normalize(centers[identity] + spread * torch.randn(size, dim, generator=g), dim=1)


CASES = {
    "distinct": (clustered(), 30),
    "pairs of duplicates": (clustered(300).repeat(2, 1), 30),
    "more duplicates than k": (clustered(9).repeat(60, 1), 30),
    "fewer points than k": (clustered(12), 30),
    "one point": (clustered(1), 30),
    "one neighbour": (clustered(50), 1),
    "negative similarities": (torch.cat([torch.eye(20), -torch.eye(20)]), 35),
}


@pytest.mark.parametrize("case", CASES)
def test_all_cells_give_the_exact_neighbors(form, case, monkeypatch):
    features, k = CASES[case]
    expected = nearest_neighbors(features, k)
    monkeypatch.setattr(candidates, "ROW_BLOCK", 3 * len(features))  # a few rows at a time
    found = find_neighbors(features, k, Approximate(1.0))
    assert torch.equal(found.rank, expected.rank)
    assert torch.equal(found.similarity, expected.similarity)
    assert found.recall == 1.0


def test_too_few_cells_give_a_low_recall_that_is_told(form, monkeypatch):
    features = clustered(1000)
    found = find_neighbors(features, 10, Approximate(0.1))
    true = nearest_neighbors(features, 10).rank
    near = (found.rank[:, :, None] == true[:, None]).any(dim=2).float()
    assert 0.3 < found.recall < 0.9
    assert found.recall == pytest.approx(float(near.mean()), abs=1e-6)  # all rows are in the sample
    monkeypatch.setattr(candidates, "ROW_BLOCK", 5000)  # 40 rows at a time find their cells
    again = find_neighbors(features, 10, Approximate(0.1))
    assert again.recall == pytest.approx(found.recall, abs=0.01)
    monkeypatch.setattr(approximate, "SAMPLE", 100)  # every tenth row
    sampled = approximate.sampled_recall(features, found)
    assert sampled == pytest.approx(float(near[::10].mean()), abs=1e-6)


def test_cells_that_run_dry_are_made_up_for_in_full(form):
    features = clustered(400)
    found = find_neighbors(features, 30, Approximate(1e-6))  # one cell of about five points
    assert torch.equal(found.rank, nearest_neighbors(features, 30).rank)


def test_every_list_starts_with_the_point_and_names_a_neighbor_once(form):
    found = find_neighbors(clustered(1000), 10, Approximate(0.1))
    assert torch.equal(found.rank[:, 0], torch.arange(1000, dtype=torch.int32))
    assert all(len(set(row)) == 10 for row in found.rank.tolist())
    assert (found.rank >= 0).all()
    assert (found.similarity[:, 1:].diff(dim=1) <= 0).all()


@pytest.mark.parametrize("share", [0.01, 0.1])
def test_nearly_equal_rows_are_looked_up_in_their_own_cell(share):
    for seed in range(3):  # k-means makes many cells of them, whose centres differ by rounding
        g = torch.Generator().manual_seed(seed)
        features = F.normalize(torch.ones(400, 512) + 1e-5 * torch.randn(400, 512, generator=g))
        found = find_neighbors(features, 10, Approximate(share))
        assert all(len(set(row)) == 10 for row in found.rank.tolist())


def test_the_search_is_the_same_every_time():
    features = clustered(1000)
    first, second = (find_neighbors(features, 10, Approximate(0.1)) for _ in range(2))
    assert torch.equal(first.rank, second.rank)
    assert first.recall == second.recall


@pytest.mark.parametrize("settings", [Dbscan(k1=10), InfoMap(k1=10)])
def test_the_recall_stands_beside_the_labels(settings):
    features = clustered(1500)
    exact = cluster(features, settings, 0)
    told = cluster(features, type(settings)(k1=10, search=Approximate(0.05)), 0)
    assert "recall" not in exact.details
    assert 0 < told.details["recall"] < 0.95
    assert not np.array_equal(told.labels, exact.labels)


def test_a_recall_below_95_percent_is_warned_of():
    labels = np.arange(10)
    assert "found 94.0% of the neighbours" in low_recall(PseudoLabels(labels, {"recall": 0.94}))
    assert low_recall(PseudoLabels(labels, {"recall": 0.95})) is None
    assert low_recall(PseudoLabels(labels)) is None


@pytest.mark.parametrize("settings", [Dbscan, InfoMap])
def test_a_missing_faiss_says_what_to_install(settings, monkeypatch):
    monkeypatch.setattr(approximate, "Kmeans", None)
    cluster(clustered(50), settings(search=Exact()), 0)
    with pytest.raises(UserError, match="pip install faiss-cpu"):
        cluster(clustered(50), settings(search=Approximate()), 0)


def test_rows_that_are_not_unit_vectors_are_refused():
    pytest.importorskip("faiss")
    with pytest.raises(UserError, match="not finite unit vectors"):
        find_neighbors(2 * clustered(50), 5, Approximate())
    blind = clustered(50)
    blind[7:9] = 0
    with pytest.raises(UserError, match=r"2 of 50 features are zero, .* row 7: .* encoder\.height"):
        find_neighbors(blind, 5, Approximate())
