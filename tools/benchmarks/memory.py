"""How fast do the memory banks move, against a loop over the batch, and do they move the same?"""

from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from common.devices import find_device
from common.memory import Rule, blend_hardest_, blend_mean_, blend_rows_
from tools.benchmarks.clock import wall_seconds
from tools.benchmarks.fresh_process import PeakMemory, fresh_process, return_freed_memory
from tools.benchmarks.limits import require_least

INSTANCES = 16  # of every cluster in the batch, as in the papers
MOMENTUM = 0.1


@dataclass(frozen=True)
class Size:
    """Of what is moved; arguments as of `run`."""

    clusters: int
    dim: int
    batch: int


class Update(NamedTuple):
    """A memory (clusters, D), the rows (B,) of it that a batch names, their embeddings (B, D)."""

    bank: Tensor
    rows: np.ndarray
    embeddings: Tensor


def run(
    clusters: int = 600,
    dim: int = 2048,
    batch: int = 256,
    repeats: int = 50,
    device: str = "cpu",
    memory: bool = True,
) -> list[dict[str, Any]]:
    """Time every rule and its plain loop, in turns; then what each takes of memory, by itself.

    On one thread of a CPU: more gain little on blocks this small, and on a busy machine they wait
    for each other.

    Args:
        clusters, dim: rows and columns of the memory.
        batch: embeddings of an update.
        device: of the memory and the embeddings.
        memory: False leaves the memory of the process out.

    Returns:
        One row per rule: median, least and most milliseconds of an update, the loop's least
        `plain_ms`, `ratio` of the loop's least time to the rule's, and whether the banks are
        equal bit for bit. `extra_mb` and the loop's `plain_extra_mb`: the peak of an update beyond
        libraries, memory and embeddings, on the CUDA device if it runs there (None where the
        system does not tell).
    """
    require_least(1, clusters=clusters, dim=dim, batch=batch, repeats=repeats)
    size, on = Size(clusters, dim, batch), find_device(device)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = [_compared(rule, plain, _made(size, on), repeats) for rule, plain in RULES]
    finally:
        torch.set_num_threads(threads)
    if memory:
        for row, both in zip(rows, RULES, strict=True):
            for name, rule in zip(("extra_mb", "plain_extra_mb"), both, strict=True):
                with fresh_process() as fresh:
                    row[name] = fresh.submit(memory_of, rule, size, str(on)).result()
    return rows


def _made(size: Size, device: torch.device) -> Update:
    g = torch.Generator().manual_seed(0)
    bank = F.normalize(torch.randn(size.clusters, size.dim, generator=g), dim=1)
    embeddings = F.normalize(torch.randn(size.batch, size.dim, generator=g), dim=1)
    named = torch.randperm(size.clusters, generator=g)[: max(1, size.batch // INSTANCES)].numpy()
    rows = np.tile(named.repeat(INSTANCES), 1 + size.batch // len(named))[: size.batch]
    return Update(bank.to(device), rows, embeddings.to(device))


def memory_of(rule: Rule, size: Size, device: str) -> float | None:
    """MB that an update takes, in a process that has moved one row before."""
    torch.set_num_threads(1)
    update = _made(size, torch.device(device))
    rule(update.bank, update.rows[:1], update.embeddings[:1].clone(), MOMENTUM)  # the libraries
    return_freed_memory()
    memory = PeakMemory(torch.device(device))
    held = memory.on_device()
    rule(*update, MOMENTUM)
    peak = memory.on_device()
    return memory.extra() if held is None or peak is None else peak - held


@torch.no_grad()
def plain_rows_(bank: Tensor, rows: np.ndarray, embeddings: Tensor, momentum: float) -> None:
    """Every embedding into its row, in batch order."""
    for row, z in zip(rows.tolist(), embeddings, strict=True):
        bank[row] = momentum * bank[row] + (1 - momentum) * z
        bank[row] /= bank[row].norm()


@torch.no_grad()
def plain_hardest_(bank: Tensor, rows: np.ndarray, embeddings: Tensor, momentum: float) -> None:
    """The least similar embedding of each row, found one by one."""
    hardest: dict[int, tuple[float, Tensor]] = {}
    for row, z in zip(rows.tolist(), embeddings, strict=True):
        similarity = float((z * bank[row]).sum())
        if row not in hardest or similarity < hardest[row][0]:
            hardest[row] = similarity, z
    for row, (_, z) in hardest.items():
        plain_rows_(bank, np.array([row]), z[None], momentum)


@torch.no_grad()
def plain_mean_(bank: Tensor, rows: np.ndarray, embeddings: Tensor, momentum: float) -> None:
    """The mean embedding of each row, summed one by one."""
    total: dict[int, Tensor] = {}
    count: dict[int, int] = {}
    for row, z in zip(rows.tolist(), embeddings, strict=True):
        total[row] = total[row] + z if row in total else z
        count[row] = count.get(row, 0) + 1
    for row, z in total.items():
        plain_rows_(bank, np.array([row]), (z / count[row])[None], momentum)


RULES: tuple[tuple[Rule, Rule], ...] = (
    (blend_rows_, plain_rows_),
    (blend_hardest_, plain_hardest_),
    (blend_mean_, plain_mean_),
)


def _compared(rule: Rule, plain: Rule, update: Update, repeats: int) -> dict[str, Any]:
    times: dict[Rule, list[float]] = {rule: [], plain: []}
    moved: dict[Rule, Tensor] = {}
    for _ in range(1 + repeats):  # the first call warms up
        for function, taken in times.items():
            moved[function] = update.bank.clone()
            given = update._replace(bank=moved[function])
            seconds = wall_seconds(partial(function, *given, MOMENTUM), update.bank.device)
            taken.append(1000 * seconds)
    ours, theirs = times[rule][1:], times[plain][1:]
    return {
        "rule": rule.__name__,
        "ms": median(ours),
        "least": min(ours),
        "most": max(ours),
        "repeats": repeats,
        "plain_ms": min(theirs),
        "ratio": min(theirs) / min(ours),
        "equal": torch.equal(moved[rule], moved[plain]),
    }
