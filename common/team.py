"""The processes of one run. The only file that knows `torch.distributed`.

Every rank draws the same global batch and takes its slice; what memories see is gathered in
rank order, which is batch order; gradients are averaged by one explicit all-reduce. Work on many
rows (extraction, neighbours, queries) is cut into parts, and every rank completes the others'.
With one process everything is a no-op.
"""

import json
import logging
import os
import re
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from common.cores import processes_here, usable_cores
from common.devices import find_device, require_devices
from common.errors import LostProcess, UserError
from common.types import MemoryUpdate

Labels = tuple[np.ndarray, dict[str, float]]
Result = TypeVar("Result")

TIMEOUT = timedelta(minutes=30)
"""Of an exchange that all processes reach at about the same time."""
PATIENCE = timedelta(hours=12)
"""How long they wait while one works alone: the first checks all images and writes the page."""
SOURCE_LINE = re.compile(r"^\[\S+:\d+\] ")
"""With which gloo's errors begin; what follows their first sentence is advice to developers."""


@dataclass(frozen=True)
class Team:
    """Rank and size of a run, and the few exchanges it needs.

    An exchange raises `LostProcess` where another process has ended.

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
            UserError: the batch is not divisible by the number of processes.
        """
        if len(batch) % self.size:
            raise UserError(
                f"a batch of {len(batch)} is not divisible by {self.size} processes. "
                "Choose sampling.batch_size as a multiple of the number of processes."
            )
        part = self.part(len(batch))
        return batch[part.start : part.stop]

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
                    with _exchange():
                        dist.broadcast(rows[part.start : part.stop], src=rank)
        return rows

    def gather_rows(self, rows: Tensor) -> Tensor:
        """Equal-sized (n, ...) parts of all ranks to (n * size, ...), in rank order."""
        if self.size == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.size)]
        with _exchange():
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
        with _exchange():
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
        with _exchange():
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
        return self._integers_from(0, labels.ravel()).reshape(shape), details

    def text_from_first(self, compute: Callable[[], str]) -> str:
        """Compute a text on rank 0, give it to all. A `UserError` there is raised on all."""
        return self._text_from(0, self.together(lambda: compute() if self.first else ""))

    def together(self, compute: Callable[[], Result]) -> Result:
        """Compute on every rank; a `UserError` on any of them is raised on all.

        For what can go wrong on one machine alone, e.g. a file that is missing there.
        """
        found: list[Result] = []
        said = ""
        try:
            found.append(compute())
        except UserError as error:
            if self.size == 1:
                raise
            said = str(error)
        if self.size > 1:
            with _exchange():
                dist.barrier(group=_patient_group())
        failed = self.gather_rows(torch.tensor([bool(said)], device=self.device))
        if failed.any():
            rank = int(failed.int().argmax())
            said = self._text_from(rank, said)
            raise UserError(f"process {rank}: {said}" if rank else said)
        return found[0]

    def require_same(self, found: str, what: str) -> None:
        """Stop where a process has found something else than the first.

        Args:
            found: here, in a few letters, e.g. a checksum.
            what: subject of the sentence, with where it was found.

        Raises:
            UserError: on all processes.
        """
        if self.size == 1:
            return
        first = self.text_from_first(lambda: found)

        def compare() -> None:
            if found != first:
                raise UserError(
                    f"{what} not what the first process found (fingerprint {found}, there "
                    f"{first}). All machines must have the same."
                )

        self.together(compare)

    def _text_from(self, rank: int, text: str) -> str:
        """A text of one rank on every rank, sent as plain numbers; file names need not be UTF-8."""
        sent = np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8)
        received = bytes(self._integers_from(rank, sent).astype(np.uint8))
        return received.decode("utf-8", "surrogateescape")

    def _integers_from(self, rank: int, values: np.ndarray) -> np.ndarray:
        """Integers of one rank, whatever their number, on every rank."""
        if self.size == 1:
            return values
        data = torch.from_numpy(values.astype(np.int64)).to(self.device)
        length = torch.tensor([len(data)], device=self.device)
        with _exchange():
            dist.broadcast(length, src=rank)
            if self.rank != rank:
                data = torch.zeros(int(length), dtype=torch.int64, device=self.device)
            dist.broadcast(data, src=rank)
        return data.cpu().numpy()

    def copy_buffers(self, module: nn.Module) -> None:
        """Rank 0's buffers (running statistics follow the first chunk) to all ranks."""
        if self.size > 1:
            with _exchange():
                for buffer in module.buffers():
                    dist.broadcast(buffer, src=0)


