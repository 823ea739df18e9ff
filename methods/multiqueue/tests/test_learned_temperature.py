"""The learned temperature of MultiQueue."""

import numpy as np
import pytest
import torch

from common.recipe import Recipe
from common.replay import replayed
from common.types import MemoryUpdate, PseudoLabels, TrainData
from methods.multiqueue.method import MultiQueue
from methods.multiqueue.recipes import MultiQueueSettings


@pytest.mark.parametrize(("learned", "kept"), [(False, 0.003), (True, 0.005)])
def test_only_a_learned_temperature_is_kept_above_the_floor_and_each_is_logged(learned, kept):
    settings = MultiQueueSettings(temperature=0.003, learn_temperature=learned)
    data = TrainData(4, np.zeros(4, np.int64))
    method = replayed(MultiQueue, Recipe("multiqueue", "case", settings), 2, data)
    method.begin_epoch(0, torch.eye(2).repeat(2, 1), PseudoLabels(np.array([0, 1, 0, 1])))

    method.after_step(MemoryUpdate(torch.eye(2), np.arange(2), np.arange(2)), 0)

    assert method.temperature.item() == pytest.approx(kept)
    assert method.watched() == {"temperature": method.temperature.item()}
