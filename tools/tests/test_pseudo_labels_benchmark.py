"""The two sides of the clustering benchmark do the same work."""

import numpy as np
import pytest
import torch

from tools.benchmarks import pseudo_labels


def test_the_dense_yardstick_gives_the_same_labels():
    features = pseudo_labels.reid_like_features(500, 64)
    cpu, wall, sparse = pseudo_labels._sparse_parts(features)
    _, _, dense = pseudo_labels._dense_parts(features)
    assert np.array_equal(sparse, dense)
    assert sparse.max() > 5
    assert len(cpu) == len(wall) == len(pseudo_labels.PARTS)


def test_features_are_unit_rows_that_depend_on_the_seed_alone():
    features = pseudo_labels.reid_like_features(300, 32, seed=3)
    assert torch.allclose(features.norm(dim=1), torch.ones(300))
    assert torch.equal(features, pseudo_labels.reid_like_features(300, 32, seed=3))


@pytest.mark.slow
def test_every_form_is_a_row_with_ratios_beside_a_dense_one():
    rows = pseudo_labels.run(sizes=(300,), dim=16, repeats=1)
    assert [row["form"] for row in rows] == ["dense", "sparse"]
    assert rows[1]["labels_differing"] == 0
    assert rows[1]["ratio_whole"] > 0
