"""A memory with one row per image that lasts the whole run, after one row per source identity.

SpCL and HDCPD stand on it. Row s < S is source identity s, row S + i is target image i.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.memory import blend_rows_, centroids
from common.transfer import on_device
from common.types import Extract, MemoryUpdate, PseudoLabels, TrainData

BLOCK = 4096  # rows normalized at once: a copy of all features takes gigabytes
Indices = TypeVar("Indices", Tensor, np.ndarray)


@dataclass(frozen=True)
class MovedRows:
    """Rows of a bank as they will be after an update that has not been made yet.

    Args:
        rows: (U,) distinct row ids.
        change: (U, D) what will be added to them.
    """

    rows: Tensor
    change: Tensor


class InstanceMemory(nn.Module):
    """Unit rows for S source identities and N target images; saved with the run.

    Args:
        data: gives S and N.
        num_features: D.
        momentum: share of the old row that is kept.
    """

    bank: Tensor
    labels: Tensor
    sizes: Tensor

    def __init__(self, data: TrainData, num_features: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.num_source = data.num_source_ids
        rows = self.num_source + data.num_images
        self.register_buffer("bank", torch.zeros(rows, num_features))
        self.register_buffer("labels", torch.zeros(rows, dtype=torch.int64), persistent=False)
        self.register_buffer("sizes", torch.zeros(0, dtype=torch.int64), persistent=False)

    def start(self, extract: Extract, data: TrainData) -> None:
        """Fill the bank once, before epoch 0: source class means, target features, unit length."""
        if data.source_pids is not None:
            means = centroids(extract("source"), data.source_pids, self.num_source)
            self.bank[: self.num_source] = means
        features = extract("target")
        for rows, out in zip(features.split(BLOCK), self.target.split(BLOCK), strict=True):
            out.copy_(F.normalize(rows, dim=1))

    @property
    def target(self) -> Tensor:
        """(N, D) rows of the target images."""
        return self.bank[self.num_source :]

    def relabel(self, pseudo: PseudoLabels) -> None:
        """Classes of all rows: 0..S-1 for the source, then the target's, without gaps."""
        target = torch.as_tensor(pseudo.labels, device=self.bank.device)
        target = torch.unique(target, return_inverse=True)[1] + self.num_source
        source = torch.arange(self.num_source, device=self.bank.device)
        self.labels = torch.cat([source, target])
        self.sizes = torch.bincount(self.labels)

    def rows_of(self, indices: Indices) -> Indices:
        """Rows of target images, on the device or on the host as the indices are."""
        return indices + self.num_source

    def similarities(
        self, embeddings: Tensor, temperature: float, moved: MovedRows | None = None
    ) -> Tensor:
        """(B, M) scaled inner products of embeddings with all rows.

            a_ij = z_i . M_j / t

        Args:
            embeddings: (B, D) unit vectors.
            temperature: t > 0.
            moved: if given, the value is that of the present bank but the gradient is that of
                the bank after this change: the released two-domain code updates the target's
                rows before it forms the source's gradient.
        """
        values = embeddings @ self.bank.T / temperature
        if moved is None:
            return values
        change = embeddings @ moved.change.T / temperature
        return values.index_add(1, moved.rows, change - change.detach())

    @torch.no_grad()
    def target_moves(self, seen: MemoryUpdate) -> MovedRows:
        """What updating with a target batch will change, without changing it."""
        named, slot = np.unique(self.rows_of(seen.indices), return_inverse=True)
        rows = on_device(named, self.bank.device)
        moved = self.bank[rows]
        blend_rows_(moved, slot, seen.embeddings, self.momentum)
        return MovedRows(rows, moved - self.bank[rows])

    @torch.no_grad()
    def update(self, seen: MemoryUpdate) -> None:
        """Blend target embeddings into their images' rows, source ones into their identities'.

        One after the other in batch order, so a source row moves as often as the batch shows its
        identity: as released. The paper of SpCL moves it once, by the mean of these embeddings.
        """
        rows = self.rows_of(seen.indices)
        blend_rows_(self.bank, rows, seen.embeddings, self.momentum)
        if seen.source is not None:
            blend_rows_(self.bank, seen.source.labels, seen.source.embeddings, self.momentum)
