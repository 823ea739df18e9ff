"""The other CMC protocols, and VehicleID's, against plain loops over queries and draws."""

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.evaluator.protocols import all_shots, separate_cameras, single_gallery_shot
from common.evaluator.vehicleid import evaluate_splits, split
from common.types import Samples

SEEDS = range(8)


def random_case(seed, queries=15, images=70, ids=6, cams=3, levels=40):
    rng = np.random.default_rng(seed)
    query, gallery = (
        Samples(np.arange(n).astype(object), rng.integers(0, i, n), rng.integers(0, cams, n))
        for n, i in ((queries, ids + 2), (images, ids))
    )
    matrix = torch.from_numpy(rng.integers(0, levels, (queries, images)).astype(np.float32))
    return matrix, query, gallery


def plain_rankings(matrix, query, gallery, drop_camera):
    for q, row in enumerate(matrix.tolist()):
        pid, cam = query.pids[q], query.cams[q]
        order = sorted(range(len(row)), key=lambda j: (row[j], j))
        order = [
            j
            for j in order
            if gallery.cams[j] != cam or (gallery.pids[j] != pid and not drop_camera)
        ]
        if any(gallery.pids[j] == pid for j in order):
            yield pid, [int(gallery.pids[j]) for j in order]


@pytest.mark.parametrize("seed", SEEDS)
def test_all_shots_equals_the_plain_version(seed):
    matrix, query, gallery = random_case(seed)
    hits, valid = np.zeros(200), 0
    for pid, order in plain_rankings(matrix, query, gallery, drop_camera=False):
        positions = [p for p, other in enumerate(order, start=1) if other == pid]
        for j, p in enumerate(positions):
            hits[p - j] += 1 / len(positions)
        valid += 1

    found = all_shots(matrix, query, gallery, ranks=30)

    np.testing.assert_allclose(found, hits[1:31].cumsum() / valid, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_separate_cameras_equals_the_plain_version(seed):
    matrix, query, gallery = random_case(seed)
    firsts = [
        order.index(pid) + 1
        for pid, order in plain_rankings(matrix, query, gallery, drop_camera=True)
    ]

    found = separate_cameras(matrix, query, gallery, ranks=30)

    expected = [np.mean([first <= k for first in firsts]) for k in range(1, 31)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_single_gallery_shot_equals_one_choice_per_repeat_and_identity(seed):
    matrix, query, gallery = random_case(seed)
    rng = np.random.RandomState(seed)
    hits, valid = np.zeros(200), 0
    for pid, order in plain_rankings(matrix, query, gallery, drop_camera=True):
        shots = {}  # identities in order of first appearance
        for position, other in enumerate(order):
            shots.setdefault(other, []).append(position)
        for _ in range(4):
            drawn = {other: rng.choice(positions) for other, positions in shots.items()}
            hits[1 + sum(position < drawn[pid] for position in drawn.values())] += 1 / 4
        valid += 1

    found = single_gallery_shot(
        matrix, query, gallery, rng=np.random.RandomState(seed), repeats=4, ranks=30
    )

    np.testing.assert_allclose(found, hits[1:31].cumsum() / valid, atol=1e-12)


@pytest.mark.parametrize("protocol", [all_shots, separate_cameras])
def test_no_match_in_another_camera_is_an_error(protocol):
    with pytest.raises(UserError, match="has a match from another camera"):
        protocol(*random_case(0, cams=1))


def vehicles(seed=0, ids=9, cams=1, spread=0.0):
    rng = np.random.default_rng(seed)
    pids = np.concatenate([np.arange(ids), rng.integers(0, ids, 40)])
    images = Samples(np.arange(len(pids)).astype(object), pids, np.zeros(len(pids), int))
    features = torch.nn.functional.one_hot(torch.from_numpy(pids)).float()
    return features + spread * torch.from_numpy(rng.normal(size=features.shape)).float(), images


def test_a_split_shows_every_identity_once():
    _, images = vehicles()

    shown = split(images.pids, np.random.default_rng(0))

    assert sorted(images.pids[shown]) == list(range(9))


def test_every_image_of_an_identity_can_be_shown():
    pids = np.array([0, 1, 1, 1])
    rng = np.random.default_rng(0)

    shown = np.mean([split(pids, rng) for _ in range(3000)], axis=0)

    np.testing.assert_allclose(shown, [1, 1 / 3, 1 / 3, 1 / 3], atol=0.04)


def test_vehicles_of_one_camera_are_scored():
    found = evaluate_splits(*vehicles())

    assert found.map == found.rank(1) == 1.0
    assert found.num_valid == 40


def test_the_mean_over_splits_equals_the_plain_version_and_one_match_makes_ap_one_over_rank():
    features, images = vehicles(spread=0.6)
    rng, scores = np.random.default_rng(5), []
    for _ in range(3):
        shown = split(images.pids, rng)
        gallery = np.flatnonzero(shown)
        ranks = []
        for q in np.flatnonzero(~shown):
            distance = (features[gallery] - features[q]).square().sum(dim=1)
            order = gallery[distance.argsort()]
            ranks.append(1 + list(images.pids[order]).index(images.pids[q]))
        scores.append(
            [np.mean(1 / np.array(ranks)), *(np.mean(np.array(ranks) <= k) for k in (1, 5))]
        )

    found = evaluate_splits(features, images, repeats=3, seed=5)

    ours = [found.map, found.rank(1), found.rank(5)]
    np.testing.assert_allclose(ours, np.mean(scores, axis=0), atol=1e-12)


def test_ten_splits_are_the_usual_number():
    features, images = vehicles(spread=0.6)

    assert (
        evaluate_splits(features, images).map == evaluate_splits(features, images, repeats=10).map
    )


def test_the_seed_fixes_the_splits():
    features, images = vehicles(spread=0.6)

    first, same, other = (evaluate_splits(features, images, seed=s).map for s in (1, 1, 2))

    assert first == same != other


def test_vehicles_seen_once_each_are_an_error():
    features, images = vehicles()

    with pytest.raises(UserError, match="0 query"):
        evaluate_splits(features[:9], images.take(slice(0, 9)))


def test_more_rows_than_vehicles_are_refused_instead_of_scored():
    features, images = vehicles()
    with pytest.raises(ValueError, match="rows for 20 images"):
        evaluate_splits(features, images.take(slice(0, 20)))
