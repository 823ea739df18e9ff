"""The Jaccard distance in tensor operations: for accelerators, and where numba is missing.

The same steps as the compiled form, on any device. Sums are formed in the same order: every
`index_add_` adds at distinct places, so that no order of atomic additions can show.
"""

import numpy as np
import torch
from torch import Tensor

from common.clustering.neighbors import Neighbors
from common.clustering.pairs import Pairs
from common.clustering.similarity import pair_similarities

CPU_BLOCK = 1 << 22  # entries of a dense block of rows, 16 MB
DEVICE_BLOCK = 1 << 28  # 1 GB


def pairs_of_neighbors(
    features: Tensor, neighbors: Neighbors, half: int, k2: int, max_distance: float
) -> Pairs:
    """Everything after the neighbour search; `half` and `k2` are at most k1."""
    rank = neighbors.rank.long()
    rows = weights(features, rank, neighbors.similarity, half)
    if k2 > 1:
        rows = averages(rank[:, :k2], *rows)
    return close_pairs(*rows, max_distance)


def weights(
    features: Tensor, rank: Tensor, similarity: Tensor, half: int
) -> tuple[Tensor, Tensor, Tensor]:
    """V as sparse rows: starts (N + 1,), ascending columns, values."""
    size, k = rank.shape
    block = max(1, _block_entries(rank.device) // (8 * k * (1 + half)))
    chunks = torch.arange(size, device=rank.device).split(block)
    mutual = torch.cat([_mutual(rank, rows) for rows in chunks])
    mutual_half = torch.cat([_mutual(rank[:, :half], rows) for rows in chunks])
    counts, columns, values = [], [], []
    for rows in chunks:
        sets = _expanded(rank, mutual, mutual_half, rows, half)
        local, place = torch.nonzero(sets < size, as_tuple=True)
        members = sets[local, place]
        s = _similarities(features, rank, similarity, rows, local, members)
        logits = torch.full(sets.shape, -torch.inf, device=rank.device)
        logits[local, place] = 2 * s - 2
        shares = torch.exp(logits - logits.amax(dim=1, keepdim=True))
        shares /= shares.sum(dim=1, keepdim=True, dtype=torch.float64).float()
        counts.append(torch.bincount(local, minlength=len(rows)))
        columns.append(members)
        values.append(shares[local, place])
    return _starts(torch.cat(counts)), torch.cat(columns), torch.cat(values)


def _mutual(rank: Tensor, rows: Tensor) -> Tensor:
    """(B, k) whether row i stands in the list of its a-th neighbour."""
    return (rank[rank[rows]] == rows[:, None, None]).any(dim=2)


def _expanded(rank: Tensor, mutual: Tensor, mutual_half: Tensor, rows: Tensor, half: int) -> Tensor:
    """E(i) of the rows, ascending from the left, filled up with N."""
    none = len(rank)
    own = torch.where(mutual[rows], rank[rows], none)
    others = torch.where(mutual_half[rank[rows]], rank[rank[rows], :half], none)  # H(c), (B, k, h)
    ordered = own.sort(dim=1).values
    flat = others.flatten(1)
    at = torch.searchsorted(ordered, flat).clamp_(max=ordered.shape[1] - 1)
    known = (others < none) & (ordered.gather(1, at) == flat).view_as(others)
    accepted = 3 * known.sum(2) > 2 * (others < none).sum(2)
    accepted &= own < none
    joined = torch.cat([own, torch.where(accepted[..., None], others, none).flatten(1)], dim=1)
    joined = joined.sort(dim=1).values
    repeated = torch.zeros_like(joined, dtype=torch.bool)
    repeated[:, 1:] = joined[:, 1:] == joined[:, :-1]
    joined[repeated] = none
    joined = joined.sort(dim=1).values
    return joined[:, : int((joined < none).sum(1).max())]


def _similarities(
    features: Tensor, rank: Tensor, similarity: Tensor, rows: Tensor, local: Tensor, members: Tensor
) -> Tensor:
    """Similarity of rows[local] and members: from the neighbour search where it is known."""
    size = len(rank)
    keys = (torch.arange(len(rows), device=rank.device)[:, None] * size + rank[rows]).flatten()
    keys, order = keys.sort()
    wanted = local * size + members
    at = torch.searchsorted(keys, wanted).clamp_(max=len(keys) - 1)
    s = similarity[rows].flatten()[order[at]]
    unknown = torch.nonzero(keys[at] != wanted).ravel()
    s[unknown] = pair_similarities(features, rows[local[unknown]], members[unknown])
    return s


def averages(
    first: Tensor, starts: Tensor, columns: Tensor, values: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """V' as sparse rows: means of V over the neighbours `first` (N, k2), summed in rank order."""
    size, k2 = first.shape
    counts, out_columns, out_values = [], [], []
    for rows in _row_blocks(size, first.device):
        dense = torch.zeros(len(rows) * size, device=first.device)
        for r in range(k2):
            origin = first[rows, r]
            local, entry = _entries(starts[origin], starts[origin + 1])
            dense.index_add_(0, local * size + columns[entry], values[entry])
        filled = torch.nonzero(dense).ravel()
        counts.append(torch.bincount(filled // size, minlength=len(rows)))
        out_columns.append(filled % size)
        out_values.append(dense[filled] / k2)
    return _starts(torch.cat(counts)), torch.cat(out_columns), torch.cat(out_values)


def close_pairs(starts: Tensor, columns: Tensor, values: Tensor, max_distance: float) -> Pairs:
    """Pairs of rows within the distance, by an inverted index over the columns.

    Slot p of a block adds, for all its rows at once, the minima with the list of the row's
    p-th column. A list names a row once, so the places are distinct, and sums grow in
    ascending column order as in the compiled form.
    """
    size = len(starts) - 1
    points = torch.arange(size, device=starts.device)
    row_of = points.repeat_interleave(starts.diff())
    by_column = columns.argsort(stable=True)
    list_rows, list_values = row_of[by_column], values[by_column]
    list_starts = _starts(torch.bincount(columns, minlength=size))
    after = torch.empty_like(by_column)  # where the rows below this one begin in the list
    after[by_column] = torch.arange(1, len(columns) + 1, device=starts.device)
    limit = torch.tensor(max_distance, dtype=torch.float32, device=starts.device)
    found = []
    for rows in _row_blocks(size, starts.device):
        shared = torch.zeros(len(rows) * size, device=starts.device)
        lengths = starts[rows + 1] - starts[rows]
        for p in range(int(lengths.max())):
            local = torch.nonzero(lengths > p).ravel()
            entry = starts[rows[local]] + p
            which, at = _entries(after[entry], list_starts[columns[entry] + 1])
            minima = torch.minimum(values[entry][which], list_values[at])
            shared.index_add_(0, local[which] * size + list_rows[at], minima)
        touched = torch.nonzero(shared).ravel()
        distance = (1 - shared[touched] / (2 - shared[touched])).clamp_(min=0)
        near = distance <= limit
        found.append((rows[0] + touched[near] // size, touched[near] % size, distance[near]))
    first, second, distance = (torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True))
    return Pairs(size, first.astype(np.int32), second.astype(np.int32), distance)


def _entries(begin: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers begin[n]..end[n]-1 for all n in turn, each with its n."""
    lengths = end - begin
    which = torch.arange(len(lengths), device=begin.device).repeat_interleave(lengths)
    before = lengths.cumsum(0) - lengths
    return which, torch.arange(len(which), device=begin.device) + (begin - before)[which]


def _starts(counts: Tensor) -> Tensor:
    """[2, 0, 3] -> [0, 2, 2, 5]."""
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def _block_entries(device: torch.device) -> int:
    return CPU_BLOCK if device.type == "cpu" else DEVICE_BLOCK


def _row_blocks(size: int, device: torch.device) -> tuple[Tensor, ...]:
    """Rows in blocks whose dense form has a bounded number of entries."""
    rows = torch.arange(size, device=device)
    return rows.split(max(1, _block_entries(device) // size))
