"""Exact nearest neighbours of every row among all rows, in blocks, on any device.

A fast, inexact product proposes candidates (`candidates.py`). Their similarities are computed
anew, and each row is proved: whatever was not proposed is farther than the k-th neighbour by
more than the product can be wrong. Rows without a proof, e.g. with more than k duplicates, are
searched in full. So the result depends neither on the form of the product nor on the size of
the blocks, the number of threads, processes or the device.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from common.clustering import candidates, compiled
from common.clustering.blocks import entries_on, in_blocks, tell, telling
from common.clustering.candidates import Candidates
from common.clustering.copies import earlier_copies
from common.clustering.similarity import check_unit_rows, pair_similarities, rows_per_chunk
from common.team import ALONE, Team

FULL_SEARCH = 1 << 22  # similarities held at once for rows without a proof
DEVICE_FULL_SEARCH = 1 << 28


@dataclass(frozen=True)
class Neighbors:
    """The k nearest rows of every row.

    Args:
        rank: (N, k) int32; the row itself first, then ascending (squared distance, index).
        similarity: (N, k) float32 inner products.
        recall: share of the true neighbours found, on a sample; None if the search was exact.
    """

    rank: Tensor
    similarity: Tensor
    recall: float | None = None

    @property
    def details(self) -> dict[str, float]:
        """Numbers worth a log line."""
        return {} if self.recall is None else {"recall": self.recall}


def nearest_neighbors(features: Tensor, k: int, team: Team = ALONE) -> Neighbors:
    """The k nearest rows of each row by Euclidean distance, itself included and always first.

    Args:
        features: (N, D) float32 unit rows.
        k: wanted neighbours; min(k, N) are returned.
        team: all have the same features; each searches for a part of the rows.

    Raises:
        ValueError: features of another shape or type.
        UserError: rows that are not finite or not of unit length.
    """
    features = features.detach().contiguous()
    check_unit_rows(features)
    k = min(k, len(features))
    proposed = candidates.propose(features, k, team.part(len(features)))
    return from_candidates(features, proposed, k, team)


def from_candidates(
    features: Tensor, proposed: Candidates, k: int, team: Team = ALONE
) -> Neighbors:
    """The k nearest: those among the candidates where this is proved, else among all rows.

    Args:
        proposed: candidates of this process's part of the rows.
    """
    part = team.part(len(features))
    found = _ranked(features, proposed, k, part)
    own = slice(part.start, part.stop)
    unproved = torch.nonzero(found.similarity[own, -1] <= proposed.limit[own]).ravel()
    search_in_full(features, found, part.start + unproved)
    return Neighbors(team.complete_(found.rank), team.complete_(found.similarity))


def _ranked(features: Tensor, proposed: Candidates, k: int, part: range) -> Neighbors:
    """The k nearest of the candidates of the rows `part`; other rows are left as they are."""
    size, device = len(features), features.device
    rank = torch.empty(size, k, dtype=torch.int32, device=device)
    similarity = torch.empty(size, k, device=device)
    if compiled.usable(features):
        given = (features.numpy(), proposed.ids.numpy(), proposed.counts.numpy())
        arrays = (*given, rank.numpy(), similarity.numpy())
        first = part.start
        in_blocks(
            lambda a, b: compiled.search.rerank(*arrays, first + a, first + b),
            len(part),
            progress=telling("ranking candidates"),
        )
        return Neighbors(rank, similarity)
    width = 1 + proposed.ids.shape[1]
    own = torch.arange(part.start, part.stop, device=device)
    for rows in own.split(rows_per_chunk(features, width)):
        others = proposed.ids[rows].long().sort(dim=1).values
        ids = torch.cat([rows[:, None], others], dim=1)
        pairs = torch.einsum("bd,bnd->bn", features[rows].double(), features[ids].double()).float()
        order = _self_first(pairs).argsort(dim=1, descending=True, stable=True)[:, :k]
        rank[rows] = ids.gather(1, order).int()
        similarity[rows] = pairs.gather(1, order)
    return Neighbors(rank, similarity)


def _self_first(similarities: Tensor) -> Tensor:
    """The same with the first column, the row itself, above all others."""
    raised = similarities.clone()
    raised[:, 0] = torch.inf
    return raised


def search_in_full(features: Tensor, found: Neighbors, rows: Tensor) -> None:
    """Search the given rows among all points, in place, some at a time.

    Ties go to the lower index. So of many copies of a row only the first k are near anything, and
    the others, which are near nothing but them, have one list: it is searched once.
    """
    k = found.rank.shape[1]
    if len(rows) <= k:  # too few for a crowd of copies
        none = torch.zeros(len(features), dtype=torch.bool, device=features.device)
        _search_blocks(features, found, rows, none)
        return
    first, number = earlier_copies(features)
    late = number >= k
    alike = rows[late[rows]]
    kinds, kind = torch.unique(first[alike], return_inverse=True)
    leaders = kinds.new_full(kinds.shape, len(features)).scatter_reduce(0, kind, alike, "amin")
    _search_blocks(features, found, torch.cat([rows[~late[rows]], leaders]), late)
    found.rank[alike, 1:] = found.rank[leaders[kind], 1:]
    found.similarity[alike, 1:] = found.similarity[leaders[kind], 1:]


def _search_blocks(features: Tensor, found: Neighbors, rows: Tensor, late: Tensor) -> None:
    """Search the rows among all points but the late ones, as many at a time as memory allows."""
    device = features.device
    limit = FULL_SEARCH if device.type == "cpu" else entries_on(device, DEVICE_FULL_SEARCH)
    blocks = rows.split(max(1, limit // len(features)))
    for done, some in enumerate(blocks, 1):
        _search_rows(features, found, some, late)
        tell(done, len(blocks))


def _search_rows(features: Tensor, found: Neighbors, rows: Tensor, late: Tensor) -> None:
    """The neighbours found so far bound the k-th similarity from below, so that only points
    that may reach it are ranked.

    Args:
        late: (N,) bool points that have k copies before them.
    """
    k = found.rank.shape[1]
    floor = found.similarity[rows, -1] - candidates.float32_error(features)
    near = (features[rows] @ features.T >= floor[:, None]) & ~late
    row, point = torch.nonzero(near, as_tuple=True)
    other = point != rows[row]
    row, point = row[other], point[other]
    exact = pair_similarities(features, rows[row], point)
    order = exact.argsort(descending=True, stable=True)  # points ascend among equals
    order = order[row[order].argsort(stable=True)]
    row, point, exact = row[order], point[order], exact[order]
    place = torch.arange(len(row), device=row.device) - torch.searchsorted(row, row)
    near = place < k - 1
    found.rank[rows[row[near]], place[near] + 1] = point[near].int()
    found.similarity[rows[row[near]], place[near] + 1] = exact[near]
