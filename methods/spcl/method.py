"""SpCL: self-paced contrastive learning with a hybrid memory."""

from typing import Any

import numpy as np
from torch import Tensor

from common.clustering import cluster_at
from common.instances import InstanceMemory
from common.label_checks import unusable
from common.method import Method
from common.recipe import Dbscan
from common.types import Batch, Extract, PseudoLabels, Step
from methods.spcl.loss import unified_contrast_loss
from methods.spcl.reliability import independence_threshold, reliability, reliable_labels


class SpCL(Method):
    """Self-paced contrastive learning (Ge et al., 2020, arXiv:2006.02713), one or two domains.

    One memory for the whole run holds a row per source identity and per target image; the
    target's rows are what is clustered. In the released two-domain code the update is a side
    effect of backward and the target's comes first, so the source's gradient is formed with
    target rows that have moved; `settings.order` "clean" uses the memory of the forward pass.
    """

    memory: InstanceMemory

    def set_up(self) -> None:
        self.memory = InstanceMemory(self.data, self.encoder.num_features, self.settings.momentum)
        self.threshold: float | None = None

    def begin_training(self, extract: Extract) -> None:
        self.memory.start(extract, self.data)

    def clustering_features(self, extract: Extract) -> Tensor:
        return self.memory.target

    def assign(self, features: Tensor, epoch: int) -> PseudoLabels:
        if self.data.target_pids is not None:
            return PseudoLabels(self.data.target_pids)
        tight, normal, loose = self.clusterings(features, epoch)
        if self.threshold is None and not normal.num_clusters:
            raise unusable(normal, epoch, "which set no reliability threshold")
        labels = self.reliable(tight.labels, normal.labels, loose.labels)
        return PseudoLabels(labels, normal.details)

    def clusterings(self, features: Tensor, epoch: int) -> list[PseudoLabels]:
        """DBSCAN at the tight, the normal and the loose radius."""
        clustering, gap = self.recipe.clustering, self.settings.eps_gap
        assert isinstance(clustering, Dbscan)  # the specification allows no other
        eps = clustering.eps(epoch)
        radii = (eps - gap, eps, eps + gap)
        return cluster_at(features, clustering, radii, self.data.cams, self.team)

    def reliable(self, tight: np.ndarray, normal: np.ndarray, loose: np.ndarray) -> np.ndarray:
        """Classes (N,) from three clusterings (-1 = outlier) with rising radius."""
        found = (PseudoLabels(labels).outliers_as_clusters() for labels in (tight, normal, loose))
        tight, normal, loose = (pseudo.labels for pseudo in found)
        scores = reliability(tight, normal, loose)
        if self.threshold is None:  # the first epoch's serves the whole run
            self.threshold = independence_threshold(scores, normal, self.settings.share)
        keep_last = self.settings.rejected == "keep-last"
        return reliable_labels(normal, scores, self.threshold, keep_last)

    def begin_epoch(self, epoch: int, features: Tensor, pseudo: PseudoLabels) -> None:
        self.memory.relabel(pseudo)

    def training_step(self, batch: Batch, source: Batch | None = None) -> Step:
        if source is None:
            z = self.encoder(batch.views[0])
            return Step({"contrast": self._target_loss(z, batch)}, batch.seen(z))
        zs, zt = self.encoder.forward_domains(source.views[0], batch.views[0])
        seen = batch.seen(zt, source=source.seen(zs))
        released = self.settings.order == "released"
        moved = self.memory.target_moves(self.team.gather(seen)) if released else None
        similarities = self.memory.similarities(zs, self.settings.temperature, moved)
        from_source = self._contrast(similarities, source.labels)
        losses = {"contrast": self._target_loss(zt, batch), "source contrast": from_source}
        return Step(losses, seen)

    def _target_loss(self, z: Tensor, batch: Batch) -> Tensor:
        similarities = self.memory.similarities(z, self.settings.temperature)
        return self._contrast(similarities, self.memory.rows_of(batch.indices))

    def _contrast(self, similarities: Tensor, rows: Tensor) -> Tensor:
        return unified_contrast_loss(similarities, rows, self.memory.labels, self.memory.sizes)

    def get_extra_state(self) -> dict[str, Any]:
        return {"threshold": self.threshold}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.threshold = state["threshold"]
