"""How fast is the evaluation, and how much memory does it need, against a loop over the queries?"""

from dataclasses import replace
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from common.devices import find_device
from common.evaluator.retrieval import distances, evaluate
from common.types import Retrieval, Samples
from tools.benchmarks.clock import Clock
from tools.benchmarks.fresh_process import PeakMemory, fresh_process
from tools.benchmarks.limits import require_least

RANKS = 50
DISTRACTOR = -1  # their one identity; no query has it


def run(
    queries: int = 3368,
    gallery: int = 15913,
    distractors: int = 0,
    dim: int = 2048,
    identities: int = 750,
    cameras: int = 6,
    plain_queries: int = 0,
    repeats: int = 3,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """Time and memory of both, each in a fresh process; the default size is Market-1501's.

    Args:
        gallery: images of the queries' identities; `distractors` are added.
        dim: feature size D.
        plain_queries: the plain loop takes the first so many queries only; 0 for all.
        repeats: evaluations by each.
        device: of the features. The plain loop takes its distances from there to the CPU.

    Returns:
        One row per implementation: queries and gallery images that it was given; median, least
        and most seconds; `extra_mb`, its largest memory beyond that before (None where the system
        does not tell); `device_mb`, the peak on a CUDA device, else None; mAP and CMC@1; `ratio`,
        the plain loop's least seconds for a query over this one's; and whether mAP and CMC of the
        plain loop's queries are equal.
    """
    require_least(1, queries=queries, gallery=gallery, dim=dim, repeats=repeats)
    require_least(1, identities=identities, cameras=cameras)
    require_least(0, distractors=distractors, plain_queries=plain_queries)
    taken = {"ours": queries, "plain": min(plain_queries or queries, queries)}
    device = str(find_device(device))
    size = (queries, gallery, distractors, dim, identities, cameras)
    with fresh_process() as plain, fresh_process() as ours:
        workers = {"ours": ours, "plain": plain}
        for name, worker in workers.items():
            worker.submit(_prepare, name, *size, device).result()
        measured: dict[str, list[Measured]] = {name: [] for name in workers}
        for _ in range(repeats):  # in turns, so that a busy machine slows both
            for name, worker in workers.items():
                measured[name].append(worker.submit(_measure, name, taken[name]).result())
        same = measured["ours"][0]
        if taken["plain"] < queries:
            same = ours.submit(_measure, "ours", taken["plain"]).result()
    equal = _equal(same.found, measured["plain"][0].found)
    rows = [
        _row(name, taken[name], gallery + distractors, found) for name, found in measured.items()
    ]
    per_query = [row["least"] / row["queries"] for row in rows]
    return [
        {**row, "ratio": per_query[1] / own, "equal": equal}
        for row, own in zip(rows, per_query, strict=True)
    ]


def plain_evaluate(
    query_features: Tensor, query: Samples, gallery_features: Tensor, gallery: Samples
) -> Retrieval:
    """The definition, a query at a time: sort the gallery, drop junk, scikit-learn's AP."""
    matrix = distances(query_features, gallery_features).cpu().numpy()
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
    """One evaluation."""

    seconds: float
    extra_mb: float | None
    device_mb: float | None
    found: Retrieval


def _prepare(
    name: str,
    queries: int,
    gallery: int,
    distractors: int,
    dim: int,
    identities: int,
    cameras: int,
    device: str,
) -> None:
    rng = np.random.default_rng(0)
    pids = [rng.integers(0, identities, count) for count in (queries, gallery)]
    pids[1] = np.append(pids[1], np.full(distractors, DISTRACTOR))
    centers = np.random.default_rng(1).integers(-1, 2, (identities + 1, dim), dtype=np.int8)
    DATA.clear()
    for own in pids:
        features, samples = _images(rng, own, centers, cameras)
        DATA.extend((features.to(device), samples))
    few = DATA[3].take(slice(0, 32))
    elsewhere = replace(few, cams=few.cams + 1)  # every image finds itself
    FUNCTIONS[name](DATA[2][:32], elsewhere, DATA[2][:32], few)  # load the libraries


def _measure(name: str, queries: int) -> Measured:
    query_features, query, gallery_features, gallery = DATA
    given = query_features[:queries], query.take(slice(0, queries)), gallery_features, gallery
    memory, clock = PeakMemory(gallery_features.device), Clock(gallery_features.device)
    found = clock.time(lambda: FUNCTIONS[name](*given))
    return Measured(clock.wall[0], memory.extra(), memory.on_device(), found)


def _row(name: str, queries: int, gallery: int, measured: list[Measured]) -> dict[str, Any]:
    first = measured[0]
    seconds = [one.seconds for one in measured]
    return {
        "implementation": name,
        "queries": queries,
        "gallery": gallery,
        "seconds": median(seconds),
        "least": min(seconds),
        "most": max(seconds),
        "repeats": len(measured),
        "extra_mb": first.extra_mb,
        "device_mb": first.device_mb,
        "map": first.found.map,
        "rank1": first.found.rank(1),
    }


def _equal(found: Retrieval, reference: Retrieval) -> bool:
    return abs(found.map - reference.map) < 1e-9 and np.array_equal(found.cmc, reference.cmc)


def _images(
    rng: np.random.Generator, pids: np.ndarray, centers: np.ndarray, cameras: int
) -> tuple[Tensor, Samples]:
    """Features around one center per identity, the last of them for all distractors.

    Their entries are small whole numbers: distances are exact, so both sides must agree to the
    last rank however the product is cut into blocks.
    """
    count, dim = len(pids), centers.shape[1]
    features = np.empty((count, dim), np.float32)
    for row, pid in zip(features, pids, strict=True):
        row[:] = centers[pid] + rng.integers(-9, 10, dim, dtype=np.int8)
    samples = Samples(np.arange(count).astype(object), pids, rng.integers(0, cameras, count))
    return torch.from_numpy(features), samples
