"""DSGL: contrast guided by groups that share or lack a nuisance."""

import numpy as np
import torch
from torch import Tensor

from common.label_checks import unusable
from common.losses import smooth_cross_entropy
from common.memory import members_by_class
from common.method import Method
from common.prototypes import HybridMemory, cluster_centroids
from common.streams import Stream
from common.transfer import on_device
from common.types import Batch, Extract, MemoryUpdate, PseudoLabels, Step
from methods.dsgl.disentangle import (
    EpochGroups,
    Groups,
    drawn_partners,
    guided_prototypes,
    nuisance_labels,
    sequential_prototypes,
)
from methods.dsgl.loss import disentangled_contrast_loss, relative_entropy_loss
from methods.dsgl.memory import InstanceTable


class DSGL(Method):
    """Disentangled sample guidance learning (Ji et al., 2024, IEEE TIP).

    The second view is a random image of the anchor's cluster and takes gradient too. The batch,
    gathered from all processes, is written into the instance table between two loss terms.
    """

    has_partners = True
    memory: HybridMemory
    instances: InstanceTable
    nuisance: np.ndarray
    groups: tuple[EpochGroups, ...]
    labels: np.ndarray
    members: tuple[np.ndarray, np.ndarray]

    def clustering_features(self, extract: Extract) -> Tensor:
        if hasattr(self, "instances"):
            del self.instances  # of the epoch before, as large as the new features
        return super().clustering_features(extract)

    def begin_epoch(self, epoch: int, features: Tensor, pseudo: PseudoLabels) -> None:
        if pseudo.num_classes < 3:
            raise unusable(pseudo, epoch, "but an image has two other clusters at least")
        centroids = cluster_centroids(features, pseudo)
        self.memory = HybridMemory(centroids, self.settings.momentum)
        self.instances = InstanceTable(features)
        self.labels = pseudo.labels
        self.members = members_by_class(pseudo.labels, pseudo.num_classes)
        self.set_nuisance(nuisance_labels(features, pseudo.labels, centroids))

    def set_nuisance(self, nuisance: np.ndarray) -> None:
        """Fix the epoch's nuisance labels (N, 2) and the groups by the first and the second."""
        self.nuisance = nuisance
        self.groups = tuple(EpochGroups(self.labels, labels) for labels in nuisance.T)

    def view_indices(self, indices: np.ndarray, stream: Stream) -> np.ndarray:
        partners = drawn_partners(*self.members, self.labels[indices], stream.numpy)
        return np.stack([indices, partners], axis=1)

    def training_step(self, batch: Batch, source: Batch | None = None) -> Step:
        z, partners = self.encoder(batch.views[0]), self.encoder(batch.views[1])
        update = batch.seen(z)
        seen = self.team.gather(update)
        before = self.disentangled(z, batch.labels, self.groups_of(seen, 0))
        self.instances.write(seen.indices, seen.embeddings)
        first, second = self.groups_of(seen, 0), self.groups_of(seen, 1)
        both = self.settings.disentangle_orders == "both"
        after = self.disentangled(z, batch.labels, second if both else first)
        if self.settings.entropy_groups == "own":
            second = self.groups_of(seen, 1, among=1)
        losses = {
            "contrast": self._contrast(z, batch.labels),
            "disentangle": (before + after) / 2,
            "entropy": self._entropy(z, partners, (first, second)),
        }
        return Step(losses, update)

    def _contrast(self, z: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy against the hard or the mean prototypes."""
        s = self.settings
        rows = self.memory.hard if s.cls_half == "hard" else self.memory.mean
        logits = z @ rows.T / s.contrast_temperature
        return smooth_cross_entropy(logits, labels, epsilon=s.smooth)

    def groups_of(self, seen: MemoryUpdate, order: int, among: int = 0) -> Groups:
        """The batch's by its first or second nuisance labels, found among first or second ones."""
        nuisance = self.nuisance[seen.indices, order]
        return self.groups[among].of_batch(seen.labels, nuisance, self.instances.features)

    def disentangled(self, z: Tensor, labels: Tensor, groups: Groups) -> Tensor:
        """The disentangled loss of this process's images with the groups of the whole batch."""
        s, centroids = self.settings, self.memory.mean
        positives = groups.positives(centroids)
        negatives, nuisance = map(self.team.share, (groups.negatives(), groups.r))
        return disentangled_contrast_loss(
            z,
            guided_prototypes(centroids, groups.y, positives, s.disentangle_share),
            labels,
            groups.means(),
            on_device(negatives, z.device),
            centroids[on_device(nuisance, z.device)],
            temperature=s.disentangle_temperature,
            share=s.disentangle_share,
        )

    def _entropy(self, z: Tensor, partners: Tensor, both: tuple[Groups, Groups]) -> Tensor:
        """Mean of the relative entropy over the groups by either nuisance label."""
        terms = [
            relative_entropy_loss(
                z,
                partners,
                self.entropy_prototypes(groups),
                self.memory.mean,
                temperature=self.settings.entropy_temperature,
            )
            for groups in both
        ]
        return torch.stack(terms).mean()

    def entropy_prototypes(self, groups: Groups) -> Tensor:
        """(C, D) prototypes pulled by the whole batch."""
        s = self.settings
        return sequential_prototypes(
            self.memory.mean,
            groups,
            positive_share=s.positive_share,
            negative_share=s.negative_share,
        )
