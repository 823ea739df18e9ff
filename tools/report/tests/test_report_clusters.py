"""Statistics of clusters against pairs counted one by one."""

from itertools import combinations

import numpy as np
import pytest

from tools.report.clusters import agreement, describe, main_identity, spread
from tools.report.maps import matched_colors, palette


def made(seed, count=60):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 8, size=count)
    return labels, rng.integers(0, 4, size=count), rng.integers(-1, 7, size=count)


@pytest.mark.parametrize("seed", range(10))
def test_agreement_equals_counting_every_pair(seed):
    labels, _, truth = made(seed)
    known = [i for i in range(len(labels)) if truth[i] >= 0]
    pairs = list(combinations(known, 2))
    joined = [(i, j) for i, j in pairs if labels[i] == labels[j] >= 0]
    same = [(i, j) for i, j in pairs if truth[i] == truth[j]]
    both = set(joined) & set(same)
    inside = [i for i in known if labels[i] >= 0]
    pure = sum(
        max(sum(truth[i] == t for i in inside if labels[i] == c) for t in range(7))
        for c in set(labels[inside].tolist())
    )

    found = agreement(labels, truth)

    assert found.precision == pytest.approx(len(both) / len(joined))
    assert found.recall == pytest.approx(len(both) / len(same))
    assert found.purity == pytest.approx(pure / len(inside))


def test_true_identities_as_clusters_agree_fully():
    truth = np.repeat(np.arange(5), 4)

    found = agreement(truth + 3, truth)

    assert (found.precision, found.recall, found.purity) == (1, 1, 1)


def test_outliers_lower_the_recall_alone():
    truth = np.repeat(np.arange(5), 4)

    found = agreement(np.where(np.arange(20) % 4 == 0, -1, truth), truth)

    assert (found.precision, found.purity) == (1, 1)
    assert found.recall == pytest.approx(0.5)  # 3 of 6 pairs of each identity


@pytest.mark.parametrize("labels", [[-1, -1, -1, -1], [0, 0, 1, 1]])
def test_there_is_no_agreement_without_known_identities(labels):
    assert agreement(np.array(labels), np.full(4, -1)) is None


@pytest.mark.parametrize("seed", range(10))
def test_the_table_equals_counting_cluster_by_cluster(seed):
    labels, cams, truth = made(seed)
    labels[0] = 11  # a gap, and an image alone

    table = describe(labels, cams, truth)

    real = [c for c in range(12) if (labels == c).sum() >= 2]
    assert table.labels.tolist() == real
    for row, c in enumerate(real):
        known = truth[(labels == c) & (truth >= 0)].tolist()
        assert table.sizes[row] == (labels == c).sum()
        assert table.cameras[row] == len(set(cams[labels == c].tolist()))
        assert table.identities[row] == len(set(known))
        most = max((known.count(t) for t in known), default=0)
        assert table.strangers[row] == len(known) - most


def test_no_cluster_at_all_gives_an_empty_table():
    assert len(describe(np.full(5, -1), np.zeros(5, dtype=int), None)) == 0
    assert len(describe(np.full(5, -1), np.zeros(5, dtype=int), np.arange(5))) == 0


def test_the_main_identity_is_the_most_frequent_known_one():
    assert main_identity(np.array([-1, -1, -1, 4, 4, 2])) == 4
    assert main_identity(np.array([-1, -1])) == -1


def test_spread_members_cover_the_whole_order():
    by = np.arange(100) // 10

    shown = spread(np.arange(100), by, most=10)

    assert by[shown].tolist() == list(range(10))


def test_a_right_cluster_has_one_colour_in_both_maps():
    clusters = np.array([0, 0, 0, 1, 1, 2, 2, -1])
    identities = np.array([5, 5, 5, 9, 9, 5, 5, 7])

    colors = matched_colors(clusters, identities)

    assert colors[:3].tolist() == [0, 0, 0]
    assert colors[3:5].tolist() == [1, 1]
    assert colors[5] == 0  # a piece of identity 5: unlike its cluster's colour 2
    assert colors[7] not in (0, 1, 2)


@pytest.mark.parametrize("seed", range(5))
def test_two_identities_never_share_a_colour(seed):
    clusters, _, identities = made(seed)

    colors = matched_colors(clusters, identities)

    assert len(set(zip(colors.tolist(), identities.tolist(), strict=True))) == len(
        set(colors.tolist())
    )


def test_thousands_of_colours_differ():
    assert len(np.unique(palette(np.arange(3000)).round(6), axis=0)) == 3000
