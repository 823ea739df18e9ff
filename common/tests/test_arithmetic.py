"""A network is compiled where that is won back, and nowhere else."""

import shutil
import sysconfig
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from common import arithmetic
from common.arithmetic import (
    COMPILED_STEPS,
    compiles,
    has_fast_bfloat16,
    missing_for_compiling,
    set_arithmetic,
)


@pytest.mark.parametrize(
    ("precision", "device", "steps", "missing", "pays"),
    [
        ("fast", "cuda", COMPILED_STEPS, [], True),
        ("exact", "cuda", COMPILED_STEPS, [], False),
        ("fast", "cuda", COMPILED_STEPS - 1, [], False),
        ("fast", "cuda", COMPILED_STEPS, ["triton"], False),
        ("fast", "cpu", COMPILED_STEPS, [], False),
    ],
)
def test_long_fast_runs_are_compiled_on_a_gpu_with_a_compiler(
    precision, device, steps, missing, pays, monkeypatch
):
    monkeypatch.setattr(arithmetic, "missing_for_compiling", lambda: missing)
    assert compiles(precision, torch.device(device), steps) is pays
    monkeypatch.setenv("TORCH_COMPILE_DISABLE", "1")
    assert not compiles(precision, torch.device(device), steps)


def test_a_gpu_s_compiler_needs_triton_a_c_compiler_and_python_s_headers(monkeypatch, tmp_path):
    monkeypatch.setattr(sysconfig, "get_path", lambda name, scheme: str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(arithmetic, "find_spec", lambda name: None)
    monkeypatch.delenv("CC", raising=False)
    headers = Path(tmp_path, "Python.h")
    assert missing_for_compiling() == ["triton", "gcc or clang", str(headers)]
    headers.touch()
    monkeypatch.setenv("CC", "icx")
    monkeypatch.setattr(arithmetic, "find_spec", lambda name: object())
    assert missing_for_compiling() == []


@pytest.mark.skipif(not torch.backends.cudnn.is_available(), reason="torch without cuDNN")
@pytest.mark.parametrize(
    ("precision", "repeats", "times", "most"),
    [("fast", False, True, 0), ("exact", True, False, 10)],
)
def test_fast_times_every_algorithm_of_cudnn_and_exact_none_both_in_float32(
    precision, repeats, times, most
):
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    cudnn.allow_tf32 = matmul.allow_tf32 = True
    set_arithmetic(precision)
    assert (cudnn.deterministic, cudnn.benchmark, cudnn.benchmark_limit) == (repeats, times, most)
    assert not cudnn.allow_tf32
    assert not matmul.allow_tf32


def test_bfloat16_is_asked_of_the_gpu_that_computes(monkeypatch):
    majors = {torch.device("cuda", 0): 9, torch.device("cuda", 1): 7}
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: Mock(major=majors[device])
    )
    assert [has_fast_bfloat16(device) for device in majors] == [True, False]
