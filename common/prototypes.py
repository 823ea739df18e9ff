"""Memories with one prototype per cluster, or two: they live one epoch, and rules move them."""

from torch import Tensor, nn

from common.memory import Rule, blend_distinct_, centroids, hardest_and_mean
from common.types import MemoryUpdate, PseudoLabels


class ClusterMemory(nn.Module):
    """One unit row per cluster, moved by a rule.

    The bank lives one epoch and is rebuilt from features, so it stays out of checkpoints.

    Args:
        rows: (C, D) unit rows.
        momentum: share of the old row that is kept.
        rule: how a batch moves the rows, e.g. `blend_rows_`.
    """

    rows: Tensor

    def __init__(self, rows: Tensor, momentum: float, rule: Rule) -> None:
        super().__init__()
        self.momentum = momentum
        self.rule = rule
        self.register_buffer("rows", rows.clone(), persistent=False)

    @classmethod
    def at_centroids(
        cls, features: Tensor, pseudo: PseudoLabels, momentum: float, rule: Rule
    ) -> "ClusterMemory":
        """The bank of an epoch: every row starts as its cluster's centroid."""
        return cls(cluster_centroids(features, pseudo), momentum, rule)

    def update(self, seen: MemoryUpdate) -> None:
        self.rule(self.rows, seen.labels, seen.embeddings, self.momentum)


class HybridMemory(nn.Module):
    """Two unit prototypes per cluster, both started at the cluster's centroid ("CMhybrid").

    `hard` follows the batch member least similar to it, `mean` follows the average of
    the batch members. Each cluster in the batch moves once per iteration. The bank lives
    one epoch and is rebuilt from features, so its buffers stay out of checkpoints.

    Args:
        centroids: (C, D) unit rows.
        momentum: share of the old prototype that is kept.
    """

    hard: Tensor
    mean: Tensor

    def __init__(self, centroids: Tensor, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("hard", centroids.clone(), persistent=False)
        self.register_buffer("mean", centroids.clone(), persistent=False)

    def update(self, seen: MemoryUpdate) -> None:
        clusters, hardest, mean = hardest_and_mean(self.hard, seen.labels, seen.embeddings)
        blend_distinct_(self.hard, clusters, hardest, self.momentum)
        blend_distinct_(self.mean, clusters, mean, self.momentum)


def cluster_centroids(features: Tensor, pseudo: PseudoLabels) -> Tensor:
    """Unit centroids (C, D) of the epoch's clusters from its features (N, D)."""
    return centroids(features, pseudo.labels, pseudo.num_classes)
