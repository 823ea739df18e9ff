"""Groups of images that share a nuisance label, and the prototypes they guide."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from common.clustering.candidates import rows_at_once
from common.memory import blend_rows_, group_sums, last_mentions
from common.transfer import on_device


def nuisance_labels(features: Tensor, labels: np.ndarray, centroids: Tensor) -> np.ndarray:
    """(N, 2) int64: the two other clusters whose centroids an image resembles most.

    Images that share such a label look alike for reasons other than identity ("identity-
    irrelevant labels" in the released code). -1 for outliers.

    Args:
        features: (N, D) unit vectors.
        labels: (N,) clusters, -1 for outliers.
        centroids: (C, D) unit rows, where the features lie; C >= 3.
    """
    clustered = np.flatnonzero(labels >= 0)
    images, own = (on_device(x, features.device) for x in (clustered, labels[clustered]))
    nearest = torch.empty(len(images), 2, dtype=torch.int64, device=features.device)
    at_once = rows_at_once(len(centroids), features.device)
    blocks = zip(*(part.split(at_once) for part in (images, own, nearest)), strict=True)
    for some, of, out in blocks:
        similarity = features[some] @ centroids.T
        similarity.scatter_(1, of[:, None], -torch.inf)
        out.copy_(similarity.topk(2, dim=1).indices)
    found = np.full((len(labels), 2), -1, np.int64)
    found[clustered] = nearest.cpu().numpy()
    return found


class EpochGroups:
    """The pairs of a cluster and a nuisance label that an epoch's images have.

    Which pairs make up which group is decided on the host, the features stay on the device.

    Args:
        labels: (N,) clusters, -1 for outliers.
        nuisance: (N,) nuisance label of every image.
    """

    def __init__(self, labels: np.ndarray, nuisance: np.ndarray) -> None:
        images = np.flatnonzero(labels >= 0)
        width = max(labels.max(), nuisance.max()) + 1
        pair_of = labels[images] * width + nuisance[images]
        self.images = images[np.argsort(pair_of, kind="stable")]
        pairs, self.sizes = np.unique(pair_of, return_counts=True)
        self.starts = self.sizes.cumsum() - self.sizes
        self.cluster, self.nuisance = pairs // width, pairs % width
        self.by_nuisance = np.argsort(self.nuisance, kind="stable")
        self.ordered = self.nuisance[self.by_nuisance]

    def of_batch(self, y: np.ndarray, r: np.ndarray, instances: Tensor) -> "Groups":
        """The pairs in the groups of some anchors, so that a step's work does not grow with N.

        Args:
            y, r: (B,) cluster and nuisance label of the anchors.
            instances: (N, D) features.
        """
        alike = self.by_nuisance[_places(self.ordered, r)]
        named = np.union1d(_places(self.cluster, y), alike)
        sizes = self.sizes[named]
        images = self.images[_runs(self.starts[named], sizes)]
        starts = sizes.cumsum() - sizes
        sums = group_sums(instances, *(on_device(x, instances.device) for x in (images, starts)))
        return Groups(y, r, self.cluster[named], self.nuisance[named], sizes, sums)


def _places(ascending: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where the values stand among ascending ones, every place once."""
    begin, end = (np.searchsorted(ascending, np.unique(values), side) for side in ("left", "right"))
    return _runs(begin, end - begin)


def _runs(begin: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """[7, 2], [3, 2] -> [7, 8, 9, 2, 3]."""
    return np.arange(sizes.sum()) + np.repeat(begin - (sizes.cumsum() - sizes), sizes)


@dataclass(frozen=True)
class Groups:
    """The images of P pairs, for B anchors. To one of cluster y with nuisance label r belong

        positive group G+(y, r)   = images of y with another nuisance label than r
        negative groups G-_c(y, r) = images of cluster c != y with the label r, not empty

    Args:
        y, r: (B,) of every anchor.
        cluster, nuisance: (P,) of every pair, ascending.
        sizes: (P,) how many images each pair has.
        sums: (P, D) sum of their features.
    """

    y: np.ndarray
    r: np.ndarray
    cluster: np.ndarray
    nuisance: np.ndarray
    sizes: np.ndarray
    sums: Tensor

    def means(self) -> Tensor:
        """(P, D) mean feature of every pair: what the negative groups are represented by."""
        return self.sums / on_device(self.sizes, self.sums.device)[:, None]

    def positives(self, centroids: Tensor) -> Tensor:
        """(B, D) mean of every anchor's positive group; its centroid where the group is empty."""
        found = (self.cluster == self.y[:, None]) & (self.nuisance != self.r[:, None])
        of_anchors = (found, found @ self.sizes, self.y)
        member, count, own = (on_device(part, centroids.device) for part in of_anchors)
        mean = member.to(self.sums.dtype) @ self.sums / count[:, None].clamp(min=1)
        return torch.where(count[:, None] > 0, mean, centroids[own])

    def negatives(self) -> np.ndarray:
        """(B, P) bool: which pairs are negative groups of which anchor."""
        return (self.nuisance == self.r[:, None]) & (self.cluster != self.y[:, None])


def guided_prototypes(centroids: Tensor, y: np.ndarray, positives: Tensor, share: float) -> Tensor:
    """(C, D) unit prototypes, those of the batch's clusters pulled to a positive group.

        P_c = unit((1 - a) A_c + a g_i),   i the last anchor of cluster c in the batch

    The anchors of one cluster write different values into one row in the released code; which
    one remains is undefined on a GPU and the last on a CPU, so it is the last here.

    Args:
        centroids: (C, D) A.
        y: (B,) clusters of the anchors.
        positives: (B, D) means of their positive groups.
        share: a in [0, 1].
    """
    clusters, last = (on_device(part, centroids.device) for part in last_mentions(y))
    pulled = (1 - share) * centroids[clusters] + share * positives[last]
    return F.normalize(centroids.index_copy(0, clusters, pulled), dim=1)


def sequential_prototypes(
    centroids: Tensor,
    groups: Groups,
    *,
    positive_share: float,
    negative_share: float,
) -> Tensor:
    """(C, D) prototypes pulled by every anchor in turn, in batch order; the changes accumulate.

        for each anchor i: Q_y <- unit((1 - b+) Q_y + b+ g+(y, r)),
                           Q_c <- unit((1 - b-) Q_c + b- g-_c(y, r)) for every negative group

    With 16 anchors per cluster little of a centroid remains, and the result depends on the order
    of the batch; so does the released code. Rows do not touch each other, hence the n-th change
    of every row is made at once.

    Args:
        centroids: (C, D) A, also the fall-back of an empty positive group.
        groups: of the anchors.
        positive_share, negative_share: b+ and b- in [0, 1].
    """
    prototypes = centroids.clone()
    positives, y = groups.positives(centroids), groups.y
    anchors, pairs = np.nonzero(groups.negatives())
    rows = np.concatenate([y, groups.cluster[pairs]])
    change = torch.cat([positives, groups.means()[on_device(pairs, centroids.device)]])
    kept = change.new_full((len(rows),), 1 - negative_share)
    kept[: len(y)] = 1 - positive_share
    order = np.argsort(np.concatenate([np.arange(len(y)), anchors]), kind="stable")
    turn = on_device(order, centroids.device)
    blend_rows_(prototypes, rows[order], change[turn], kept[turn])
    return prototypes


def drawn_partners(
    order: np.ndarray, bounds: np.ndarray, clusters: np.ndarray, rng: np.random.RandomState
) -> np.ndarray:
    """(B,) an image of each of the clusters (B,), drawn uniformly; it may be the anchor itself.

    Args:
        order, bounds: of `members_by_class`.
    """
    return order[rng.randint(bounds[clusters], bounds[clusters + 1])]
