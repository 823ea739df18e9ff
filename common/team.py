"""The processes of one run. The only file that knows `torch.distributed`.

Every rank draws the same global batch and takes its slice; what memories see is gathered in
rank order, which is batch order; gradients are averaged by one explicit all-reduce. Work on many
rows (extraction, neighbours, queries) is cut into parts, and every rank completes the others'.
With one process everything is a no-op.
"""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from common.errors import UserError
from common.types import MemoryUpdate

Labels = tuple[np.ndarray, dict[str, float]]


@dataclass(frozen=True)
class Team:
    """Rank and size of a run, and the few exchanges it needs.

    Args:
        rank: of this process, from 0.
        size: number of processes.
        device: of this process.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, batch: np.ndarray) -> np.ndarray:
        """This rank's consecutive slice of a global batch.

        Raises:
            UserError: the batch does not divide by the number of processes.
        """
        if len(batch) % self.size:
            raise UserError(
                f"a batch of {len(batch)} does not divide by {self.size} processes. "
                "Choose sampling.batch_size as a multiple of the number of processes."
            )
        part = len(batch) // self.size
        return batch[self.rank * part : (self.rank + 1) * part]

    def part(self, count: int) -> range:
        """This rank's consecutive part of `count` rows or blocks; parts differ by at most one."""
        first, stop = (rank * count // self.size for rank in (self.rank, self.rank + 1))
        return range(first, stop)

    def complete_(self, rows: Tensor) -> Tensor:
        """Give all ranks the rows (n, ...) of which each has filled its `part(n)`, in place."""
        if self.size > 1:
            for rank in range(self.size):
                part = replace(self, rank=rank).part(len(rows))
                if part:
                    dist.broadcast(rows[part.start : part.stop], src=rank)
        return rows

    def gather_rows(self, rows: Tensor) -> Tensor:
        """Equal-sized (n, ...) parts of all ranks to (n * size, ...), in rank order."""
        if self.size == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.size)]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    def gather(self, update: MemoryUpdate) -> MemoryUpdate:
        """What all ranks saw, in batch order; the same on every rank."""
        if self.size == 1:
            return update
        return replace(
            update,
            embeddings=self.gather_rows(update.embeddings),
            source=self.gather(update.source) if update.source else None,
        )

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """One all-reduce over all gradients; a loss that is a mean stays the mean of the batch."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()

    def average(self, value: Tensor) -> Tensor:
        """Mean of a tensor over the ranks, for the log."""
        if self.size == 1:
            return value
        value = value.clone()
        dist.all_reduce(value)
        return value / self.size

    def labels_from_first(self, compute: Callable[[], Labels]) -> Labels:
        """Compute integer labels of any shape, and numbers about them, on rank 0; give them to all.

        A `UserError` there is raised on all.
        """
        if self.size == 1:
            return compute()
        labels = np.empty(0, np.int64)

        def about() -> str:
            nonlocal labels
            labels, details = compute()
            return json.dumps([labels.shape, details])

        shape, details = json.loads(self.text_from_first(about))
        return self._from_first(labels.ravel()).reshape(shape), details

    def text_from_first(self, compute: Callable[[], str]) -> str:
        """Compute a text on rank 0, give it to all. A `UserError` there is raised on all.

        Sent as JSON in plain numbers: nothing that could run on arrival.
        """
        if self.size == 1:
            return compute()
        message = {"text": "", "error": ""}
        if self.first:
            try:
                message["text"] = compute()
            except UserError as error:
                message["error"] = str(error)
        sent = np.frombuffer(json.dumps(message).encode(), np.uint8)
        message = json.loads(bytes(self._from_first(sent).astype(np.uint8)))
        if message["error"]:
            raise UserError(message["error"])
        return message["text"]

    def _from_first(self, values: np.ndarray) -> np.ndarray:
        """Rank 0's integers, whatever their number, on every rank."""
        length = torch.tensor([len(values)], device=self.device)
        dist.broadcast(length, src=0)
        data = torch.zeros(int(length), dtype=torch.int64, device=self.device)
        if self.first:
            data.copy_(torch.from_numpy(values.astype(np.int64)))
        dist.broadcast(data, src=0)
        return data.cpu().numpy()

    def copy_buffers(self, module: nn.Module) -> None:
        """Rank 0's buffers (running statistics follow the first chunk) to all ranks."""
        if self.size > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, src=0)


ALONE = Team()
"""One process on the CPU: what work that can be shared assumes."""


def join_team(device: str) -> Team:
    """The team that `torchrun` started, or a team of one.

    Args:
        device: "cpu", "cuda", "cuda:1" or "auto" (CUDA where there is one).
    """
    name = device if device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError("no CUDA device was found. Use --device cpu, or see `tools doctor`.")
    if "WORLD_SIZE" not in os.environ:
        return Team(device=torch.device(name))
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(name)
    if not dist.is_initialized():
        backend = "nccl" if name.startswith("cuda") else "gloo"
        dist.init_process_group(backend, timeout=timedelta(minutes=30))
    return Team(dist.get_rank(), dist.get_world_size(), torch.device(name))


def leave_team(team: Team) -> None:
    """End the exchange between the processes."""
    if team.size > 1 and dist.is_initialized():
        dist.destroy_process_group()
