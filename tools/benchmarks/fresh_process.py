"""A process of its own for a measurement, and the memory that it takes."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path


def fresh_process(prepare: Callable[[], None] | None = None) -> ProcessPoolExecutor:
    """One new process: nothing that ran before is in its memory.

    Args:
        prepare: called in it before anything else is imported.
    """
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=prepare)


def memory_mb() -> float | None:
    """Memory of this process now; None where the system does not tell."""
    return _status_mb("VmRSS")


def peak_mb() -> float | None:
    """Largest memory of this process, since it started or since `forget_peak`.

    Not `ru_maxrss`: on Linux a new process inherits that from the one that started it.
    """
    return _status_mb("VmHWM")


def forget_peak() -> None:
    """Let the peak start anew from the present memory; Linux only."""
    switch = Path("/proc/self/clear_refs")
    if switch.exists():
        switch.write_text("5")


def _status_mb(name: str) -> float | None:
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024
