"""How long does InfoMap take on many images, and what of it is the neighbour graph?"""

from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor

from common.clustering import cluster, warm_up
from common.clustering.infomap import Modules, modules_of, neighbor_graph
from common.devices import find_device
from common.recipe import InfoMap
from tools.benchmarks.clock import Clock, spread
from tools.benchmarks.fresh_process import PeakMemory, fresh_process
from tools.benchmarks.limits import require_least
from tools.benchmarks.reid_features import reid_like_features


class Measured(NamedTuple):
    """One clustering."""

    clock: Clock
    extra_mb: float | None
    found: Modules


def run(
    sizes: Sequence[int] = (100_000,),
    dim: int = 256,
    similarity: float = 0.3,
    repeats: int = 1,
    threads: int = 1,
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
        device: of the features and the search.

    Returns:
        A row per size: `edges`, images without one (`single`), CPU and wall seconds of `graph`,
        `partition` and both (`whole`, with the least and most of the repeats), `extra_mb` of
        memory beyond libraries and features at the first clustering's peak, `modules`, `clusters`
        of more than k2 images, `outliers`, and the `codelength` in bits.
    """
    require_least(1, sizes=sizes, dim=dim, repeats=repeats, threads=threads)
    device = str(find_device(device))
    rows = []
    for size in sizes:
        with fresh_process() as fresh:
            given = (size, dim, similarity, repeats, threads, device)
            rows.append(fresh.submit(_row, *given).result())
    return rows


def _row(
    size: int, dim: int, similarity: float, repeats: int, threads: int, device: str
) -> dict[str, Any]:
    torch.set_num_threads(threads)
    warm_up(torch.device(device))
    settings = InfoMap(similarity=similarity)
    cluster(reid_like_features(256, dim, 1, device), settings, 0)  # load the libraries
    features = reid_like_features(size, dim, 0, device)
    measured = [_measure_once(features, settings) for _ in range(repeats)]
    _, extra_mb, found = measured[0]
    return {
        "images": size,
        "dim": dim,
        "threads": threads,
        "device": device,
        "repeats": repeats,
        "edges": len(found.graph.edges),
        "single": len(found.graph.singles),
        **_seconds([one.clock.cpu for one in measured], ""),
        **_seconds([one.clock.wall for one in measured], "wall_"),
        "extra_mb": extra_mb,
        "modules": int(found.module.max()),
        "clusters": int(found.labels.max()) + 1,
        "outliers": int((found.labels < 0).sum()),
        "codelength": found.codelength,
    }


def _measure_once(features: Tensor, settings: InfoMap) -> Measured:
    memory, clock = PeakMemory(features.device), Clock(features.device)
    graph = clock.time(lambda: neighbor_graph(features, settings))
    found = clock.time(lambda: modules_of(graph, settings))
    return Measured(clock, memory.extra(), found)


def _seconds(found: list[list[float]], prefix: str) -> dict[str, float]:
    """Medians over the repeats: graph, partition, and both; of these the spread."""
    graph, partition = zip(*found, strict=True)
    return {
        f"{prefix}graph": median(graph),
        f"{prefix}partition": median(partition),
        **spread(f"{prefix}whole", [sum(one) for one in found]),
    }
