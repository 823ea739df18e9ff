"""The instance memory, its preview of an update, and the guarded cross-entropy."""

import numpy as np
import torch
import torch.nn.functional as F

from common import instances
from common.instances import InstanceMemory
from common.losses import mean_by_class
from common.types import MemoryUpdate, PseudoLabels, TrainData


def started(seed=0, images=30, source=5, dim=16):
    g = torch.Generator().manual_seed(seed)
    pids = np.repeat(np.arange(source), 4)
    data = TrainData(images, np.zeros(images, np.int64), pids, source)
    memory = InstanceMemory(data, dim, momentum=0.2)
    rows = {
        "target": torch.randn(images, dim, generator=g),
        "source": F.normalize(torch.randn(len(pids), dim, generator=g), dim=1),
    }
    memory.start(lambda domain: rows[domain], data)
    memory.relabel(PseudoLabels(np.arange(images) % 7))
    z = F.normalize(torch.randn(12, dim, generator=g), dim=1)
    index = torch.randint(images, (12,), generator=g).numpy()
    return memory, z, index


def test_all_rows_start_at_unit_length_however_many_are_normalized_at_once(monkeypatch):
    memory, _, _ = started()
    torch.testing.assert_close(memory.bank.norm(dim=1), torch.ones(35))
    monkeypatch.setattr(instances, "BLOCK", 7)
    assert torch.equal(started()[0].bank, memory.bank)


def test_the_preview_of_an_update_is_the_update():
    memory, z, index = started()
    seen = MemoryUpdate(z, index * 0, index)
    moved = memory.target_moves(seen)
    expected = memory.bank.clone()
    expected[moved.rows] += moved.change
    memory.update(seen)
    torch.testing.assert_close(memory.bank, expected, rtol=0, atol=1e-6)


def test_moved_rows_change_the_gradient_and_not_the_value():
    memory, z, index = started()
    moved = memory.target_moves(MemoryUpdate(z, index * 0, index))
    z = z.clone().requires_grad_()
    plain = memory.similarities(z, 0.05)
    released = memory.similarities(z, 0.05, moved)
    assert torch.equal(plain, released)
    upstream = torch.randn(plain.shape, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((released * upstream).sum(), z)
    memory.update(MemoryUpdate(z.detach(), index * 0, index))
    torch.testing.assert_close(gradient, upstream @ memory.bank / 0.05, rtol=1e-4, atol=1e-3)


def test_labels_with_gaps_become_classes_without():
    memory, _, _ = started()
    memory.relabel(PseudoLabels(np.repeat([3, 9, 40], 10)))
    assert memory.labels.tolist() == [0, 1, 2, 3, 4] + [5] * 10 + [6] * 10 + [7] * 10
    assert memory.sizes.tolist() == [1] * 5 + [10] * 3


def test_class_means_of_similarities_equal_the_loop():
    memory, z, _ = started()
    a = memory.similarities(z, 0.05)
    expected = torch.stack([a[:, memory.labels == c].mean(dim=1) for c in range(12)], dim=1)
    torch.testing.assert_close(mean_by_class(a, memory.labels, memory.sizes), expected)
