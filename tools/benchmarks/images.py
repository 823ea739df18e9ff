"""Images per second: every file anew with Pillow, against batches from decoded images."""

import multiprocessing
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

from common.data.augment import draw_batch
from common.data.images import open_images
from common.data.request import ImageSource, Request
from common.devices import find_device
from common.recipe import Augment
from common.streams import Stream
from common.types import Samples
from tools.benchmarks.clock import Clock
from tools.benchmarks.fresh_process import PeakMemory, fresh_process
from tools.benchmarks.limits import require_least
from tools.process import keep_memory_and_let_threads_sleep

BATCHES = 4  # per measured round


def run(
    count: int = 512,
    height: int = 256,
    width: int = 128,
    batch: int = 256,
    repeats: int = 5,
    threads: Sequence[int] = (1, 2),
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """Training batches from files and from memory, with the same number of threads.

    Files are read in the measuring process for one thread, by as many others for more; memory
    is filled by that many threads, and batches from it are made by one in any case. Both ways
    get the same draws, and their batches are compared bit by bit.

    Args:
        count: JPEGs of 128 x 64 pixels, made in a temporary folder.
        height, width: size of the batches' images.
        batch: images per batch.
        repeats: rounds of four batches, after one round that is not counted.
        device: where batches are wanted, and whose memory keeps the images.

    Returns:
        One row per number of threads: images per second either way (median, and fastest and
        slowest round), their ratio, images per second while the memory is filled, whether all
        batches were bit-equal, and what images and batches took of memory, in MB: `extra_mb`
        beyond the memory before (None where the system does not tell), and `device_mb`, the
        peak on a CUDA device, else None.
    """
    require_least(1, count=count, height=height, width=width)
    require_least(1, batch=batch, repeats=repeats, threads=threads)
    on = find_device(device)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        samples = made_jpegs(Path(folder), count)
        for number in threads:
            with fresh_process(_as_in_a_run) as fresh:
                given = (samples, height, width, batch, repeats, number, on)
                rows.append(fresh.submit(_row, *given).result())
    return rows


def _as_in_a_run() -> None:
    """Memory is kept, and readers start as the system has it, not as this process did."""
    keep_memory_and_let_threads_sleep()
    multiprocessing.set_start_method(None, force=True)


def _row(
    samples: Samples,
    height: int,
    width: int,
    batch: int,
    repeats: int,
    threads: int,
    device: torch.device,
) -> dict[str, Any]:
    torch.set_num_threads(threads)
    few = samples.take(slice(0, 1))
    small = open_images(few, height, width, Augment(), device, "device", threads)
    _rates(small, _requests(1, height, width, 1), 1, device)  # load the libraries
    asked = _requests(len(samples), height, width, batch)
    open_from = partial(open_images, samples, height, width, Augment(), device)
    peak, clock = PeakMemory(device), Clock(device)
    memory = clock.time(lambda: open_from("device", threads))
    from_memory = _rates(memory, asked, repeats, device)
    taken = {"extra_mb": peak.extra(), "device_mb": peak.on_device()}
    files = open_from("disk", threads if threads > 1 else 0)
    from_files = _rates(files, asked, repeats, device)
    return {
        "threads": threads,
        "files_per_s": round(median(from_files)),
        "files_range": _range(from_files),
        "memory_per_s": round(median(from_memory)),
        "memory_range": _range(from_memory),
        "repeats": repeats,
        "ratio": round(median(from_memory) / median(from_files), 1),
        "filling_per_s": round(len(samples) / clock.wall[0]),
        "bit_equal": _equal(files, memory, asked),
        **taken,
    }


def made_jpegs(folder: Path, count: int) -> Samples:
    """Coarse color fields under fine noise: about the size and cost of a pedestrian crop."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(count):
        fields = Image.fromarray(rng.integers(0, 256, (8, 4, 3), dtype=np.uint8))
        smooth = np.array(fields.resize((64, 128), Image.Resampling.BICUBIC), np.int64)
        noisy = (smooth + rng.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)
        paths.append(str(folder / f"{number:06d}.jpg"))
        Image.fromarray(noisy).save(paths[-1], quality=90)
    zeros = np.zeros(count, np.int64)
    return Samples(np.array(paths, object), zeros, zeros)


def _requests(count: int, height: int, width: int, batch: int) -> list[Request]:
    rng, stream = np.random.default_rng(0), Stream(0)
    return [
        Request(
            rng.integers(0, count, (batch, 1)),
            (draw_batch(stream, batch, height, width, Augment()),),
        )
        for _ in range(BATCHES)
    ]


def _rates(
    source: ImageSource, asked: list[Request], repeats: int, device: torch.device
) -> list[float]:
    """Images per second of each round; the first is left out, since it pays for compiling."""
    clock = Clock(device)
    images = [
        clock.time(lambda: sum(len(views[0]) for views in source.batches(asked)))
        for _ in range(repeats + 1)
    ]
    return [count / seconds for count, seconds in zip(images, clock.wall, strict=True)][1:]


def _range(rates: list[float]) -> str:
    return f"{min(rates):.0f}..{max(rates):.0f}"


def _equal(one: ImageSource, other: ImageSource, asked: list[Request]) -> bool:
    pairs = zip(one.batches(asked), other.batches(asked), strict=True)
    return all(
        torch.equal(a, b) for ours, theirs in pairs for a, b in zip(ours, theirs, strict=True)
    )
