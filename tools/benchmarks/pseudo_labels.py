"""How much faster and smaller is the sparse clustering than the dense one, with equal labels?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.cluster import DBSCAN
from torch import Tensor

from common.clustering import compiled, sparse, tensors, warm_up
from common.clustering.approximate import find_neighbors
from common.clustering.dbscan import dbscan
from common.clustering.jaccard import half_length
from common.devices import find_device
from common.errors import UserError
from common.recipe import Approximate, Exact
from tools.benchmarks.clock import Clock, spread
from tools.benchmarks.dense_jaccard import (
    dense_averages,
    dense_distances,
    dense_ranks,
    dense_weights,
)
from tools.benchmarks.fresh_process import PeakMemory, fresh_process, peak_mb
from tools.benchmarks.limits import require_least
from tools.benchmarks.reid_features import reid_like_features

K1, K2, EPS, MIN_SAMPLES = 30, 6, 0.6, 4
PARTS = ("search", "weights", "expansion", "minima", "dbscan")


@dataclass(frozen=True)
class Setup:
    """One row of the benchmark; the fields are explained at `run`."""

    size: int
    dim: int
    repeats: int = 1
    threads: int = 1
    numba: bool = True
    share: float = 0.0
    device: str = "cpu"
    dense: bool = False

    @property
    def form(self) -> str:
        if self.dense:
            return "dense"
        return "sparse" if self.numba or self.device != "cpu" else "sparse without numba"


class Clustered(NamedTuple):
    """Seconds of the parts, labels, and the recall of an approximate search."""

    clock: Clock
    labels: np.ndarray
    recall: float | None = None


class Measured(NamedTuple):
    """One clustering: CPU and wall seconds of each part, and memory.

    Args:
        extra_mb: the process's peak beyond its memory before.
        peak_mb: the process's peak, libraries and features included.
        device_mb: the peak of what is allocated on a CUDA device, features included.
    """

    cpu: dict[str, float]
    wall: dict[str, float]
    extra_mb: float | None
    peak_mb: float | None
    device_mb: float | None
    labels: np.ndarray
    recall: float | None


def run(
    sizes: Sequence[int] = (2000, 5000, 12936),
    dim: int = 2048,
    repeats: int = 3,
    threads: Sequence[int] = (1,),
    dense_limit: int = 12936,
    numba: bool = True,
    share: float = 0.0,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """Time and memory of the whole stage, k1 = 30, k2 = 6, eps = 0.6, each in a fresh process.

    Args:
        sizes: numbers of images N, k1 at least.
        dim: feature size D.
        repeats: clusterings of which the median time is taken.
        threads: of torch, one number or several, which then take turns; kernels are compiled
            before the clock starts.
        dense_limit: largest N for which the dense form runs as well (1.5 GB at 12,936), on the CPU.
        numba: False measures the tensor form, as where numba is missing.
        share: of the cells looked at by an approximate search; 0 searches exactly.
        device: where the features lie, e.g. cuda.

    Returns:
        Up to two rows per size and number of threads, "dense" and ours: CPU seconds of the parts
        (`search`; `weights` with the sets; `expansion`; `minima`, the sums of minima; `dbscan`), of
        `after_search` and of `whole`, both with the least and most of the repeats, and all of them
        in wall seconds (`wall_...`); `extra_mb` of memory beyond libraries and features at the
        first clustering's peak, and the whole `peak_mb` (None where the system does not tell, and
        for all but the first number of threads); `device_mb`, the peak on a CUDA device, else None;
        `recall` of an approximate search, else None; `clusters` and `outliers`; for all but the
        first number of threads, how many times as fast as with that (`faster_after_search`,
        `faster_whole`, of wall seconds); and, beside a dense row, `ratio_after_search` and
        `ratio_whole` of CPU seconds (of wall seconds on a device), and the number of
        `labels_differing`.
    """
    require_least(K1, sizes=sizes)  # the kernels check no bounds
    require_least(1, dim=dim, repeats=repeats, threads=threads)
    require_least(0, dense_limit=dense_limit)
    if not 0 <= share <= 1:
        raise UserError(f"share is {share:g}; choose 0 for the exact search, at most 1 otherwise.")
    device = str(find_device(device))
    rows = []
    for size in sizes:
        ours = [Setup(size, dim, repeats, one, numba, share, device) for one in threads]
        found = _measured(ours)
        table = _rows(ours, found)
        if size > dense_limit:
            rows += table
            continue
        dense = [Setup(size, dim, repeats, one, dense=True) for one in threads]
        plain = _measured(dense)
        for row, here, other, there in zip(table, found, _rows(dense, plain), plain, strict=True):
            row |= _against(other, row)
            row["labels_differing"] = int((here[0].labels != there[0].labels).sum())
            rows += [other, row]
    return rows


def _rows(setups: list[Setup], measured: list[list[Measured]]) -> list[dict[str, Any]]:
    """A row for each number of threads; all but the first are compared with the first."""
    rows = [_row(setup, found) for setup, found in zip(setups, measured, strict=True)]
    for row in rows[1:]:
        for part in ("after_search", "whole"):
            row[f"faster_{part}"] = rows[0][f"wall_{part}"] / row[f"wall_{part}"]
        row |= {"extra_mb": None, "peak_mb": None}  # the process had its peak in the turn before
    return rows


def _against(dense: dict[str, Any], row: dict[str, Any]) -> dict[str, float]:
    """How many times as fast as the dense form."""
    clock = "" if row["device"] == "cpu" else "wall_"
    parts = ("after_search", "whole")
    return {f"ratio_{part}": dense[clock + part] / row[clock + part] for part in parts}


def _sparse_parts(features: Tensor, setup: Setup) -> Clustered:
    form = sparse if compiled.usable(features) else tensors
    search = Approximate(setup.share) if setup.share else Exact()
    clock = Clock(features.device)
    neighbors = clock.time(lambda: find_neighbors(features, K1, search))
    rows = clock.time(lambda: form.weights(features, neighbors, half_length(K1)))
    rows = clock.time(lambda: form.averages(neighbors, K2, rows))
    pairs = clock.time(lambda: form.close_pairs(rows, EPS))
    labels = clock.time(lambda: dbscan(pairs, EPS, MIN_SAMPLES))
    return Clustered(clock, labels, neighbors.recall)


def _dense_parts(features: Tensor, setup: Setup) -> Clustered:
    clock = Clock(features.device)
    rank = clock.time(lambda: dense_ranks(features, K1))
    weights = clock.time(lambda: dense_weights(features, rank))
    weights = clock.time(lambda: dense_averages(rank, K2, weights))
    distances = clock.time(lambda: dense_distances(weights))
    model = DBSCAN(eps=EPS, min_samples=MIN_SAMPLES, metric="precomputed")
    return Clustered(clock, clock.time(lambda: model.fit_predict(distances)))


def _measured(setups: list[Setup]) -> list[list[Measured]]:
    with fresh_process() as fresh:
        return fresh.submit(_measure, setups).result()


def _measure(setups: list[Setup]) -> list[list[Measured]]:
    """The repeats of each; they differ in their threads alone, and take turns."""
    first = setups[0]
    torch.set_num_threads(first.threads)
    compiled.AVAILABLE &= first.numba
    warm_up(torch.device(first.device))
    parts: Callable[[Tensor, Setup], Clustered] = _dense_parts if first.dense else _sparse_parts
    parts(reid_like_features(256, first.dim, 1, first.device), first)  # load the libraries
    features = reid_like_features(first.size, first.dim, 0, first.device)
    found: list[list[Measured]] = [[] for _ in setups]
    for _ in range(first.repeats):
        for setup, repeats in zip(setups, found, strict=True):
            torch.set_num_threads(setup.threads)
            repeats.append(_measure_once(parts, features, setup))
    return found


def _measure_once(
    parts: Callable[[Tensor, Setup], Clustered], features: Tensor, setup: Setup
) -> Measured:
    memory = PeakMemory(features.device)
    clock, labels, recall = parts(features, setup)
    return Measured(
        cpu=dict(zip(PARTS, clock.cpu, strict=True)),
        wall=dict(zip(PARTS, clock.wall, strict=True)),
        extra_mb=memory.extra(),
        peak_mb=peak_mb(),
        device_mb=memory.on_device(),
        labels=labels,
        recall=recall,
    )


def _row(setup: Setup, measured: list[Measured]) -> dict[str, Any]:
    first = measured[0]
    return {
        "form": setup.form,
        "images": setup.size,
        "dim": setup.dim,
        "threads": setup.threads,
        "device": setup.device,
        "repeats": len(measured),
        **_seconds([one.cpu for one in measured], ""),
        **_seconds([one.wall for one in measured], "wall_"),
        "extra_mb": first.extra_mb,
        "peak_mb": first.peak_mb,
        "device_mb": first.device_mb,
        "recall": first.recall,
        "clusters": int(first.labels.max()) + 1,
        "outliers": int((first.labels < 0).sum()),
    }


def _seconds(found: list[dict[str, float]], prefix: str) -> dict[str, float]:
    """Medians over the repeats: the parts, all after the search, and all; of these the spread."""
    after_search = [sum(one[part] for part in PARTS[1:]) for one in found]
    whole = [sum(one.values()) for one in found]
    return {
        **{prefix + part: median(one[part] for one in found) for part in PARTS},
        **spread(f"{prefix}after_search", after_search),
        **spread(f"{prefix}whole", whole),
    }
