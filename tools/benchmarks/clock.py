"""Seconds of one part of a measurement after the other."""

import time
from collections.abc import Callable
from typing import Any

import torch


class Clock:
    """CPU and wall seconds of one call after the other, the device's work included."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.cpu: list[float] = []
        self.wall: list[float] = []

    def time(self, work: Callable[[], Any]) -> Any:
        self._finish()
        cpu, wall = time.process_time(), time.perf_counter()
        result = work()
        self._finish()
        self.cpu.append(time.process_time() - cpu)
        self.wall.append(time.perf_counter() - wall)
        return result

    def _finish(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
