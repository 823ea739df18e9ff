"""Which device a name stands for, and whether every process can have one."""

import pytest
import torch

from common.devices import find_device, require_devices
from common.errors import UserError


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gpu", "'gpu' is no device. Choose auto, cpu, cuda"),
        ("cuda:x", "'cuda:x' is no device"),
        ("mps", "'mps' is no device"),
        ("cuda:2", "there is no cuda:2"),
    ],
)
def test_a_device_that_is_not_there_is_refused(name, said, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match=said):
        find_device(name)
    assert find_device("cuda:1") == torch.device("cuda", 1)


def test_a_cuda_device_is_taken_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert find_device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device("auto").type == "cpu"
    with pytest.raises(UserError, match="no CUDA device was found"):
        find_device("cuda")


@pytest.mark.parametrize(
    ("device", "devices", "said"),
    [
        ("auto", 0, "4 processes need a CUDA device each, and this machine has 0.*--device cpu"),
        ("cuda", 2, "this machine has 2"),
        ("cuda:1", 8, "4 processes cannot share cuda:1. Use --device cuda."),
    ],
)
def test_processes_without_a_gpu_of_their_own_are_refused(device, devices, said, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: devices)
    with pytest.raises(UserError, match=said):
        require_devices(device, 4)


@pytest.mark.parametrize(("device", "processes"), [("cpu", 4), ("cuda", 8), ("auto", 8)])
def test_processes_on_the_cpu_or_with_a_gpu_each_are_fine(device, processes, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    require_devices(device, processes)
