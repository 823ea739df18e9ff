"""The instance slots of HHCL's paper: how they are drawn, and where there can be none."""

from dataclasses import replace

import numpy as np
import pytest

from common.errors import UserError
from methods import METHODS
from methods.hhcl.memory import drawn_instances
from methods.small_runs import small_data, small_job, small_recipe


def test_a_memory_of_instances_is_refused_where_batches_are_plain(tmp_path):
    recipe = small_recipe(METHODS["hhcl"].find("synthetic"))
    plain = replace(
        recipe,
        sampling=replace(recipe.sampling, instances=0),
        settings=replace(recipe.settings, memory="CMhybrid_v2"),
    )
    with pytest.raises(UserError, match=r"CMhybrid_v2 stores sampling.instances images"):
        small_job(plain, tmp_path, small_data())


@pytest.mark.parametrize("seed", range(5))
def test_instances_are_drawn_as_by_one_choice_per_cluster(seed):
    labels = np.random.RandomState(seed).permutation(np.arange(200) % 12 - 1)
    ours, plain = np.random.RandomState(seed), np.random.RandomState(seed)

    drawn = drawn_instances(labels, 4, ours)

    chosen = [plain.choice(np.flatnonzero(labels == c), 4) for c in range(11)]
    assert (drawn == np.stack(chosen, axis=1)).all()
    assert ours.randint(1 << 30) == plain.randint(1 << 30)  # as many numbers were used
