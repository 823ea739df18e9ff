"""HDCPD: hybrid dynamic contrast and probability distillation, with instances or clusters."""

import torch
from torch import Tensor

from common.backbones.encoder import Encoder
from common.instances import InstanceMemory, MovedRows
from common.label_checks import unusable
from common.losses import contrast_loss, mean_by_class
from common.memory import blend_hardest_, blend_rows_
from common.method import Method
from common.prototypes import ClusterMemory
from common.recipe import Recipe
from common.streams import Streams
from common.teacher import hold_statistics
from common.team import Team
from common.types import Batch, Extract, MemoryUpdate, PseudoLabels, Step, TrainData
from methods.hdcpd.loss import distillation_loss, hardest_contrast_loss


class _Distilling(Method):
    """What both forms share: a mean teacher, and the loss that distils from it."""

    has_teacher = True

    def set_up(self) -> None:
        if self.settings.teacher_buffers:
            hold_statistics(self.teacher)

    def distilled(self, student: Tensor, teacher: Tensor, axis: str) -> Tensor:
        """The weighted distillation term of this process, whose mean over all is the batch's."""
        team, weight = self.team, float(self.settings.distill_weight)
        if axis == "cluster":  # a sum over the images, hence times the processes
            return weight * team.size * distillation_loss(student, teacher, axis)
        loss = distillation_loss(_of_all(student, team), team.gather_rows(teacher), axis)
        # Each process has the value of the whole batch, but of its gradient its own images' part.
        return weight * (loss + (team.size - 1) * (loss - loss.detach()))

    def after_step(self, seen: MemoryUpdate, iteration: int) -> None:
        super().after_step(seen, iteration)
        s = self.settings
        self.follow(iteration, s.teacher_start, buffers=s.teacher_buffers)


class HDCPD(_Distilling):
    """Instance memory of the whole run (Cheng et al., 2022, arXiv:2109.14157), one or two domains.

    Outliers are classes of their own. In the released two-domain code the target's rows move
    before the source's gradient is formed; `settings.order` "clean" does not.
    """

    memory: InstanceMemory

    def set_up(self) -> None:
        super().set_up()
        self.memory = InstanceMemory(self.data, self.encoder.num_features, self.settings.momentum)

    def begin_training(self, extract: Extract) -> None:
        self.memory.start(extract, self.data)

    def clustering_features(self, extract: Extract) -> Tensor:
        return self.memory.target

    def assign(self, features: Tensor, epoch: int) -> PseudoLabels:
        pseudo = super().assign(features, epoch).outliers_as_clusters()
        if not pseudo.num_clusters:  # every outlier is a class, but distillation needs larger ones
            raise unusable(pseudo, epoch, "none of which two images share")
        return pseudo

    def begin_epoch(self, epoch: int, features: Tensor, pseudo: PseudoLabels) -> None:
        self.memory.relabel(pseudo)
        identities, sizes = self.memory.num_source, self.memory.sizes
        self.identities = torch.arange(identities, device=sizes.device)
        self.several = identities + (sizes[identities:] >= 2).nonzero().squeeze(1)

    def training_step(self, batch: Batch, source: Batch | None = None) -> Step:
        rows = self.memory.rows_of(batch.indices)
        if source is None:
            z = self.encoder(batch.views[0])
            with torch.no_grad():
                g = self.teacher(batch.views[1])
            return Step(self._losses(z, g, rows, self.several), batch.seen(z))
        zs, zt = self.encoder.forward_domains(source.views[0], batch.views[0])
        with torch.no_grad():
            gs, gt = self.teacher.forward_domains(source.views[1], batch.views[1])
        seen = batch.seen(zt, source=source.seen(zs))
        released = self.settings.order == "released"
        moved = self.memory.target_moves(self.team.gather(seen)) if released else None
        from_source = self._losses(zs, gs, source.labels, self.identities, moved)
        losses = self._losses(zt, gt, rows, self.several)
        return Step(losses | {f"source {k}": v for k, v in from_source.items()}, seen)

    def _losses(
        self, z: Tensor, g: Tensor, rows: Tensor, classes: Tensor, moved: MovedRows | None = None
    ) -> dict[str, Tensor]:
        """Contrast over all classes, distillation over the chosen ones."""
        memory, s = self.memory, self.settings
        student = memory.similarities(z, s.temperature, moved)
        own, count = memory.labels[rows], len(memory.sizes)
        contrast = hardest_contrast_loss(student, memory.labels, own, count)
        teacher = memory.similarities(g, s.teacher_temperature)
        if s.student_temperature != s.temperature:
            student = student * (s.temperature / s.student_temperature)
        means = (mean_by_class(x, memory.labels, memory.sizes) for x in (student, teacher))
        student_logits, teacher_logits = (mean.index_select(1, classes) for mean in means)
        return {
            "contrast": contrast,
            "distill": self.distilled(student_logits, teacher_logits, "cluster"),
        }


class HDCPDClusters(_Distilling):
    """HDCPD on the cluster memory of Cluster Contrast ("+CC"), rebuilt every epoch."""

    memory: ClusterMemory

    def begin_epoch(self, epoch: int, features: Tensor, pseudo: PseudoLabels) -> None:
        rule = blend_hardest_ if self.settings.update == "hard" else blend_rows_
        self.memory = ClusterMemory.at_centroids(features, pseudo, self.settings.momentum, rule)

    def training_step(self, batch: Batch, source: Batch | None = None) -> Step:
        s, rows = self.settings, self.memory.rows
        z = self.encoder(batch.views[0])
        with torch.no_grad():
            g = self.teacher(batch.views[1])
        student_logits = z @ rows.T / s.student_temperature
        teacher_logits = g @ rows.T / s.teacher_temperature
        losses = {
            "contrast": contrast_loss(z, rows, batch.labels, temperature=s.temperature),
            "distill": self.distilled(student_logits, teacher_logits, s.distill_axis),
        }
        return Step(losses, batch.seen(z))


def _of_all(rows: Tensor, team: Team) -> Tensor:
    """Rows of all processes in batch order; gradient flows to this one's."""
    parts = list(team.gather_rows(rows.detach()).chunk(team.size))
    parts[team.rank] = rows
    return torch.cat(parts)


def build_hdcpd(
    encoder: Encoder, recipe: Recipe, data: TrainData, team: Team, streams: Streams
) -> Method:
    """The program that the recipe's memory belongs to."""
    chosen = HDCPDClusters if recipe.settings.memory == "clusters" else HDCPD
    return chosen(encoder, recipe, data, team, streams)
