"""InfoMap on the directed cosine neighbour graph, as in Cluster Contrast (arXiv:2103.11568)."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from common.clustering.approximate import find_neighbors
from common.clustering.similarity import unit_rows
from common.errors import MissingPackage
from common.recipe import InfoMap
from common.team import ALONE, Team

try:
    from infomap import Infomap
except ImportError:
    Infomap = None


@dataclass(frozen=True)
class Graph:
    """Neighbours and the directed graph on them.

    Args:
        knn_index: (N, k1) int32 neighbours, the image itself first.
        knn_dist: (N, k1) float32, 1 - cosine similarity, ascending.
        edges: (E, 2) int64 from, to.
        weights: (E,) float64 similarities.
        singles: images without any edge.
        details: the recall of an approximate search.
    """

    knn_index: np.ndarray
    knn_dist: np.ndarray
    edges: np.ndarray
    weights: np.ndarray
    singles: np.ndarray
    details: dict[str, float]


@dataclass(frozen=True)
class Modules:
    """Result of Infomap.

    Args:
        graph: what was partitioned.
        module: (N,) int64 module from 1, 0 for an image without edges.
        codelength: value of the map equation, in bits.
        labels: (N,) int64 pseudo-labels.
    """

    graph: Graph
    module: np.ndarray
    codelength: float
    labels: np.ndarray

    @property
    def details(self) -> dict[str, float]:
        """Numbers worth a log line, by which runs are compared with the authors' logs."""
        return {
            "codelength": self.codelength,
            "edges": len(self.graph.edges),
            "modules": len(np.unique(self.module[self.module > 0])),
            "isolated": len(self.graph.singles),
            **self.graph.details,
        }


def infomap_labels(features: Tensor, settings: InfoMap) -> Modules:
    """Modules of the neighbour graph that minimize the map equation (Rosvall & Bergstrom, 2008).

    Flow is directed, with unrecorded teleportation to links. A module of at most k2 images is
    no cluster; its images and those without edges become outliers.

    Args:
        features: (N, D) float32; normalized here.

    Raises:
        MissingPackage: `infomap`, or faiss.
    """
    return modules_of(neighbor_graph(features, settings), settings)


def modules_of(graph: Graph, settings: InfoMap) -> Modules:
    """The partition of a graph, and the labels that follow from it."""
    module, codelength = _partition(graph, settings)
    return Modules(graph, module, codelength, kept_modules(module, settings.k2))


def require_package() -> None:
    """Raise MissingPackage unless the package `infomap` can be imported."""
    if Infomap is None:
        raise MissingPackage('InfoMap needs the package infomap: pip install "unreid[infomap]".')


def neighbor_graph(features: Tensor, settings: InfoMap, team: Team = ALONE) -> Graph:
    """Edges i -> j to each of the k1 nearest other than i with distance 1 - cos <= 1 - similarity.

    Directed: j -> i exists on its own account. An image is single if no edge leaves or enters
    it (the released code looks at leaving edges only, and stops where rounding makes the two
    disagree).

    Raises:
        MissingPackage: `infomap`, or faiss.
    """
    require_package()
    unit = unit_rows(features.detach())
    neighbors = find_neighbors(unit, settings.k1, settings.search, team)
    knn_index = neighbors.rank.cpu().numpy()
    knn_dist = 1 - neighbors.similarity.cpu().numpy()
    others = np.ones(knn_index.shape, np.bool_)
    others[:, 0] = False
    source, place = np.nonzero(others & (knn_dist <= 1 - settings.similarity))
    edges = np.stack([source, knn_index[source, place]], axis=1)
    weights = 1 - knn_dist[source, place].astype(np.float64)
    linked = np.zeros(len(knn_index), np.bool_)
    linked[edges] = True
    singles = np.flatnonzero(~linked)
    return Graph(knn_index, knn_dist, edges, weights, singles, neighbors.details)


def _partition(graph: Graph, settings: InfoMap) -> tuple[np.ndarray, float]:
    """Module of each image, and the codelength."""
    module = np.zeros(len(graph.knn_index), np.int64)
    if not graph.weights.any():  # no edges, or none that carries flow
        return module, 0.0
    network = empty_network(settings)
    network.add_links(np.column_stack([graph.edges, graph.weights]))
    result = network.run()
    image, number = modules_in(result)
    module[image] = number
    return module, float(result.codelength)


def empty_network(settings: InfoMap) -> Any:
    """The package's object for links and a partition in two levels by directed flow."""
    return Infomap(
        two_level=True,
        directed=True,
        silent=True,
        seed=settings.seed,
        num_trials=settings.trials,
    )


def modules_in(result: Any) -> np.ndarray:
    """(2, M) images of the network and their modules, from 1.

    By way of a file: the package's own lists are read by whichever of its bindings and those of
    faiss were loaded last, since both share a table of types, and those of faiss end the process.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "modules.clu")
        result.write_clu(str(file))
        return np.loadtxt(file, np.int64, usecols=(0, 1), ndmin=2).T


def kept_modules(module: np.ndarray, k2: int) -> np.ndarray:
    """(N,) labels: modules of more than k2 images, renumbered from 0 in module order; else -1."""
    sizes = np.bincount(module)
    kept = sizes > k2
    kept[0] = False
    number = np.where(kept, np.cumsum(kept) - 1, -1)
    return number[module]
