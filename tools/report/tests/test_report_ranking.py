"""Which queries are shown, and by which precision."""

import numpy as np
import pytest
import torch

from common.types import Samples
from tools.report.ranking import PER_KIND, average_precisions, examples


def made(count, seed):
    rng = np.random.default_rng(seed)
    paths = np.array([f"{i}.jpg" for i in range(count)], dtype=object)
    samples = Samples(paths, rng.integers(0, 5, count), rng.integers(0, 3, count))
    return samples, torch.from_numpy(rng.normal(size=(count, 6)).astype(np.float32))


def plain_precision(query, gallery, q, features):
    """AP from its definition: precision at each match, averaged."""
    of_query, of_gallery = features
    order = ((of_gallery - of_query[q]) ** 2).sum(dim=1).argsort().tolist()
    same = [gallery.pids[g] == query.pids[q] for g in order]
    junk = [gallery.cams[g] == query.cams[q] for g in order]
    hits = [s for s, j in zip(same, junk, strict=True) if not (s and j)]
    found = [sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit]
    return sum(found) / len(found) if found else 0.0


@pytest.mark.parametrize("seed", range(3))
def test_precisions_follow_the_definition(seed):
    query, of_query = made(45, seed)
    gallery, of_gallery = made(60, seed + 100)
    which = np.arange(1, 45, 2)

    found = average_precisions(of_query, of_gallery, query, gallery, which)

    expected = [plain_precision(query, gallery, q, (of_query, of_gallery)) for q in which]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_best_middle_and_worst_queries_are_shown_once_each():
    precision = np.random.default_rng(0).permutation(101) / 100

    groups = {title: precision[places].tolist() for title, places in examples(precision)}

    assert groups["Best"] == [1.0, 0.99, 0.98, 0.97]
    assert groups["Worst"] == [0.03, 0.02, 0.01, 0.0]
    assert 0.5 in groups["Middle"]


def test_few_queries_are_shown_in_one_list():
    (_, places), *others = examples(np.arange(3 * PER_KIND - 1) / 100)

    assert not others
    assert sorted(places) == list(range(3 * PER_KIND - 1))