ALONE = Team()
"""One process on the CPU: what work that can be shared assumes."""


@contextmanager
def _exchange() -> Iterator[None]:
    """Calls that involve all ranks; where one of these is gone, the others' calls fail."""
    try:
        yield
    except (torch.OutOfMemoryError, torch.AcceleratorError, NotImplementedError):  # our own
        raise
    except RuntimeError as error:
        reason = SOURCE_LINE.sub("", str(error)).partition("\n")[0].partition(". ")[0].rstrip(".")
        raise LostProcess(f"another process of the run cannot be reached ({reason})") from error


def join_team(device: str) -> Team:
    """The team that `torchrun` started, or a team of one, with no more threads than cores.

    Args:
        device: as `find_device` takes it.

    Raises:
        UserError: there is no such device, or none for every process.
        LostProcess: another process cannot be reached.
    """
    found = find_device(device)
    if "OMP_NUM_THREADS" not in os.environ and usable_cores() < torch.get_num_threads():
        torch.set_num_threads(usable_cores())  # torch knows nothing of a container's share
    launched = {"WORLD_SIZE", "RANK"} <= os.environ.keys()  # some platforms set the first alone
    if launched:
        require_devices(str(found), processes_here())
        if found == torch.device("cuda"):
            found = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if found.index is not None:  # else pinned memory, say, may take some of the first GPU as well
        torch.cuda.set_device(found)
    if not launched:
        return Team(device=found)
    if not dist.is_initialized():
        backend = "nccl" if found.type == "cuda" else "gloo"
        with _exchange():
            store, rank, size = next(dist.rendezvous("env://", timeout=TIMEOUT))
            require_one_kind(store, rank, size, found.type)
            dist.init_process_group(
                backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT
            )
            _patient_group()
    return Team(dist.get_rank(), dist.get_world_size(), found)


def require_one_kind(store: dist.Store, rank: int, size: int, kind: str) -> None:
    """Stop where the processes have devices of several kinds: each would wait for the others.

    Args:
        store: seen by all processes, before they are a group.
        rank, size: of this process and of the team.
        kind: of this process's device.

    Raises:
        UserError: on all processes.
    """
    store.set(f"device {rank}", kind)
    kinds = [store.get(f"device {other}").decode() for other in range(size)]
    for other, found in enumerate(kinds):
        if found != kinds[0]:
            raise UserError(
                f"process {other} works on {found}, the first one on {kinds[0]}. Choose the device "
                "of all with --device; `tools doctor` says what a machine has."
            )


@cache
def _patient_group() -> dist.ProcessGroup:
    """All processes, to wait for each other; gloo, which notices at once where one has ended."""
    group = dist.new_group(timeout=PATIENCE, backend="gloo")
    assert isinstance(group, dist.ProcessGroup)  # every process is in it
    return group


def leave_team(team: Team) -> None:
    """End the exchange between the processes."""
    if team.size > 1 and dist.is_initialized():
        _patient_group.cache_clear()
        dist.destroy_process_group()


def start_team(processes: int, command: list[str]) -> tuple[int, int] | None:
    """Run a command in several processes of this machine, as torchrun does, until all have ended.

    As soon as one fails the others are ended. Nothing is printed: the caller knows what to say.

    Args:
        processes: their number; each finds its rank in the environment.
        command: program and arguments.

    Returns:
        Rank and exit code (a negative one for a signal) of the process that failed first, or
        None where all ended well.

    Raises:
        KeyboardInterrupt: this process was told to stop, and has stopped the others.
    """
    logging.disable(logging.CRITICAL)
    try:
        with _same_signal_handlers(), TemporaryDirectory() as logs:
            config = LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=processes,
                logs_specs=DefaultLogsSpecs(log_dir=logs),
                rdzv_backend="c10d",
                rdzv_endpoint="127.0.0.1:0",
                local_addr="127.0.0.1",  # else the machine's name, which may lead nowhere
                max_restarts=0,
            )
            elastic_launch(config, command[0])(*command[1:])
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        return rank, failure.exitcode
    except SignalException:
        raise KeyboardInterrupt from None
    finally:
        logging.disable(logging.NOTSET)
    return None


@contextmanager
def _same_signal_handlers() -> Iterator[None]:
    """Give back what this process did when told to stop; torch's launcher leaves its own there."""
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
