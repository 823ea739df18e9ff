"""The devices of this machine, by the names that a user gives them."""

import re

import torch

from common.errors import UserError


def find_device(name: str) -> torch.device:
    """The device of that name.

    Args:
        name: "cpu", "cuda", "cuda:1" or "auto" (CUDA where there is one).

    Raises:
        UserError: with what to choose instead.
    """
    _require_device_name(name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("no CUDA device was found. Choose cpu, or see `tools doctor`.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"there is no {name}: see `tools doctor` for the CUDA devices, from 0 on.")
    return device


def _require_device_name(name: str) -> None:
    if not re.fullmatch("auto|cpu|cuda(:[0-9]{1,2})?", name):
        raise UserError(f"{name!r} is no device. Choose auto, cpu, cuda or, say, cuda:1.")


def require_devices(device: str, processes: int) -> None:
    """Stop where the processes of this machine cannot have a GPU each.

    Args:
        device: "cpu", "cuda", "cuda:1" or "auto".
        processes: on this machine.

    Raises:
        UserError: with what to choose instead.
    """
    _require_device_name(device)
    if device == "cpu" or processes == 1:
        return
    found = torch.cuda.device_count()
    if found < processes:
        raise UserError(
            f"{processes} processes need a CUDA device each, and this machine has {found}. "
            "Start fewer, or add --device cpu to let them share the processor."
        )
    if ":" in device:
        raise UserError(f"{processes} processes cannot share {device}. Use --device cuda.")
