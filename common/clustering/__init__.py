"""Pseudo-labels: cluster the features of all training images."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from common.clustering.approximate import check_search
from common.clustering.blocks import label_progress, telling
from common.clustering.cameras import centered_by_camera
from common.clustering.dbscan import dbscan
from common.clustering.infomap import modules_of, neighbor_graph, require_package
from common.clustering.jaccard import pairs_of_neighbors, search
from common.clustering.warmup import warm_up
from common.errors import UserError
from common.recipe import Clustering, Dbscan, InfoMap
from common.team import ALONE, Labels, Team
from common.types import PseudoLabels

__all__ = ["cluster", "cluster_at", "label_progress", "require_possible", "warm_up"]


def cluster(
    features: Tensor,
    settings: Clustering,
    epoch: int,
    cams: np.ndarray | None = None,
    team: Team = ALONE,
) -> PseudoLabels:
    """Pseudo-labels of an epoch.

    The same on every device and for every number of threads and processes, and without numba. Of
    an approximate search the details tell the recall.

    Args:
        features: (N, D) float32 unit rows in image order.
        settings: DBSCAN on the k-reciprocal Jaccard distance, or InfoMap.
        epoch: at which the schedule of eps is read, from 0.
        cams: (N,) cameras; read if the settings centre cameras.
        team: all call this with the same features and share the neighbour search; the first
            forms the labels, all receive them.

    Raises:
        UserError: a radius is out of range, rows are not finite or, for DBSCAN, not of unit length,
            or the package of InfoMap or faiss is missing.
    """
    if isinstance(settings, InfoMap):
        return PseudoLabels(*_modules(features, settings, team))
    eps = settings.eps(epoch)
    return cluster_at(features, settings, [eps], cams, team)[0]


def cluster_at(
    features: Tensor,
    settings: Dbscan,
    eps: Sequence[float],
    cams: np.ndarray | None = None,
    team: Team = ALONE,
) -> list[PseudoLabels]:
    """DBSCAN labels at each of several radii, from one pass over the distances.

    The pairs are found once, at the largest radius. `settings.eps` is not read. Cameras and team
    are as in `cluster`.

    Args:
        eps: radii in (0, 1).

    Raises:
        UserError: a radius is out of range, rows are not finite or of unit length, or faiss is
            missing.
    """
    for radius in eps:
        if not 0 < radius < 1:
            raise UserError(f"clustering.eps is {radius:g}; choose it between 0 and 1, e.g. 0.6.")
    features = features.detach()
    if settings.center_cameras:
        features = centered_by_camera(features, cams)
    features = features.contiguous()
    neighbors = search(features, settings.k1, settings.search, team)

    def labels() -> Labels:
        pairs = pairs_of_neighbors(features, neighbors, settings.k1, settings.k2, max(eps))
        found = [dbscan(pairs, radius, settings.min_samples) for radius in eps]
        return np.stack(found), neighbors.details

    found, details = team.labels_from_first(labels)
    return [PseudoLabels(row, {"eps": r, **details}) for r, row in zip(eps, found, strict=True)]


def _modules(features: Tensor, settings: InfoMap, team: Team) -> Labels:
    """InfoMap's labels, and what its log lines tell of the graph."""
    graph = neighbor_graph(features, settings, team)

    def labels() -> Labels:
        telling("finding modules")(0, 1)
        found = modules_of(graph, settings)
        return found.labels, found.details

    return team.labels_from_first(labels)


def require_possible(settings: Clustering) -> None:
    """Stop, before there are features, where they could not be clustered.

    Raises:
        UserError: the package of InfoMap or faiss is missing.
    """
    check_search(settings.search)
    if isinstance(settings, InfoMap):
        require_package()
