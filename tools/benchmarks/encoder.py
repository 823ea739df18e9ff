"""What do number format, memory layout and batch-norm groups cost in a step of the encoder?"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

from common.arithmetic import can_compile, has_fast_bfloat16, set_arithmetic
from common.backbones.encoder import build_encoder
from common.backbones.network import Encoder
from common.devices import find_device
from common.recipe import EncoderSettings
from tools.benchmarks.clock import wall_seconds
from tools.benchmarks.fresh_process import PeakMemory, fresh_process
from tools.benchmarks.limits import require_least


@dataclass(frozen=True)
class Form:
    """One way to compute the same network.

    Args:
        chunks: groups of batch norm.
        fast: as `precision` "fast" computes it.
        channels_last: the layout; None leaves it to the device.
        compiled: its trunk and pooling compiled.
    """

    name: str
    chunks: int
    fast: bool = False
    channels_last: bool | None = None
    compiled: bool = False


def run(
    arch: str = "resnet50",
    height: int = 256,
    batch: int = 64,
    chunks: int = 4,
    device: str = "cpu",
    threads: int = 1,
    repeats: int = 5,
    memory: bool = True,
) -> list[dict[str, Any]]:
    """Time training steps (forward, backward, Adam) and extraction, the forms in turns.

    What each takes of memory is seen afterwards, in a fresh process each.

    Args:
        height: of the images; the width is half of it.
        chunks: groups of batch norm; the form "one group" shows what they cost.
        threads: of torch on the CPU.
        memory: False leaves the memory out.

    Returns:
        One row per form: median, least and most milliseconds of a training step, `train` and
        `extract` images per second (of the medians), `ratio` of the exact form's least step to
        this one's, seconds of the first step and extraction (`start`; a compiled trunk is compiled
        there), and whether its trunk computes in bfloat16. Where the device has no fast bfloat16,
        "fast" differs from "exact" by the fused Adam alone. `extra_mb`: the peak of steps beyond
        libraries, network and images (None where the system does not tell); `device_mb`: of what
        is allocated on a CUDA device, else None.
    """
    require_least(1, batch=batch, chunks=chunks, threads=threads, repeats=repeats)
    require_least(2, height=height)
    on = find_device(device)
    torch.set_num_threads(threads)
    forms = [
        Form("exact", chunks),
        Form("exact, one group", 1),
        _other_layout(chunks, on),
        Form("fast", chunks, fast=True),
        Form("fast, one group", 1, fast=True),
    ]
    if can_compile(on):
        forms.append(Form("fast, compiled", chunks, fast=True, compiled=True))
        forms.append(Form("fast, compiled, one group", 1, fast=True, compiled=True))
    settings = EncoderSettings(arch=arch, height=height, width=height // 2, weights="random")
    shape = (batch, 3, height, height // 2)
    times = _timed(forms, settings, torch.rand(shape, device=on), repeats)
    least = min(step for step, _ in times["exact"][1:])
    rows = [_row(form, times[form.name], batch, least, on) for form in forms]
    if memory:
        if on.type == "cuda":
            torch.cuda.empty_cache()  # other processes need it now
        for form, row in zip(forms, rows, strict=True):
            with fresh_process() as fresh:
                row |= fresh.submit(memory_of, form, settings, shape, threads, str(on)).result()
    return rows


def _timed(
    forms: list[Form], settings: EncoderSettings, images: Tensor, repeats: int
) -> dict[str, list[tuple[float, float]]]:
    """Seconds of a step and of an extraction, in turns; the first round warms up.

    Every round begins with another form, since what runs before leaves the caches as it does.
    """
    prepared = [(form, *works(form, settings, images)) for form in forms]
    times: dict[str, list[tuple[float, float]]] = {form.name: [] for form in forms}
    for turn in range(1 + repeats):
        first = turn % len(prepared)
        for form, encoder, step, extract in prepared[first:] + prepared[:first]:
            set_arithmetic("fast" if form.fast else "exact")
            encoder.train()
            trained = wall_seconds(step, images.device)
            encoder.eval()
            times[form.name].append((trained, wall_seconds(extract, images.device)))
    return times


def _other_layout(chunks: int, device: torch.device) -> Form:
    """Exact in the layout that the device is not given (`Encoder.place_on`)."""
    if device.type == "cpu":
        return Form("exact, channels-first", chunks, channels_last=False)
    return Form("exact, channels-last", chunks, channels_last=True)


def works(
    form: Form, settings: EncoderSettings, images: Tensor
) -> tuple[Encoder, Callable[[], None], Callable[[], None]]:
    """The encoder of a form, a training step of it, an extraction."""
    encoder = build_encoder(settings, form.chunks)
    encoder.place_on(images.device, "fast" if form.fast else "exact")
    if form.channels_last is not None:
        encoder.lay_out(channels_last=form.channels_last)
    encoder.compiled = form.compiled
    learnable = [p for p in encoder.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learnable, lr=1e-5, fused=form.fast or None)
    target = torch.linspace(-1, 1, encoder.num_features, device=images.device)

    def step() -> None:
        (encoder(images) @ target).sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    @torch.no_grad()
    def extract() -> None:
        encoder(images)

    return encoder, step, extract


def memory_of(
    form: Form, settings: EncoderSettings, shape: tuple[int, ...], threads: int, device: str
) -> dict[str, float | None]:
    """Peak of two steps, of which the second has Adam's averages, and of an extraction."""
    torch.set_num_threads(threads)
    set_arithmetic("fast" if form.fast else "exact")
    encoder, step, extract = works(form, settings, torch.rand(shape, device=device))
    peak = PeakMemory(torch.device(device))
    encoder.train()
    step()
    step()
    encoder.eval()
    extract()
    return {"extra_mb": peak.extra(), "device_mb": peak.on_device()}


def _row(
    form: Form, times: list[tuple[float, float]], batch: int, least: float, device: torch.device
) -> dict[str, Any]:
    first, *times = times
    steps = [step for step, _ in times]
    return {
        "form": form.name,
        "ms": 1000 * median(steps),
        "least": 1000 * min(steps),
        "most": 1000 * max(steps),
        "repeats": len(times),
        "train": batch / median(steps),
        "extract": batch / median(extraction for _, extraction in times),
        "ratio": least / min(steps),
        "start": sum(first),
        "bfloat16": form.fast and has_fast_bfloat16(device),
    }
