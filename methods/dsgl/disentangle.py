"""Groups of images that share a nuisance label, and the prototypes they guide."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from common.errors import UserError
from common.memory import blend_rows_


def nuisance_labels(features: Tensor, labels: Tensor, centroids: Tensor) -> Tensor:
    """(N, 2) int64: the two other clusters whose centroids an image resembles most.

    Images that share such a label look alike for reasons other than identity ("identity-
    irrelevant labels" in the released code). -1 for outliers.

    Args:
        features: (N, D) unit vectors.
        labels: (N,) clusters, -1 for outliers.
        centroids: (C, D) unit rows.

    Raises:
        UserError: fewer than three clusters.
    """
    if len(centroids) < 3:
        raise UserError(
            f"DSGL compares three clusters at least; this epoch has {len(centroids)}. Try a "
            "larger clustering.eps or better initial weights."
        )
    clustered = labels >= 0
    found = torch.full((len(labels), 2), -1, dtype=torch.int64, device=labels.device)
    similarity = features[clustered] @ centroids.T
    similarity.scatter_(1, labels[clustered, None], -torch.inf)
    found[clustered] = similarity.topk(2, dim=1).indices
    return found


class Groups:
    """The images of every (cluster, nuisance label) pair of an epoch.

    For an anchor of cluster y with nuisance label r:

        positive group G+(y, r)   = images of y with another nuisance label than r
        negative groups G-_c(y, r) = images of cluster c != y with the label r, not empty

    Args:
        labels: (N,) clusters, -1 for outliers.
        nuisance: (N,) first nuisance label of every image.
    """

    def __init__(self, labels: Tensor, nuisance: Tensor) -> None:
        self.images = (labels >= 0).nonzero().squeeze(1)
        kept, other = labels[self.images], nuisance[self.images]
        width = int(max(labels.max(), nuisance.max())) + 1
        pairs, self.pair_of = torch.unique(kept * width + other, return_inverse=True)
        self.cluster, self.nuisance = pairs // width, pairs % width
        self.sizes = torch.bincount(self.pair_of, minlength=len(pairs))

    def sums(self, instances: Tensor) -> Tensor:
        """(P, D) sum of the instance features (N, D) of every pair."""
        sums = instances.new_zeros(len(self.sizes), instances.shape[1])
        return sums.index_add_(0, self.pair_of, instances[self.images])

    def means(self, sums: Tensor) -> Tensor:
        """(P, D) mean feature of every pair: what the negative groups are represented by."""
        return sums / self.sizes[:, None]

    def positives(self, sums: Tensor, y: Tensor, r: Tensor, fallback: Tensor) -> Tensor:
        """(B, D) mean of every anchor's positive group; `fallback` (B, D) where it is empty."""
        member = (self.cluster == y[:, None]) & (self.nuisance != r[:, None])
        count = (member * self.sizes).sum(dim=1, keepdim=True)
        mean = member.to(sums.dtype) @ sums / count.clamp(min=1)
        return torch.where(count > 0, mean, fallback)

    def negatives(self, y: Tensor, r: Tensor) -> Tensor:
        """(B, P) bool: which pairs are negative groups of which anchor."""
        return (self.nuisance == r[:, None]) & (self.cluster != y[:, None])


def guided_prototypes(centroids: Tensor, y: Tensor, positives: Tensor, share: float) -> Tensor:
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
    last = torch.full((len(centroids),), -1, dtype=torch.int64, device=y.device)
    order = torch.arange(len(y), device=y.device)
    last = last.scatter_reduce(0, y, order, "amax")
    pulled = (1 - share) * centroids + share * positives[last.clamp(min=0)]
    return F.normalize(torch.where((last >= 0)[:, None], pulled, centroids), dim=1)


def sequential_prototypes(
    centroids: Tensor,
    groups: Groups,
    sums: Tensor,
    y: Tensor,
    r: Tensor,
    *,
    positive_share: float,
    negative_share: float,
) -> Tensor:
    """(C, D) prototypes pulled by every anchor of the batch in turn; the changes accumulate.

        for each anchor i: Q_y <- unit((1 - b+) Q_y + b+ g+(y, r)),
                           Q_c <- unit((1 - b-) Q_c + b- g-_c(y, r)) for every negative group

    With 16 anchors per cluster little of a centroid remains, and the result depends on the order
    of the batch; so does the released code. Rows do not touch each other, hence the n-th change
    of every row is made at once.

    Args:
        centroids: (C, D) A, also the fall-back of an empty positive group.
        groups, sums: groups and the sums of their instances.
        y, r: (B,) cluster and nuisance label of the anchors, in batch order.
    """
    prototypes = centroids.clone()
    positives = groups.positives(sums, y, r, centroids[y])
    anchors, pairs = groups.negatives(y, r).nonzero(as_tuple=True)
    turn = torch.cat([torch.arange(len(y), device=y.device), anchors])
    rows = torch.cat([y, groups.cluster[pairs]])
    change = torch.cat([positives, groups.means(sums)[pairs]])
    kept = change.new_full((len(rows),), 1 - negative_share)
    kept[: len(y)] = 1 - positive_share
    order = torch.argsort(turn, stable=True)
    blend_rows_(prototypes, rows[order], change[order], kept[order])
    return prototypes


def drawn_partners(
    labels: np.ndarray, indices: np.ndarray, rng: np.random.RandomState
) -> np.ndarray:
    """(B,) another image of every image's cluster, uniform, the image itself included."""
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    start = np.searchsorted(ordered, labels[indices], "left")
    stop = np.searchsorted(ordered, labels[indices], "right")
    return order[rng.randint(start, stop)]
