"""How fast do the memory banks move, against a loop over the batch, and do they move the same?"""

from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from common.devices import find_device
from common.memory import Rule, blend_hardest_, blend_mean_, blend_rows_
from tools.benchmarks.clock import wall_seconds
from tools.benchmarks.limits import require_least

INSTANCES = 16  # of every cluster in the batch, as in the papers
MOMENTUM = 0.1


def run(
    clusters: int = 600,
    dim: int = 2048,
    batch: int = 256,
    repeats: int = 50,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """Time every rule and its plain loop, in turns.

    On one thread of a CPU: more gain little on blocks this small, and on a busy machine they wait
    for each other.

    Args:
        clusters, dim: rows and columns of the memory.
        batch: embeddings of an update.
        device: of the memory and the embeddings.

    Returns:
        One row per rule: median, least and most milliseconds of an update, the loop's least
        `plain_ms`, `ratio` of the loop's least time to the rule's, and whether the banks are
        equal bit for bit.
    """
    require_least(1, clusters=clusters, dim=dim, batch=batch, repeats=repeats)
    on = find_device(device)
    g = torch.Generator().manual_seed(0)
    bank = F.normalize(torch.randn(clusters, dim, generator=g), dim=1).to(on)
    embeddings = F.normalize(torch.randn(batch, dim, generator=g), dim=1).to(on)
    named = torch.randperm(clusters, generator=g)[: max(1, batch // INSTANCES)].numpy()
    rows = np.tile(named.repeat(INSTANCES), 1 + batch // len(named))[:batch]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [_compared(rule, plain, bank, rows, embeddings, repeats) for rule, plain in RULES]
    finally:
        torch.set_num_threads(threads)


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


def _compared(
    rule: Rule, plain: Rule, bank: Tensor, rows: np.ndarray, embeddings: Tensor, repeats: int
) -> dict[str, Any]:
    times: dict[Rule, list[float]] = {rule: [], plain: []}
    moved: dict[Rule, Tensor] = {}
    for _ in range(1 + repeats):  # the first call warms up
        for function, taken in times.items():
            moved[function] = bank.clone()
            update = partial(function, moved[function], rows, embeddings, MOMENTUM)
            taken.append(1000 * wall_seconds(update, bank.device))
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
