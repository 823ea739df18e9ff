"""A process of its own for a measurement, and the memory that it takes."""

import ctypes
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch

STATUS = Path("/proc/self/status")


def fresh_process(prepare: Callable[[], None] | None = None) -> ProcessPoolExecutor:
    """One new process: nothing that ran before is in its memory.

    Args:
        prepare: called in it before anything else is imported.
    """
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=prepare)


class PeakMemory:
    """Largest memory of this process from now on, in MB; None where the system does not tell."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self.before = _status_mb("VmRSS")
        switch = Path("/proc/self/clear_refs")
        if switch.exists():
            switch.write_text("5")

    def extra(self) -> float | None:
        """Beyond what was in use at the start."""
        peak = peak_mb()
        return None if self.before is None or peak is None else peak - self.before

    def on_device(self) -> float | None:
        """Allocated on a CUDA device, what was there before included; None elsewhere."""
        return device_peak_mb(self.device)


def return_freed_memory() -> None:
    """To the system: small measurements would use again, unseen, what was freed and kept."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # another C library
        return


def peak_mb() -> float | None:
    """Largest memory of this process, since it started or since a `PeakMemory` began.

    Not `ru_maxrss`: on Linux a new process inherits that from the one that started it.
    """
    return _status_mb("VmHWM")


def device_peak_mb(device: torch.device) -> float | None:
    """Largest memory allocated on a CUDA device, counted as in `peak_mb`; None elsewhere."""
    if device.type != "cuda":
        return None
    return torch.cuda.max_memory_allocated(device) / 2**20


def _status_mb(name: str) -> float | None:
    status = STATUS.read_text() if STATUS.exists() else ""
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else None
