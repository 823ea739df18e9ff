"""How much faster is InfoMap's clustering than a plain form of it, and do the two agree?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from common.clustering import cluster, warm_up
from common.clustering.infomap import (
    empty_network,
    kept_modules,
    modules_in,
    modules_of,
    neighbor_graph,
)
from common.devices import find_device
from common.recipe import InfoMap
from tools.benchmarks.clock import Clock, spread
from tools.benchmarks.dense_jaccard import SEARCH_BLOCK
from tools.benchmarks.fresh_process import PeakMemory, fresh_process
from tools.benchmarks.limits import require_least
from tools.benchmarks.reid_features import reid_like_features

PARTS = ("graph", "partition")


@dataclass(frozen=True)
class Setup:
    """What one process measures; arguments as of `run`."""

    size: int
    dim: int
    settings: InfoMap
    repeats: int = 1
    threads: int = 1
    device: str = "cpu"
    plain: bool = False


class Found(NamedTuple):
    """A clustering: numbers i * N + j of its edges i -> j, modules, the map equation's value in
    bits, labels.
    """

    edges: np.ndarray
    modules: int
    codelength: float
    labels: np.ndarray


class Measured(NamedTuple):
    """One clustering: CPU and wall seconds of each part, and memory beyond that before."""

    cpu: list[float]
    wall: list[float]
    extra_mb: float | None
    found: Found


def run(
    sizes: Sequence[int] = (12_936,),
    dim: int = 256,
    similarity: float = 0.3,
    repeats: int = 1,
    threads: int = 1,
    plain_limit: int = 12_936,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """Time and memory of graph and partition, k1 = 15, k2 = 4, each in a fresh process.

    Args:
        sizes: numbers of images N.
        dim: feature size D.
        similarity: least similarity of an edge. The drawn features of one identity are less alike
            than trained ones: the papers' 0.5 would leave most images without an edge.
        repeats: clusterings of which the median time is taken.
        threads: of torch. Infomap itself uses one.
        plain_limit: largest N for which the plain form runs as well.
        device: of the features and the search.

    Returns:
        Up to two rows per size, "plain" and ours: `edges`, CPU and wall seconds of `graph`,
        `partition` and both (`whole`, with the least and most of the repeats), `extra_mb` of
        memory beyond libraries and features at the first clustering's peak, `modules`, `clusters`
        of more than k2 images, `outliers`, and the `codelength` in bits. Beside a plain row also
        `ratio_graph` and `ratio_whole` of CPU seconds (of wall seconds on a device); `edges_apart`,
        which one form alone has, as where a k1-th neighbour is a tie but for rounding; and the
        adjusted Rand index of the labels, 1 where images are parted alike: `agreement` of the
        forms, and by how much chance alone decides, `agreement_seeds` with ours of another seed.
    """
    require_least(1, sizes=sizes, dim=dim, repeats=repeats, threads=threads)
    require_least(0, plain_limit=plain_limit)
    device = str(find_device(device))
    settings = InfoMap(similarity=similarity)
    rows = []
    for size in sizes:
        setup = Setup(size, dim, settings, repeats, threads, device)
        ours = _measured(setup)
        row = _row(setup, ours)
        if size <= plain_limit:
            plain_setup = replace(setup, plain=True)
            plain = _measured(plain_setup)
            other = _row(plain_setup, plain)
            clock = "" if device == "cpu" else "wall_"
            for part in ("graph", "whole"):
                row[f"ratio_{part}"] = other[clock + part] / row[clock + part]
            row |= _compared(ours[0].found, plain[0].found, _another_seed(setup))
            rows.append(other)
        rows.append(row)
    return rows


def _another_seed(setup: Setup) -> Found:
    settings = replace(setup.settings, seed=setup.settings.seed + 1)
    return _measured(replace(setup, settings=settings, repeats=1))[0].found


def _compared(ours: Found, plain: Found, another_seed: Found) -> dict[str, Any]:
    return {
        "edges_apart": len(np.setxor1d(ours.edges, plain.edges)),
        "agreement": float(adjusted_rand_score(ours.labels, plain.labels)),
        "agreement_seeds": float(adjusted_rand_score(ours.labels, another_seed.labels)),
    }


def _measured(setup: Setup) -> list[Measured]:
    with fresh_process() as fresh:
        return fresh.submit(_measure, setup).result()


def _measure(setup: Setup) -> list[Measured]:
    torch.set_num_threads(setup.threads)
    warm_up(torch.device(setup.device))
    cluster(reid_like_features(256, setup.dim, 1, setup.device), setup.settings, 0)  # the libraries
    features = reid_like_features(setup.size, setup.dim, 0, setup.device)
    return [_measure_once(features, setup) for _ in range(setup.repeats)]


def _measure_once(features: Tensor, setup: Setup) -> Measured:
    memory, clock = PeakMemory(features.device), Clock(features.device)
    found = (_plain if setup.plain else _ours)(features, setup.settings, clock)
    return Measured(clock.cpu, clock.wall, memory.extra(), found)


def _ours(features: Tensor, settings: InfoMap, clock: Clock) -> Found:
    graph = clock.time(lambda: neighbor_graph(features, settings))
    found = clock.time(lambda: modules_of(graph, settings))
    edges = graph.edges @ [len(features), 1]
    return Found(edges, int(found.module.max()), found.codelength, found.labels)


def _plain(features: Tensor, settings: InfoMap, clock: Clock) -> Found:
    """From the definition: all products formed, links found and handed over one by one."""
    links = clock.time(lambda: plain_links(features, settings))
    module, codelength = clock.time(lambda: plain_modules(links, len(features), settings))
    edges = np.array([i * len(features) + j for i, j, _ in links], np.int64)
    return Found(edges, int(module.max()), codelength, kept_modules(module, settings.k2))


def plain_links(features: Tensor, settings: InfoMap) -> list[tuple[int, int, float]]:
    """From, to and similarity of every edge, image by image."""
    unit = F.normalize(features, dim=1)
    links = []
    for first in range(0, len(unit), SEARCH_BLOCK):
        found = (unit[first : first + SEARCH_BLOCK] @ unit.T).topk(settings.k1)
        lists = zip(found.indices.tolist(), found.values.tolist(), strict=True)
        for i, (neighbors, similarities) in enumerate(lists, first):
            for j, similarity in zip(neighbors, similarities, strict=True):
                if j != i and similarity >= settings.similarity:
                    links.append((i, j, similarity))
    return links


def plain_modules(
    links: list[tuple[int, int, float]], size: int, settings: InfoMap
) -> tuple[np.ndarray, float]:
    """Module of each image from 1, 0 for one without links; the codelength."""
    network = empty_network(settings)
    for link in links:
        network.add_link(*link)
    result = network.run()
    module = np.zeros(size, np.int64)
    for image, number in modules_in(result).T:
        module[image] = number
    return module, float(result.codelength)


def _row(setup: Setup, measured: list[Measured]) -> dict[str, Any]:
    first, found = measured[0], measured[0].found
    return {
        "form": "plain" if setup.plain else "ours",
        "images": setup.size,
        "dim": setup.dim,
        "threads": setup.threads,
        "device": setup.device,
        "repeats": len(measured),
        "edges": len(found.edges),
        **_seconds([one.cpu for one in measured], ""),
        **_seconds([one.wall for one in measured], "wall_"),
        "extra_mb": first.extra_mb,
        "modules": found.modules,
        "clusters": int(found.labels.max()) + 1,
        "outliers": int((found.labels < 0).sum()),
        "codelength": found.codelength,
    }


def _seconds(found: list[list[float]], prefix: str) -> dict[str, float]:
    """Medians over the repeats: the parts, and both; of these the spread."""
    parts = zip(PARTS, zip(*found, strict=True), strict=True)
    return {
        **{prefix + part: median(seconds) for part, seconds in parts},
        **spread(f"{prefix}whole", [sum(one) for one in found]),
    }
