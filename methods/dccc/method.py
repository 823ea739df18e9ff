"""DCCC: shrinking radius, weighted cluster memory, soft targets of a mean teacher."""

from functools import partial

import torch
from torch import Tensor

from common.losses import contrast_loss
from common.memory import Rule, blend_hardest_, blend_mean_, blend_rows_
from common.method import Method
from common.prototypes import ClusterMemory
from common.types import Batch, MemoryUpdate, PseudoLabels, Step
from methods.dccc.loss import soft_contrast_loss
from methods.dccc.memory import blend_weighted_


class DCCC(Method):
    """Dynamic clustering and cluster contrastive learning (He et al., 2023, arXiv:2303.06810).

    The radius follows `recipe.clustering.eps`. The teacher of the released code gives features
    that are not normalized and normalizes them in the loss; ours come normalized. It follows the
    student only where the soft loss has a weight.
    """

    has_teacher = True
    memory: ClusterMemory

    def begin_epoch(self, epoch: int, features: Tensor, pseudo: PseudoLabels) -> None:
        momentum = self.settings.momentum
        self.memory = ClusterMemory.at_centroids(features, pseudo, momentum, self._rule())

    def _rule(self) -> Rule:
        """The update by its name in the released code."""
        weighted: Rule = partial(blend_weighted_, temperature=self.settings.update_temperature)
        return {
            "wgm": weighted,
            "hard": blend_hardest_,
            "avg": blend_mean_,
            "cc": blend_rows_,
        }[self.settings.update]

    def training_step(self, batch: Batch, source: Batch | None = None) -> Step:
        s, rows = self.settings, self.memory.rows
        z = self.encoder(batch.views[0])
        losses = {}
        if s.soft_weight < 1:
            plain = contrast_loss(z, rows, batch.labels, temperature=s.temperature)
            losses["contrast"] = (1 - s.soft_weight) * plain
        if s.soft_weight > 0:
            with torch.no_grad():
                teacher_logits = self.teacher(batch.views[1]) @ rows.T / s.temperature
            student_logits = z @ rows.T / s.temperature
            soft = soft_contrast_loss(student_logits, teacher_logits, batch.labels, smooth=s.smooth)
            losses["soft"] = s.soft_weight * soft
        return Step(losses, batch.seen(z))

    def after_step(self, seen: MemoryUpdate, iteration: int) -> None:
        super().after_step(seen, iteration)
        if self.settings.soft_weight > 0:
            self.follow(iteration, self.settings.teacher_start)
