"""HHCL: cluster memory with hard and mean prototypes."""

from torch import Tensor

from common.losses import smooth_cross_entropy
from common.memory import blend_hardest_, blend_rows_
from common.method import Method
from common.prototypes import ClusterMemory, HybridMemory, cluster_centroids
from common.types import Batch, PseudoLabels, Step
from methods.hhcl.loss import hybrid_contrast_loss, hybrid_weights, instance_contrast_loss
from methods.hhcl.memory import SlotMemory, drawn_instances, instance_rows


class HHCL(Method):
    """Hard-sample guided hybrid contrast learning (Hu et al., 2021, arXiv:2109.12333).

    `settings.memory` selects the bank, by the names of the released code: CMhybrid made the
    published numbers, CMhybrid_v2 is what the paper's text describes, CM and CMhard are the
    memories of Cluster Contrast.
    """

    memory: HybridMemory | SlotMemory | ClusterMemory

    def begin_epoch(self, epoch: int, features: Tensor, pseudo: PseudoLabels) -> None:
        start, momentum = cluster_centroids(features, pseudo), self.settings.momentum
        match self.settings.memory:
            case "CMhybrid":
                self.memory = HybridMemory(start, momentum)
            case "CMhybrid_v2":
                slots = self.recipe.sampling.instances
                chosen = drawn_instances(pseudo.labels, slots, self.stream.numpy)
                self.memory = SlotMemory(start, instance_rows(features, chosen), momentum)
            case "CM":
                self.memory = ClusterMemory(start, momentum, blend_rows_)
            case "CMhard":
                self.memory = ClusterMemory(start, momentum, blend_hardest_)

    def training_step(self, batch: Batch, source: Batch | None = None) -> Step:
        z = self.encoder(batch.views[0])
        return Step(self._losses(z, batch.labels), batch.seen(z))

    def _losses(self, z: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The loss that belongs to the memory, from unit embeddings (B, D)."""
        s, memory = self.settings, self.memory
        if isinstance(memory, ClusterMemory):
            logits = z @ memory.rows.T / s.temperature
            return {"contrast": smooth_cross_entropy(logits, labels, epsilon=s.smooth)}
        if isinstance(memory, HybridMemory):
            hard, mean = hybrid_contrast_loss(
                z,
                memory.hard,
                memory.mean,
                labels,
                temperature=s.temperature,
                weights=hybrid_weights(s.hard_weight, s.hybrid_weights == "balanced"),
                smooth=s.smooth,
            )
        else:
            hard, mean = instance_contrast_loss(
                z,
                memory.centroids,
                memory.instances,
                labels,
                temperature=s.temperature,
                weights=(1 - s.hard_weight, s.hard_weight),
                smooth=s.smooth,
            )
        return {"hard": hard, "mean": mean}
