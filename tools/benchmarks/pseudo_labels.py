"""How much faster and smaller is the sparse clustering than the dense one, with equal labels?"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.cluster import DBSCAN
from torch import Tensor

from common.clustering import compiled, sparse, tensors, warm_up
from common.clustering.dbscan import dbscan
from common.clustering.jaccard import half_length
from common.clustering.neighbors import nearest_neighbors
from tools.benchmarks.dense_jaccard import (
    dense_averages,
    dense_distances,
    dense_ranks,
    dense_weights,
)

K1, K2, EPS, MIN_SAMPLES = 30, 6, 0.6, 4
PARTS = ("search", "weights", "expansion", "minima", "dbscan")
CAMERAS = 6


class Measured(NamedTuple):
    """One clustering: CPU and wall seconds of each part, memory beyond that before it."""

    cpu: dict[str, float]
    wall: dict[str, float]
    extra_mb: float | None
    labels: np.ndarray


def run(
    sizes: Sequence[int] = (2000, 5000, 12936),
    dim: int = 2048,
    repeats: int = 3,
    threads: int = 1,
    dense_limit: int = 12936,
    numba: bool = True,
) -> list[dict[str, Any]]:
    """Time and memory of the whole stage, k1 = 30, k2 = 6, eps = 0.6, each in a fresh process.

    Args:
        sizes: numbers of images N.
        dim: feature size D.
        repeats: clusterings of which the median time is taken.
        threads: of torch; kernels are compiled before the clock starts.
        dense_limit: largest N for which the dense form runs as well (1.5 GB at 12,936).
        numba: False measures the tensor form, as where numba is missing.

    Returns:
        Up to two rows per size, "dense" and ours: CPU seconds of the parts (`search`; `weights`
        with the sets; `expansion`; `minima`, the sums of minima; `dbscan`), of `after_search` and
        of `whole`, the latter two in wall seconds too; `extra_mb` of memory beyond libraries and
        features at the first clustering's peak (None where the system does not tell); `clusters`
        and `outliers`; and, beside a dense row, `ratio_after_search` and `ratio_whole` of CPU
        seconds, and the number of `labels_differing`.
    """
    rows = []
    for size in sizes:
        ours = _measured(_sparse_parts, size, dim, repeats, threads, numba)
        row = _row("sparse" if numba else "sparse without numba", size, dim, threads, ours)
        if size <= dense_limit:
            dense = _measured(_dense_parts, size, dim, repeats, threads, numba)
            other = _row("dense", size, dim, threads, dense)
            row["labels_differing"] = int((ours[0].labels != dense[0].labels).sum())
            for part in ("after_search", "whole"):
                row[f"ratio_{part}"] = other[part] / row[part]
            rows.append(other)
        rows.append(row)
    return rows


def reid_like_features(size: int, dim: int, seed: int = 0) -> Tensor:
    """(N, D) unit rows that cluster like re-identification features.

    Identities of 5 to 40 images in random order, many of them of similar looks; a shift per
    camera; images of unequal quality, so that some lie far from their identity and some are
    near many points (hubs); a falling spectrum.
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    sorted_ids = np.repeat(np.arange(size), rng.integers(5, 41, size))[:size]
    count = int(sorted_ids[-1]) + 1
    identity = torch.from_numpy(rng.permutation(sorted_ids))
    camera = torch.from_numpy(rng.integers(0, CAMERAS, size))
    look = torch.from_numpy(rng.integers(0, 2 + count // 20, count))
    spectrum = (1 + torch.arange(dim) / 16) ** -0.6
    looks = 0.6 * torch.randn(2 + count // 20, dim, generator=generator)
    centers = torch.randn(count, dim, generator=generator) + looks[look]
    shifts = 0.4 * torch.randn(CAMERAS, dim, generator=generator)
    quality = torch.from_numpy(rng.lognormal(np.log(2.2), 0.35, size)).float()
    features = torch.empty(size, dim)
    for rows in torch.arange(size).split(256):  # leaves little freed memory behind
        noise = quality[rows, None] * torch.randn(len(rows), dim, generator=generator)
        images = centers[identity[rows]] + shifts[camera[rows]] + noise
        features[rows] = F.normalize(spectrum * images, dim=1)
    return features


def _sparse_parts(features: Tensor) -> tuple[list[float], list[float], np.ndarray]:
    form = sparse if compiled.usable(features) else tensors
    clock = _Clock()
    neighbors = clock.time(lambda: nearest_neighbors(features, K1))
    rows = clock.time(lambda: form.weights(features, neighbors, half_length(K1)))
    rows = clock.time(lambda: form.averages(neighbors, K2, rows))
    pairs = clock.time(lambda: form.close_pairs(rows, EPS))
    labels = clock.time(lambda: dbscan(pairs, EPS, MIN_SAMPLES))
    return clock.cpu, clock.wall, labels


def _dense_parts(features: Tensor) -> tuple[list[float], list[float], np.ndarray]:
    clock = _Clock()
    rank = clock.time(lambda: dense_ranks(features, K1))
    weights = clock.time(lambda: dense_weights(features, rank))
    weights = clock.time(lambda: dense_averages(rank, K2, weights))
    distances = clock.time(lambda: dense_distances(weights))
    model = DBSCAN(eps=EPS, min_samples=MIN_SAMPLES, metric="precomputed")
    labels = clock.time(lambda: model.fit_predict(distances))
    return clock.cpu, clock.wall, labels


class _Clock:
    """CPU and wall seconds of one call after the other."""

    def __init__(self) -> None:
        self.cpu: list[float] = []
        self.wall: list[float] = []

    def time(self, work: Callable[[], Any]) -> Any:
        cpu, wall = time.process_time(), time.perf_counter()
        result = work()
        self.cpu.append(time.process_time() - cpu)
        self.wall.append(time.perf_counter() - wall)
        return result


Parts = Callable[[Tensor], tuple[list[float], list[float], np.ndarray]]


def _measured(
    parts: Parts, size: int, dim: int, repeats: int, threads: int, numba: bool
) -> list[Measured]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(_measure, parts, size, dim, repeats, threads, numba).result()


def _measure(
    parts: Parts, size: int, dim: int, repeats: int, threads: int, numba: bool
) -> list[Measured]:
    torch.set_num_threads(threads)
    compiled.AVAILABLE &= numba
    warm_up()
    parts(reid_like_features(256, dim, seed=1))  # load the libraries
    features = reid_like_features(size, dim)
    measured = []
    for _ in range(repeats):
        before = _memory_mb("VmRSS")
        _forget_peak()
        cpu, wall, labels = parts(features)
        peak = _memory_mb("VmHWM")
        extra = None if before is None or peak is None else peak - before
        measured.append(
            Measured(
                cpu=dict(zip(PARTS, cpu, strict=True)),
                wall=dict(zip(PARTS, wall, strict=True)),
                extra_mb=extra,
                labels=labels,
            )
        )
    return measured


def _row(form: str, size: int, dim: int, threads: int, measured: list[Measured]) -> dict[str, Any]:
    first = measured[0]
    after = PARTS[1:]
    row: dict[str, Any] = {"form": form, "images": size, "dim": dim, "threads": threads}
    row |= {part: median(one.cpu[part] for one in measured) for part in PARTS}
    row["after_search"] = median(sum(one.cpu[part] for part in after) for one in measured)
    row["whole"] = median(sum(one.cpu.values()) for one in measured)
    row["wall_after_search"] = median(sum(one.wall[part] for part in after) for one in measured)
    row["wall_whole"] = median(sum(one.wall.values()) for one in measured)
    row["extra_mb"] = first.extra_mb
    row["clusters"] = int(first.labels.max()) + 1
    row["outliers"] = int((first.labels < 0).sum())
    return row


def _memory_mb(name: str) -> float | None:
    """Memory of this process, now (VmRSS) or at its peak (VmHWM); Linux only."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def _forget_peak() -> None:
    """Let the peak start anew from the present memory; Linux only."""
    switch = Path("/proc/self/clear_refs")
    if switch.exists():
        switch.write_text("5")
