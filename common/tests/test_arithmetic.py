"""A network is compiled where that is won back, and nowhere else."""

import pytest
import torch

from common import arithmetic
from common.arithmetic import COMPILED_STEPS, compiling_pays, set_arithmetic


@pytest.mark.parametrize(
    ("device", "steps", "compiler", "pays"),
    [
        ("cuda", COMPILED_STEPS, True, True),
        ("cuda", COMPILED_STEPS - 1, True, False),
        ("cuda", COMPILED_STEPS, False, False),
        ("cpu", COMPILED_STEPS, True, False),
    ],
)
def test_compiling_pays_in_long_runs_on_a_gpu_with_a_compiler(
    device, steps, compiler, pays, monkeypatch
):
    monkeypatch.setattr(arithmetic, "find_spec", lambda name: object() if compiler else None)
    assert compiling_pays(torch.device(device), steps) is pays


@pytest.mark.skipif(not torch.backends.cudnn.is_available(), reason="torch without cuDNN")
def test_fast_times_every_algorithm_of_cudnn_and_exact_none():
    cudnn = torch.backends.cudnn
    set_arithmetic("fast")
    assert (cudnn.benchmark, cudnn.benchmark_limit) == (True, 0)
    set_arithmetic("exact")
    assert (cudnn.benchmark, cudnn.benchmark_limit) == (False, 10)
