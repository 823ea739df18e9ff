"""The feature map: what it shows, and that it shows it again."""

import numpy as np
import pytest

from common.evaluator.feature_map import MOST_POINTS, project_to_plane, sample_groups


def blobs(groups=4, each=15, dim=60, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(groups, dim))
    ids = np.repeat(np.arange(groups), each)
    return (centers[ids] + 0.1 * rng.normal(size=(len(ids), dim))).astype(np.float32), ids


def test_near_features_lie_near_each_other():
    features, ids = blobs()

    plane = project_to_plane(features, seed=0)

    apart = np.linalg.norm(plane[:, None] - plane, axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (ids[apart.argmin(axis=1)] == ids).all()


def test_the_same_seed_gives_the_same_map():
    features, _ = blobs()

    assert np.array_equal(project_to_plane(features, 3), project_to_plane(features, 3))


def test_the_map_fills_the_square():
    plane = project_to_plane(blobs()[0], seed=0)

    np.testing.assert_allclose(plane.min(axis=0), -1, atol=1e-5)
    np.testing.assert_allclose(plane.max(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("dim", [1, 2, 8])
def test_a_handful_of_features_has_a_map(count, dim):
    features = np.random.default_rng(count).normal(size=(count, dim)).astype(np.float32)

    plane = project_to_plane(features, seed=0)

    assert plane.shape == (count, 2)
    assert np.isfinite(plane).all()


def test_too_few_features_for_neighbourhoods_lie_on_their_principal_axes():
    corners = np.array([[3, 1], [3, -1], [-3, 1], [-3, -1]], dtype=np.float32)
    np.testing.assert_allclose(np.abs(project_to_plane(corners, seed=0)), 1, atol=1e-5)

    line = project_to_plane(np.arange(6, dtype=np.float32)[:, None], seed=0)
    np.testing.assert_allclose(np.abs(line[:, 0]), [1, 0.6, 0.2, 0.2, 0.6, 1], atol=1e-5)
    assert not line[:, 1].any()


def test_equal_features_fall_on_one_point():
    assert not project_to_plane(np.ones((30, 8), dtype=np.float32), seed=0).any()


def test_too_many_features_are_refused():
    with pytest.raises(ValueError, match="2001 features"):
        project_to_plane(np.zeros((MOST_POINTS + 1, 2), dtype=np.float32), seed=0)


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_holds_whole_groups_and_as_many_as_fit(seed):
    groups = np.random.default_rng(seed).integers(0, 60, size=900)

    taken = sample_groups(groups, seed, most=300)

    assert 250 < len(taken) <= 300
    assert (np.diff(taken) > 0).all()
    for group in np.unique(groups[taken]):
        assert np.isin(np.flatnonzero(groups == group), taken).all()


def test_images_without_a_group_are_sampled_one_by_one():
    taken = sample_groups(np.full(50, -1), seed=0, most=20)

    assert len(taken) == 20


def test_a_group_larger_than_the_map_is_shown_in_part():
    assert len(sample_groups(np.zeros(50, dtype=int), seed=0, most=20)) == 20
