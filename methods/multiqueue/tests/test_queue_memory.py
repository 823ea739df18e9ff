"""The queues of MultiQueue: what is written, an embedding after the other, and what is drawn."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from common.recipe import Recipe
from common.replay import replayed
from common.types import MemoryUpdate, PseudoLabels, TrainData
from methods.multiqueue.memory import QueueMemory
from methods.multiqueue.method import MultiQueue
from methods.multiqueue.recipes import MultiQueueSettings

CLUSTERS, DIM = 3, 8


@pytest.mark.parametrize("blend", [0.0, 0.15])
@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_batch_is_enqueued_like_its_embeddings_one_by_one(blend, length):
    g = torch.Generator().manual_seed(1)
    start = unit_rows(CLUSTERS, g)
    memory = QueueMemory(start, length, blend)
    queues, next_slot = memory.queues.clone(), [1 % length] * CLUSTERS
    for labels in ([0, 2, 0, 0, 2, 0, 0], [2, 2, 0, 1], []):
        embeddings = unit_rows(len(labels), g)
        memory.update(MemoryUpdate(embeddings, np.array(labels, np.int64), np.arange(len(labels))))
        for z, label in zip(embeddings, labels, strict=True):
            old = queues[label, next_slot[label]]
            moved = F.normalize(blend * old + (1 - blend) * z, dim=0) if blend else z
            queues[label, next_slot[label]] = moved
            next_slot[label] = (next_slot[label] + 1) % length
    torch.testing.assert_close(memory.queues, queues)
    assert blend or torch.equal(memory.queues, queues)  # without a blend nothing is rounded


def unit_rows(count, g):
    return F.normalize(torch.randn(count, DIM, generator=g), dim=1)


@pytest.mark.parametrize("normalized", [False, True])
def test_queues_start_as_long_as_the_means_of_their_clusters_or_one_if_asked(normalized):
    settings = MultiQueueSettings(queue_length=2, normalize_start=normalized)
    data, labels = TrainData(6, np.zeros(6, np.int64)), np.array([0, 0, 1, 1, -1, 1])
    method = replayed(MultiQueue, Recipe("multiqueue", "case", settings), DIM, data)
    features = unit_rows(6, torch.Generator().manual_seed(1))
    method.begin_epoch(0, features, PseudoLabels(labels))
    means = torch.stack([features[:2].mean(dim=0), features[[2, 3, 5]].mean(dim=0)])
    expected = means / means.norm(dim=1, keepdim=True) if normalized else means
    torch.testing.assert_close(method.memory.queues, expected[:, None].expand(2, 2, DIM))


def test_every_slot_of_a_queue_may_be_drawn_whatever_is_drawn_of_the_others():
    recipe = Recipe("multiqueue", "case", MultiQueueSettings())
    method = replayed(MultiQueue, recipe, DIM, TrainData(2, np.zeros(2, np.int64)))
    method.memory = QueueMemory(torch.eye(2, DIM), length=3, blend=0.0)
    drawn = torch.stack([method.draw_slots() for _ in range(100)])
    assert len(drawn.unique(dim=0)) == 3 * 3
