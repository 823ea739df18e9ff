"""The instance slots of HHCL's paper: how they are drawn and kept."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from common.errors import UserError
from common.recipe import Recipe, Sampling
from common.replay import replayed
from common.types import MemoryUpdate, PseudoLabels, TrainData
from methods.hhcl.memory import SlotMemory, drawn_instances, instance_rows
from methods.hhcl.method import HHCL
from methods.hhcl.recipes import HHCLSettings


@pytest.mark.parametrize("seed", range(5))
def test_instances_are_drawn_as_by_one_choice_per_cluster(seed):
    labels = np.random.RandomState(seed).permutation(np.arange(200) % 12 - 1)
    ours, plain = np.random.RandomState(seed), np.random.RandomState(seed)

    drawn = drawn_instances(labels, 4, ours)

    chosen = [plain.choice(np.flatnonzero(labels == c), 4) for c in range(11)]
    assert (drawn == np.stack(chosen, axis=1)).all()
    assert ours.randint(1 << 30) == plain.randint(1 << 30)  # as many numbers were used


def test_the_memory_keeps_the_chosen_features_at_unit_length_and_no_copy_of_them():
    features = torch.rand(20, 8)
    chosen = np.arange(12).reshape(3, 4)
    rows = instance_rows(features, chosen)
    torch.testing.assert_close(rows, F.normalize(features[:12], dim=1).view(3, 4, 8))
    memory = SlotMemory(rows[0], rows, 0.1)
    assert memory.instances.data_ptr() == rows.data_ptr() != memory.centroids.data_ptr()


def test_a_cluster_has_as_many_slots_as_images_in_a_batch_and_its_own_features_in_them():
    labels, features = np.arange(20) % 5 - 1, F.normalize(torch.rand(20, 8), dim=1)
    settings, sampling = HHCLSettings(memory="CMhybrid_v2"), Sampling(12, 3)
    recipe = Recipe("hhcl", "case", settings, sampling=sampling)
    method = replayed(HHCL, recipe, 8, TrainData(20, np.zeros(20, np.int64)))
    method.begin_epoch(0, features, PseudoLabels(labels))
    assert method.memory.instances.shape == (3, 4, 8)
    nearest = (method.memory.instances @ features.T).argmax(dim=2).numpy()
    assert (labels[nearest] == np.arange(4)).all()


def test_a_cluster_that_needs_more_slots_than_there_are_is_refused():
    memory = SlotMemory(torch.eye(2), torch.eye(2).repeat(3, 1, 1), 0.1)
    seen = MemoryUpdate(torch.eye(2)[[0, 1, 0, 0, 0]], np.array([0, 1, 0, 0, 0]), np.arange(5))
    with pytest.raises(UserError, match="occurs 4 times in a batch, but the memory holds 3"):
        memory.update(seen)
