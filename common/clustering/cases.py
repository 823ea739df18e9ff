"""How the stored cases of the clustering are run."""

import re
from typing import Any

import numpy as np

from common.clustering import cluster_at
from common.clustering.infomap import infomap_labels
from common.clustering.jaccard import jaccard_distance
from common.clustering.neighbors import nearest_neighbors
from common.recipe import Dbscan, InfoMap
from common.reference import Case, Check, Runner, close, equal

DISTANCE_TOLERANCE = 2e-6  # float32 weights of another library, summed over a few hundred columns


def run_jaccard(case: Case) -> list[Check]:
    """Ranks, k-reciprocal Jaccard distances and DBSCAN labels at several radii."""
    features, meta = case.tensor("features"), case.meta
    k1, k2 = meta["k1"], min(meta["k1"], meta["k2"])  # the released code finds no more than k1
    settings = Dbscan(min_samples=meta.get("min_samples", Dbscan.min_samples), k1=k1, k2=k2)
    labels = cluster_at(features, settings, case.arrays["eps"].tolist())
    return [
        equal("rank", nearest_neighbors(features, k1).rank, case.arrays["initial_rank"]),
        close(
            "distance",
            jaccard_distance(features, k1, k2),
            case.arrays["jaccard"],
            DISTANCE_TOLERANCE,
        ),
        equal("labels", np.stack([found.labels for found in labels]), case.arrays["labels"]),
    ]


def run_infomap(case: Case) -> list[Check]:
    """Neighbours, edges, modules and pseudo-labels of InfoMap."""
    a = case.arrays
    found = infomap_labels(case.tensor("features"), infomap_settings(case.meta))
    graph = found.graph
    ours, theirs = (
        _by_edge(graph.edges, graph.weights),
        _by_edge(np.column_stack([a["edge_src"], a["edge_dst"]]), a["edge_weight"]),
    )
    return [
        close("neighbour distances", graph.knn_dist, a["knn_dist"], 1e-6),
        equal("neighbours", graph.knn_index, a["knn_index"]),
        equal("edges", ours[0], theirs[0]),
        close("edge weights", ours[1], theirs[1], 1e-6),
        equal("single images", graph.singles, np.sort(a["singles"])),
        equal("modules", first_seen(found.module), first_seen(a["module"])),
        close("codelength", found.codelength, a["codelength"], 1e-6),
        equal("outliers", found.labels < 0, a["labels"] < 0),
        equal("labels", first_seen(found.labels), first_seen(a["labels"])),
    ]


def infomap_settings(meta: dict[str, Any]) -> InfoMap:
    """The settings of a case.

    Seed and trials are numbers of their own (`infomap_seed`, `trials`) or words of
    `infomap_options`: "two-level, directed, seed 123, 1 trial".
    """
    words = meta.get("infomap_options", "")
    seed, trials = (re.search(form, words) for form in (r"seed (\d+)", r"(\d+) trial"))
    return InfoMap(
        similarity=meta["min_similarity"],
        k1=meta["k1"],
        k2=meta["k2"],
        trials=meta.get("trials", int(trials[1]) if trials else InfoMap.trials),
        seed=meta.get("infomap_seed", int(seed[1]) if seed else InfoMap.seed),
    )


def _by_edge(edges: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges and weights in the order of the edges."""
    order = np.lexsort(edges.T)
    return edges[order], weights[order]


def first_seen(labels: np.ndarray) -> np.ndarray:
    """Labels renumbered by first appearance, so that a renaming does not show."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


CASES: dict[str, Runner] = {"common_jaccard": run_jaccard}
