"""Memory bank of MultiQueue: a first-in first-out queue of features per cluster."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.memory import turn_of
from common.transfer import on_device
from common.types import MemoryUpdate


class QueueMemory(nn.Module):
    """A queue of Q features per cluster, started with Q copies of the cluster's mean.

    Every step compares with one slot of each queue; see `draw_slots`. The bank lives one epoch.

    Args:
        start: (C, D) rows to fill the queues with.
        length: Q.
        blend: share of the old slot that is kept by a write; 0 in all published runs.
    """

    queues: Tensor
    pointer: Tensor

    def __init__(self, start: Tensor, length: int, blend: float) -> None:
        super().__init__()
        self.blend = blend
        queues = start[:, None].repeat(1, length, 1)
        self.register_buffer("queues", queues, persistent=False)
        pointer = torch.zeros(len(start), dtype=torch.int64, device=start.device)
        self.register_buffer("pointer", pointer, persistent=False)

    def rows(self, slots: Tensor) -> Tensor:
        """(C, D): the entry of every queue at its drawn slot (C,)."""
        return self.queues[torch.arange(len(slots), device=slots.device), slots]

    @torch.no_grad()
    def update(self, seen: MemoryUpdate) -> None:
        """Enqueue the embeddings in batch order; the pointer moves before it writes.

        So the first write of an epoch goes to slot 1, as in the released code. Of more than Q
        embeddings of one cluster the last Q remain.
        """
        length, device = self.queues.shape[1], self.queues.device
        counts = np.bincount(seen.labels, minlength=len(self.pointer))
        turns = turn_of(seen.labels)
        if self.blend:  # every write moves its slot: round after round
            rounds = [turns // length == n for n in range(turns.max(initial=-1) // length + 1)]
        else:
            rounds = [turns >= counts[seen.labels] - length]
        for some in map(np.flatnonzero, rounds):
            labels, turn = (on_device(values[some], device) for values in (seen.labels, turns))
            self._write(labels, turn, seen.embeddings[on_device(some, device)])
        self.pointer.add_(on_device(counts, device)).remainder_(length)

    def _write(self, labels: Tensor, turn: Tensor, embeddings: Tensor) -> None:
        """Fill a slot of the labels' queues each, `turn` places after the next one."""
        slots = (self.pointer[labels] + 1 + turn) % self.queues.shape[1]
        if self.blend:
            old = self.queues[labels, slots]
            embeddings = F.normalize(self.blend * old + (1 - self.blend) * embeddings, dim=1)
        self.queues[labels, slots] = embeddings
