"""How long does InfoMap take on many images, and what of it is the neighbour graph?"""

from collections.abc import Sequence
from typing import Any

import torch

from common.clustering import cluster, warm_up
from common.clustering.infomap import modules_of, neighbor_graph
from common.devices import find_device
from common.recipe import InfoMap
from tools.benchmarks.clock import Clock
from tools.benchmarks.fresh_process import PeakMemory, fresh_process
from tools.benchmarks.limits import require_least
from tools.benchmarks.reid_features import reid_like_features


def run(
    sizes: Sequence[int] = (100_000,),
    dim: int = 256,
    similarity: float = 0.3,
    threads: int = 1,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """Time and memory of graph and partition, k1 = 15, k2 = 4, each in a fresh process.

    Args:
        sizes: numbers of images N.
        dim: feature size D.
        similarity: least similarity of an edge. The drawn features of one identity are less alike
            than trained ones: the papers' 0.5 would leave most images without an edge.
        threads: of torch. Infomap itself uses one.
        device: of the features and the search.

    Returns:
        A row per size: `edges`, images without one (`single`), CPU and wall seconds of `graph`,
        `partition` and both (`whole`), `extra_mb` of memory beyond libraries and features,
        `modules`, `clusters` of more than k2 images, `outliers`, and the `codelength` in bits.
    """
    require_least(1, sizes=sizes, dim=dim, threads=threads)
    device = str(find_device(device))
    rows = []
    for size in sizes:
        with fresh_process() as fresh:
            rows.append(fresh.submit(_row, size, dim, similarity, threads, device).result())
    return rows


def _row(size: int, dim: int, similarity: float, threads: int, device: str) -> dict[str, Any]:
    torch.set_num_threads(threads)
    warm_up(torch.device(device))
    settings = InfoMap(similarity=similarity)
    cluster(reid_like_features(256, dim, 1, device), settings, 0)  # load the libraries
    features = reid_like_features(size, dim, 0, device)
    memory, clock = PeakMemory(features.device), Clock(features.device)
    graph = clock.time(lambda: neighbor_graph(features, settings))
    found = clock.time(lambda: modules_of(graph, settings))
    return {
        "images": size,
        "dim": dim,
        "threads": threads,
        "device": device,
        "edges": len(graph.edges),
        "single": len(graph.singles),
        "graph": clock.cpu[0],
        "partition": clock.cpu[1],
        "whole": sum(clock.cpu),
        "wall_graph": clock.wall[0],
        "wall_partition": clock.wall[1],
        "wall_whole": sum(clock.wall),
        "extra_mb": memory.extra(),
        "modules": int(found.module.max()),
        "clusters": int(found.labels.max()) + 1,
        "outliers": int((found.labels < 0).sum()),
        "codelength": found.codelength,
    }
