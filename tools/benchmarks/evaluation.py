"""How fast is the evaluation, and how much memory does it need, against a loop over the queries?"""

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from common.evaluator.retrieval import distances, evaluate
from common.types import Retrieval, Samples

IDENTITIES, CAMERAS, RANKS = 750, 6, 50


def run(
    queries: int = 3368, gallery: int = 15913, dim: int = 2048, repeats: int = 3
) -> list[dict[str, Any]]:
    """Time and peak memory of both, each in a fresh process; the default size is Market-1501's.

    Returns:
        One row per implementation: median, least and most seconds of a run; `extra_mb` of memory
        beyond features and libraries (None where the system does not tell); `ratio`, the plain
        loop's least seconds over this one's; whether mAP and CMC equal the plain loop's.
    """
    with _fresh_process() as plain, _fresh_process() as ours:
        workers = {"ours": ours, "plain": plain}
        for worker in workers.values():
            worker.submit(_prepare, queries, gallery, dim).result()
        measured: dict[str, list[Measured]] = {name: [] for name in workers}
        for _ in range(repeats):  # in turns, so that a busy machine slows both
            for name, worker in workers.items():
                measured[name].append(worker.submit(_measure, name).result())
    rows = [_row(name, found) for name, found in measured.items()]
    reference, least = measured["plain"][0].found, rows[1]["least"]
    for row, (found, *_) in zip(rows, measured.values(), strict=True):
        row["ratio"] = least / row["least"]
        row["equal"] = _equal(found.found, reference)
    return rows


def plain_evaluate(
    query_features: Tensor, query: Samples, gallery_features: Tensor, gallery: Samples
) -> Retrieval:
    """The definition, a query at a time: sort the gallery, drop junk, scikit-learn's AP."""
    matrix = distances(query_features, gallery_features).numpy()
    precisions, cmc = [], np.zeros(RANKS)
    for row, pid, cam in zip(matrix, query.pids, query.cams, strict=True):
        order = np.argsort(row, kind="stable")
        order = order[(gallery.pids[order] != pid) | (gallery.cams[order] != cam)]
        correct = gallery.pids[order] == pid
        if correct.any():
            precisions.append(average_precision_score(correct, -row[order]))
            cmc[correct.argmax() :] += 1
    return Retrieval(float(np.mean(precisions)), cmc / len(precisions), len(precisions))


FUNCTIONS = {"ours": evaluate, "plain": plain_evaluate}
DATA: list[Any] = []  # of a measuring process: features and samples of queries and gallery


class Measured(NamedTuple):
    """One evaluation: its time, and the process's memory before and its peak after."""

    seconds: float
    before_mb: float | None
    peak_mb: float | None
    found: Retrieval


def _fresh_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def _prepare(queries: int, gallery: int, dim: int) -> None:
    rng = np.random.default_rng(0)
    DATA[:] = (*_images(rng, queries, dim), *_images(rng, gallery, dim))
    query_features, query, gallery_features, images = DATA
    few = slice(0, min(32, queries))
    for function in FUNCTIONS.values():  # load the libraries
        function(query_features[few], query.take(few), gallery_features, images)


def _measure(name: str) -> Measured:
    before = _peak_mb()
    start = time.perf_counter()
    found = FUNCTIONS[name](*DATA)
    return Measured(time.perf_counter() - start, before, _peak_mb(), found)


def _row(name: str, measured: list[Measured]) -> dict[str, Any]:
    before, peak = measured[0].before_mb, measured[-1].peak_mb
    seconds = [one.seconds for one in measured]
    return {
        "implementation": name,
        "seconds": median(seconds),
        "least": min(seconds),
        "most": max(seconds),
        "repeats": len(measured),
        "extra_mb": None if before is None or peak is None else peak - before,
        "map": measured[0].found.map,
        "rank1": measured[0].found.rank(1),
    }


def _equal(found: Retrieval, reference: Retrieval) -> bool:
    return abs(found.map - reference.map) < 1e-9 and np.array_equal(found.cmc, reference.cmc)


def _images(rng: np.random.Generator, count: int, dim: int) -> tuple[Tensor, Samples]:
    """Features around one center per identity.

    Their entries are small whole numbers: distances are exact, so both sides must agree to the
    last rank however the product is cut into blocks.
    """
    pids = rng.integers(0, IDENTITIES, count)
    centers = np.random.default_rng(1).integers(-1, 2, (IDENTITIES, dim), dtype=np.int8)
    features = np.empty((count, dim), np.float32)
    for row, pid in zip(features, pids, strict=True):
        row[:] = centers[pid] + rng.integers(-9, 10, dim, dtype=np.int8)
    samples = Samples(np.arange(count).astype(object), pids, rng.integers(0, CAMERAS, count))
    return torch.from_numpy(features), samples


def _peak_mb() -> float | None:
    """Largest memory of this process so far.

    Not `ru_maxrss`: on Linux a new process inherits that from the one that started it.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
