"""Which kernels does a training step of the encoder consist of, in precision fast?"""

from statistics import median
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from common.arithmetic import can_compile, set_arithmetic
from common.devices import find_device
from common.recipe import EncoderSettings
from tools.benchmarks.clock import Clock
from tools.benchmarks.encoder import Form, works
from tools.benchmarks.limits import require_least

WARM_UP = 5  # steps: compiling, then recording the graph that is replayed


def run(
    arch: str = "resnet50",
    height: int = 256,
    batch: int = 64,
    chunks: int = 4,
    device: str = "cpu",
    threads: int = 1,
    steps: int = 10,
    most: int = 40,
) -> list[dict[str, Any]]:
    """Profile steps (forward, backward, Adam), compiled where a run may be.

    Args:
        height: of the images; the width is half of it.
        chunks: groups of batch norm.
        threads: of torch on the CPU.
        steps: in a row, once timed and once profiled.
        most: rows of single kernels.

    Returns:
        First the whole step by the clock (the median, not profiled), then the kernels, on a CPU
        torch's operations, by falling time, and the sum of those left out: `ms` and `calls` in a
        step, and the `share` of the step.
    """
    require_least(1, batch=batch, chunks=chunks, threads=threads, steps=steps)
    require_least(2, height=height)
    require_least(0, most=most)
    on = find_device(device)
    torch.set_num_threads(threads)
    set_arithmetic("fast")
    form = Form("fast", chunks, fast=True, compiled=can_compile(on))
    settings = EncoderSettings(arch=arch, height=height, width=height // 2, weights="random")
    _, step, _ = works(form, settings, torch.rand(batch, 3, height, height // 2, device=on))
    for _ in range(WARM_UP):
        step()
    clock = Clock(on)
    for _ in range(steps):
        clock.time(step)
    with profile(activities=_activities(on), acc_events=True) as profiled:  # else torch warns
        for _ in range(steps):
            step()
        clock.wait()
    whole = 1000 * median(clock.wall)
    found = [(name, ms / steps, calls / steps) for name, ms, calls in _kernels(profiled, on)]
    found.sort(key=lambda kernel: -kernel[1])
    rows = [("whole step", whole, 1.0), *found[:most]]
    if left_out := found[most:]:
        rows.append(("all others", sum(k[1] for k in left_out), sum(k[2] for k in left_out)))
    return [
        {"kernel": name, "ms": ms, "calls": calls, "share": ms / whole} for name, ms, calls in rows
    ]


def _activities(device: torch.device) -> list[ProfilerActivity]:
    both = [ProfilerActivity.CPU, ProfilerActivity.CUDA]
    return both if device.type == "cuda" else both[:1]


def _kernels(profiled: profile, device: torch.device) -> list[tuple[str, float, int]]:
    """Name, milliseconds and calls of what ran on the device itself."""
    kind, time = DeviceType.CPU, "self_cpu_time_total"
    if device.type == "cuda":
        kind, time = DeviceType.CUDA, "self_device_time_total"
    events = [event for event in profiled.key_averages() if event.device_type == kind]
    return [
        (event.key, getattr(event, time) / 1000, event.count)
        for event in events
        if not event.is_user_annotation
    ]
