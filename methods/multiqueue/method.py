"""MultiQueue: Cluster Contrast with a queue per cluster and a trained temperature."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.losses import contrast_loss
from common.memory import class_means
from common.method import Method, ParameterGroup
from common.transfer import on_device
from common.types import Batch, MemoryUpdate, PseudoLabels, Step
from methods.multiqueue.memory import QueueMemory


class MultiQueue(Method):
    """Multi Queue for Unsupervised Person Re-identification (released code of 2025).

    In every step each cluster is represented by one entry of its queue, drawn uniformly, and
    the softmax temperature is a learnable scalar with a rate of its own. No paper text was
    found. The momentum that all published commands pass reaches nothing in the released code, so
    there is none here; its blend of old and new entries is overwritten by the next statement, so
    `settings.enqueue_blend` is 0.
    """

    memory: QueueMemory

    def set_up(self) -> None:
        start = torch.tensor(self.settings.temperature)
        self.temperature = nn.Parameter(start, requires_grad=self.settings.learn_temperature)

    def begin_epoch(self, epoch: int, features: Tensor, pseudo: PseudoLabels) -> None:
        start = class_means(features, pseudo.labels, pseudo.num_classes)
        if self.settings.normalize_start:
            start = F.normalize(start, dim=1)
        self.memory = QueueMemory(start, self.settings.queue_length, self.settings.enqueue_blend)

    def training_step(self, batch: Batch, source: Batch | None = None) -> Step:
        z = self.encoder(batch.views[0])
        rows = self.memory.rows(on_device(self.draw_slots(), z.device))
        loss = contrast_loss(z, rows, batch.labels, temperature=self.temperature)
        return Step({"contrast": loss}, batch.seen(z))

    def draw_slots(self) -> Tensor:
        """(C,) a slot of every queue, uniform; the same on all ranks, and saved with the run."""
        clusters, length, _ = self.memory.queues.shape
        return torch.randint(length, (clusters,), generator=self.stream.torch)

    def after_step(self, seen: MemoryUpdate, iteration: int) -> None:
        if self.settings.learn_temperature:
            with torch.no_grad():
                self.temperature.clamp_(min=self.settings.temperature_floor)
        super().after_step(seen, iteration)

    def extra_parameters(self) -> list[ParameterGroup]:
        if not self.settings.learn_temperature:
            return []
        rate = self.recipe.lr * self.settings.temperature_rate
        return [ParameterGroup([self.temperature], rate, self.recipe.weight_decay)]

    def watched(self) -> dict[str, float]:
        return {"temperature": float(self.temperature.detach())}
