"""Cluster Contrast: one unit vector per cluster, rebuilt every epoch."""

from torch import Tensor

from common.losses import contrast_loss
from common.memory import blend_hardest_, blend_rows_
from common.method import Method
from common.prototypes import ClusterMemory
from common.types import Batch, PseudoLabels, Step


class ClusterContrast(Method):
    """Cluster-level memory and contrast (Dai et al., 2022, arXiv:2103.11568).

    `settings.update` "mean" is the released code's word for blending every image of the batch
    in turn, which leaves a row close to the last image of its cluster; "hard" blends the least
    similar image once. The published tables are made with "mean", the published log with "hard".
    """

    memory: ClusterMemory

    def begin_epoch(self, epoch: int, features: Tensor, pseudo: PseudoLabels) -> None:
        rule = blend_hardest_ if self.settings.update == "hard" else blend_rows_
        self.memory = ClusterMemory.at_centroids(features, pseudo, self.settings.momentum, rule)

    def training_step(self, batch: Batch, source: Batch | None = None) -> Step:
        z = self.encoder(batch.views[0])
        loss = contrast_loss(
            z, self.memory.rows, batch.labels, temperature=self.settings.temperature
        )
        return Step({"contrast": loss}, batch.seen(z))
