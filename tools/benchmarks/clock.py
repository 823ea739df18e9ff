"""Seconds of one part of a measurement after the other, the device's work waited for."""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch


def device_wait(device: torch.device) -> Callable[[], object]:
    """A function that returns when the device is idle."""
    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    return lambda: None


def wall_seconds(work: Callable[[], object], device: torch.device) -> float:
    """Of one call, until the device is idle."""
    clock = Clock(device)
    clock.time(work)
    return clock.wall[0]


def spread(name: str, seconds: Sequence[float]) -> dict[str, float]:
    """The median of the repeats, under the name, and their least and most."""
    return {name: median(seconds), f"least_{name}": min(seconds), f"most_{name}": max(seconds)}


class Clock:
    """CPU and wall seconds of one call after the other, the device's work included."""

    def __init__(self, device: torch.device) -> None:
        self.wait = device_wait(device)
        self.cpu: list[float] = []
        self.wall: list[float] = []

    def time(self, work: Callable[[], Any]) -> Any:
        self.wait()
        cpu, wall = time.process_time(), time.perf_counter()
        result = work()
        self.wait()
        self.cpu.append(time.process_time() - cpu)
        self.wall.append(time.perf_counter() - wall)
        return result
