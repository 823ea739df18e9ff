"""Re-ranking against a plain dense version written from the definition."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from common.errors import UserError
from common.evaluator.rerank import rerank
from common.evaluator.retrieval import distances, evaluate, evaluate_distances
from common.evaluator.testing import evaluate_dataset
from common.types import Dataset, Samples


def random_features(seed, queries=14, images=50, ids=7, dim=12, noise=0.25, repeats=0):
    g = torch.Generator().manual_seed(seed)
    pids = torch.randint(ids, (queries + images,), generator=g)
    centers = F.normalize(torch.randn(ids, dim, generator=g), dim=1)
    features = centers[pids] + noise * torch.randn(len(pids), dim, generator=g)
    features = F.normalize(features, dim=1)
    if repeats:  # some images twice
        features[-repeats:] = features[:repeats]
    return features[:queries], features[queries:], pids[:queries].numpy(), pids[queries:].numpy()


def matrices(query, gallery):
    return distances(query, gallery), distances(query, query), distances(gallery, gallery)


def plain(q_g, q_q, g_g, k1, k2, lambda_value):
    q_g, q_q, g_g = (m.numpy() for m in (q_g, q_q, g_g))
    n, queries = len(q_q) + len(g_g), len(q_q)
    a = np.block([[q_q, q_g], [q_g.T, g_g]]) ** 2
    a = (a / a.max(axis=0)).T
    order = np.argsort(a, axis=1, kind="stable")

    def reciprocal(i, k):
        return {j for j in order[i, : k + 1] if i in order[j, : k + 1]}

    v = np.zeros((n, n))
    for i in range(n):
        first = reciprocal(i, k1)
        members = set(first)
        for j in first:
            near = reciprocal(j, round(k1 / 2))
            if len(near & first) > 2 / 3 * len(near):
                members |= near
        members = sorted(members)
        v[i, members] = np.exp(-a[i, members]) / np.exp(-a[i, members]).sum()
    if k2 > 1:
        v = np.stack([v[order[i, :k2]].mean(axis=0) for i in range(n)])
    shared = np.minimum(v[:queries, None], v[None, queries:]).sum(axis=2)
    return (1 - lambda_value) * (1 - shared / (2 - shared)) + lambda_value * a[:queries, queries:]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "settings",
    # Half of 15 and of 13 is rounded to an even number, 8 and 6.
    [(), (15, 1, 0.5), (13, 2, 0.3), (10, 3, 0.0), (5, 2, 1.0), (1, 1, 0.3), (3, 9, 0.3)],
)
def test_reranking_equals_the_plain_version(seed, settings):
    query, gallery, _, _ = random_features(seed)
    given = matrices(query, gallery)

    found = rerank(*given, *settings)

    k1, k2, lambda_value = settings or (20, 6, 0.3)  # as in the released test command
    np.testing.assert_allclose(found.numpy(), plain(*given, k1, k2, lambda_value), atol=2e-6)


@pytest.mark.parametrize("seed", range(4))
def test_equal_distances_are_ranked_by_position(seed):
    g = torch.Generator().manual_seed(seed)
    points = torch.randint(0, 3, (40, 3), generator=g).float()  # exact distances, many equal
    given = matrices(points[:10], points[10:])

    found = rerank(*given, 6, 3, 0.3)

    np.testing.assert_allclose(found.numpy(), plain(*given, 6, 3, 0.3), atol=2e-6)


@pytest.mark.parametrize(("rows", "queries"), [(1, 1), (7, 3), (1000, 1000)])
def test_the_block_sizes_change_nothing(monkeypatch, rows, queries):
    query, gallery, _, _ = random_features(0)
    expected = rerank(*matrices(query, gallery))
    monkeypatch.setattr("common.evaluator.rerank.ROWS", rows)
    monkeypatch.setattr("common.evaluator.rerank.QUERIES", queries)

    assert torch.equal(rerank(*matrices(query, gallery)), expected)


def test_neighbourhoods_larger_than_the_set_are_cut_to_it():
    query, gallery, _, _ = random_features(1, queries=4, images=8)
    given = matrices(query, gallery)

    found = rerank(*given, 50, 30, 0.3)

    np.testing.assert_allclose(found.numpy(), plain(*given, 50, 30, 0.3), atol=2e-6)


def test_identical_images_give_finite_distances():
    ones = torch.ones(6, 4) / 2

    assert rerank(*matrices(ones[:2], ones[2:]), 3, 2, 0.3).isfinite().all()


def test_the_given_distances_stay_as_they_are():
    given = matrices(*random_features(2)[:2])
    before = [matrix.clone() for matrix in given]

    rerank(*given)

    assert all(torch.equal(now, old) for now, old in zip(given, before, strict=True))


def test_reranking_raises_the_map_of_noisy_clusters():
    fq, fg, query_pids, gallery_pids = random_features(3, queries=40, images=200, noise=0.4)
    query = Samples(np.arange(40).astype(object), query_pids, np.zeros(40, int))
    gallery = Samples(np.arange(200).astype(object), gallery_pids, np.ones(200, int))

    after = evaluate_distances(rerank(*matrices(fq, fg)), query, gallery).map

    assert after > evaluate(fq, query, fg, gallery).map + 0.02


@pytest.mark.parametrize("setting", [{"k1": 0}, {"k2": 0}, {"lambda_value": 1.5}])
def test_settings_out_of_range_are_an_error(setting):
    with pytest.raises(UserError, match="is not defined"):
        rerank(*matrices(*random_features(0)[:2]), **setting)


def data_set(query_pids, gallery_pids, protocol="market1501"):
    def part(pids, cam):
        names = np.arange(len(pids)).astype(object)
        return Samples(names, np.asarray(pids), np.full(len(pids), cam))

    query, gallery = part(query_pids, 0), part(gallery_pids, 1)
    return Dataset("drawn", "", query.take(slice(0, 0)), query, gallery, protocol=protocol)


def test_reranking_refuses_what_cannot_be_scored():
    query, gallery, query_pids, gallery_pids = random_features(0)
    features, dataset = torch.cat([query, gallery]), data_set(query_pids, gallery_pids)
    assert evaluate_dataset(features, dataset, reranked=True).map > 0.5
    for row, part in ((3, "query"), (20, "gallery")):
        bad = features.clone()
        bad[row, 0] = torch.nan
        with pytest.raises(UserError, match=f"1 of .* {part} images are not finite"):
            evaluate_dataset(bad, dataset, reranked=True)
    with pytest.raises(UserError, match="0 query and 50 gallery images"):
        evaluate_dataset(gallery, data_set([], gallery_pids), reranked=True)
    with pytest.raises(UserError, match="drawn is scored on ten random splits"):
        evaluate_dataset(features, data_set(query_pids, gallery_pids, "vehicleid"), reranked=True)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_distances_that_are_not_finite_are_refused(value):
    query, gallery, query_pids, gallery_pids = random_features(0)
    dataset = data_set(query_pids, gallery_pids)
    matrix = distances(query, gallery)
    matrix[2, 5] = value
    with pytest.raises(UserError, match="1 of 14 queries have a distance that is not finite"):
        evaluate_distances(matrix, dataset.query, dataset.gallery)
