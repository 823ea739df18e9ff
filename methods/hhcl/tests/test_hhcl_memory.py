"""The instance slots of HHCL's paper: how they are drawn."""

import numpy as np
import pytest

from methods.hhcl.memory import drawn_instances


@pytest.mark.parametrize("seed", range(5))
def test_instances_are_drawn_as_by_one_choice_per_cluster(seed):
    labels = np.random.RandomState(seed).permutation(np.arange(200) % 12 - 1)
    ours, plain = np.random.RandomState(seed), np.random.RandomState(seed)

    drawn = drawn_instances(labels, 4, ours)

    chosen = [plain.choice(np.flatnonzero(labels == c), 4) for c in range(11)]
    assert (drawn == np.stack(chosen, axis=1)).all()
    assert ours.randint(1 << 30) == plain.randint(1 << 30)  # as many numbers were used
