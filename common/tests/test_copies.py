"""Beside the features of all images an epoch holds no copy of them: each would be gigabytes."""

import tracemalloc

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from common.clustering.cameras import centered_by_camera
from common.instances import InstanceMemory
from common.run import RunDir
from common.training import _require_finite_weights
from common.types import TrainData

IMAGES, DIM = 10_000, 4
DATA = TrainData(IMAGES, np.arange(IMAGES) % 3)


class Made(TorchDispatchMode):
    """Numbers in every tensor that an operation made; a view makes none."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {place(value) for value in tree_leaves((args, kwargs))}
        out = func(*args, **(kwargs or {}))
        self.sizes += [t.numel() for t in tree_leaves(out) if place(t) not in given]
        return out


def place(value):
    return value.untyped_storage().data_ptr() if isinstance(value, torch.Tensor) else None


def copies(work):
    """How many tensors as large as all features the work makes."""
    with torch.no_grad(), Made() as made:
        work()
    return sum(size >= IMAGES * DIM for size in made.sizes)


@pytest.fixture
def features():
    g = torch.Generator().manual_seed(0)
    return F.normalize(torch.randn(IMAGES, DIM, generator=g), dim=1)


def test_a_memory_of_all_images_starts_and_is_checked_without_a_copy(features):
    memory = InstanceMemory(DATA, DIM, momentum=0.2)
    assert copies(lambda: memory.start(lambda domain: 3 * features, DATA)) == 1, "what it is given"
    torch.testing.assert_close(memory.target, features)
    assert copies(lambda: _require_finite_weights(memory, epoch=0)) == 0


def test_centring_cameras_makes_the_result_alone(features):
    assert copies(lambda: centered_by_camera(features, DATA.cams)) == 1


def test_a_checkpoint_is_written_as_it_is_made(tmp_path):
    state = {"bank": torch.zeros(1 << 20)}
    tracemalloc.start()
    try:
        RunDir(tmp_path).save("last.pt", state)
        assert tracemalloc.get_traced_memory()[1] < state["bank"].nbytes / 2
    finally:
        tracemalloc.stop()
