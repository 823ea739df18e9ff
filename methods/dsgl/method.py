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
        before = self.disentangled(z, batch, seen, order=0)
        self.instances.write(seen.indices, seen.embeddings)
        second = 1 if self.settings.disentangle_orders == "both" else 0
        after = self.disentangled(z, batch, seen, order=second)
        losses = {
            "contrast": self._contrast(z, batch.labels),
            "disentangle": (before + after) / 2,
            "entropy": self._entropy(z, partners, seen),
        }
        return Step(losses, update)

    def _contrast(self, z: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy against the hard or the mean prototypes."""
        s = self.settings
        rows = self.memory.hard if s.cls_half == "hard" else self.memory.mean
        logits = z @ rows.T / s.contrast_temperature
        return smooth_cross_entropy(logits, labels, epsilon=s.smooth)

    def disentangled(self, z: Tensor, batch: Batch, seen: MemoryUpdate, order: int) -> Tensor:
        """The disentangled loss with the instance table as it is now."""
        s, centroids = self.settings, self.memory.mean
        y, r = seen.labels, self.nuisance[seen.indices, order]
        groups = self.groups[0].of_batch(y, r)
        sums = groups.sums(self.instances.features)
        positives = groups.positives(sums, y, r, centroids)
        own_y, own_r = self.team.share(y), self.team.share(r)
        return disentangled_contrast_loss(
            z,
            guided_prototypes(centroids, y, positives, s.disentangle_share),
            batch.labels,
            groups.means(sums),
            on_device(groups.negatives(own_y, own_r), z.device),
            centroids[on_device(own_r, z.device)],
            temperature=s.disentangle_temperature,
            share=s.disentangle_share,
        )

    def _entropy(self, z: Tensor, partners: Tensor, seen: MemoryUpdate) -> Tensor:
        """Mean over both nuisance labels of the relative entropy."""
        terms = [
            relative_entropy_loss(
                z,
                partners,
                self.entropy_prototypes(seen, order),
                self.memory.mean,
                temperature=self.settings.entropy_temperature,
            )
            for order in (0, 1)
        ]
        return torch.stack(terms).mean()

    def entropy_prototypes(self, seen: MemoryUpdate, order: int) -> Tensor:
        """(C, D) prototypes pulled by the whole batch.

        The released code finds the groups of the second label among first labels too.
        """
        s = self.settings
        y, r = seen.labels, self.nuisance[seen.indices, order]
        groups = self.groups[order if s.entropy_groups == "own" else 0].of_batch(y, r)
        return sequential_prototypes(
            self.memory.mean,
            groups,
            groups.sums(self.instances.features),
            y,
            r,
            positive_share=s.positive_share,
            negative_share=s.negative_share,
        )
