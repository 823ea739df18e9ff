"""The Jaccard distance in tensor operations: for accelerators, and where numba is missing.

The same steps as the compiled form, on any device. Sums are formed in the same order: every
`index_add_` adds at distinct places, so that no order of atomic additions can show.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from common.clustering.blocks import AVERAGING, SUMMING, WEIGHING, entries_on, told
from common.clustering.neighbors import Neighbors
from common.clustering.pairs import Pairs, least_shared
from common.clustering.rows import SparseRows
from common.clustering.similarity import pair_similarities

CPU_BLOCK = 1 << 22  # entries of a dense block of rows, 16 MB
SUM_BLOCK_CPU = 1 << 18  # 1 MB: stays in the cache while sums grow in it
DEVICE_BLOCK = 1 << 30  # 4 GB
ADDED_AT_ONCE = 1 << 26  # minima formed at once, 3 GB with their places


def weights(features: Tensor, neighbors: Neighbors, half: int) -> SparseRows:
    """V: softmax of minus the squared distances over the expanded reciprocal sets."""
    rank = neighbors.rank.long()
    size, k = rank.shape
    block = max(1, _block_entries(rank.device, CPU_BLOCK) // (8 * k * (1 + half)))
    chunks = torch.arange(size, device=rank.device).split(block)
    mutual = torch.cat([_mutual(rank, rows) for rows in chunks])
    mutual_half = torch.cat([_mutual(rank[:, :half], rows) for rows in chunks])
    counts, columns, values = [], [], []
    for rows in told(WEIGHING, chunks):
        sets = _expanded(rank, mutual, mutual_half, rows, half)
        local, place = torch.nonzero(sets < size, as_tuple=True)
        members = sets[local, place]
        s = _similarities(features, rank, neighbors.similarity, rows, local, members)
        logits = torch.full(sets.shape, -torch.inf, device=rank.device)
        logits[local, place] = 2 * s - 2
        shares = torch.exp((logits - logits.amax(dim=1, keepdim=True)).double())
        shares = (shares / shares.sum(dim=1, keepdim=True)).float()
        counts.append(torch.bincount(local, minlength=len(rows)))
        columns.append(members)
        values.append(shares[local, place])
    return SparseRows(_starts(torch.cat(counts)), torch.cat(columns), torch.cat(values))


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


def averages(neighbors: Neighbors, k2: int, rows_of_v: SparseRows) -> SparseRows:
    """V': mean of V over the first k2 neighbours, summed in rank order."""
    starts, columns, values = rows_of_v.starts, rows_of_v.columns.long(), rows_of_v.values
    first = neighbors.rank[:, :k2].long()
    size = len(first)
    counts, out_columns, out_values = [], [], []
    for rows in told(AVERAGING, _row_blocks(size, first.device, CPU_BLOCK)):
        dense = torch.zeros(len(rows) * size, device=first.device)
        for r in range(k2):
            origin = first[rows, r]
            local, entry = _entries(starts[origin], starts[origin + 1])
            places = (local * size).add_(columns.index_select(0, entry))
            dense.index_add_(0, places, values.index_select(0, entry))
        filled = torch.nonzero(dense).ravel()
        counts.append(torch.bincount(filled // size, minlength=len(rows)))
        out_columns.append(filled % size)
        out_values.append(dense[filled] / k2)
    return SparseRows(_starts(torch.cat(counts)), torch.cat(out_columns), torch.cat(out_values))


def close_pairs(rows_of_v: SparseRows, max_distance: float) -> Pairs:
    """Pairs of rows within the distance, by an inverted index over the columns.

    A dense block of rows grows by the minima with the list of one column after the other, in
    ascending column order as in the compiled form.
    """
    starts, columns, values = rows_of_v.starts, rows_of_v.columns.long(), rows_of_v.values
    size, device = len(starts) - 1, starts.device
    row_of = torch.arange(size, device=device).repeat_interleave(starts.diff())
    by_column = columns.argsort(stable=True)
    list_rows, list_values = row_of[by_column], values[by_column]
    ends = _starts(torch.bincount(columns, minlength=size))[columns + 1]
    below = torch.empty_like(by_column)  # where the rows below this one begin in the list
    below[by_column] = torch.arange(1, len(columns) + 1, device=device)
    added = ends - below
    least = least_shared(max_distance)
    limit = torch.tensor(max_distance, dtype=torch.float32, device=device)
    found = []
    for rows in told(SUMMING, _row_blocks(size, device, SUM_BLOCK_CPU)):
        shared = torch.zeros(len(rows) * size, device=device)
        for entries, sizes in _rounds(starts, rows, added):
            which, at = _entries(below[entries], ends[entries])
            places = (row_of[entries] - rows[0]).mul_(size).index_select(0, which)
            places += list_rows.index_select(0, at)
            own = values[entries].index_select(0, which)
            minima = torch.minimum(own, list_values.index_select(0, at))
            for some, terms in zip(places.split(sizes), minima.split(sizes), strict=True):
                shared.index_add_(0, some, terms)
        large = torch.nonzero(shared >= least).ravel()
        distance = (1 - shared[large] / (2 - shared[large])).clamp_(min=0)
        near = distance <= limit
        found.append((rows[0] + large[near] // size, large[near] % size, distance[near]))
    first, second, distances = (torch.cat(p).cpu().numpy() for p in zip(*found, strict=True))
    return Pairs(size, first.astype(np.int32), second.astype(np.int32), distances)


def _rounds(starts: Tensor, rows: Tensor, added: Tensor) -> Iterator[tuple[Tensor, list[int]]]:
    """Entries of the rows, some at a time, and how many of their additions may be made at once.

    The CPU adds in the given order. Elsewhere additions at one place may come in any order, so
    at once come those of one entry of each row: its list names a row once, hence the places differ.

    Args:
        added: (E,) additions that each entry makes.
    """
    begin, end = starts[rows], starts[rows + 1]
    first, stop = torch.stack([begin[0], end[-1]]).tolist()
    entries = torch.arange(first, stop, device=starts.device)
    if adds_in_order(starts.device):
        yield entries, [int(added[first:stop].sum())]
        return
    turn = entries - begin.repeat_interleave(end - begin, output_size=stop - first)
    entries = entries[turn.argsort(stable=True)]
    # The host reads all sizes at once: to wait for one after the other took longer than the sums.
    until = torch.bincount(turn).cumsum(0)
    sizes = added[entries].cumsum(0)[until - 1].diff(prepend=until.new_zeros(1)).tolist()
    bounds = [0, *until.tolist()]
    for turns in _up_to(min(ADDED_AT_ONCE, _block_entries(starts.device, CPU_BLOCK) // 8), sizes):
        yield entries[bounds[turns.start] : bounds[turns.stop]], sizes[turns]


def _up_to(most: int, sizes: Sequence[int]) -> Iterator[slice]:
    """Consecutive sizes, in slices that add up to `most` or hold a single one."""
    first = total = 0
    for n, size in enumerate(sizes):
        if n > first and total + size > most:
            yield slice(first, n)
            first, total = n, 0
        total += size
    yield slice(first, len(sizes))


def adds_in_order(device: torch.device) -> bool:
    """Whether `index_add_` adds in the order of the indices."""
    return device.type == "cpu"


def _entries(begin: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers begin[n]..end[n]-1 for all n in turn, each with its n."""
    lengths = end - begin
    which = torch.arange(len(lengths), device=begin.device).repeat_interleave(lengths)
    shift = begin - lengths.cumsum(0) + lengths
    return which, shift.index_select(0, which) + torch.arange(len(which), device=begin.device)


def _starts(counts: Tensor) -> Tensor:
    """[2, 0, 3] -> [0, 2, 2, 5]."""
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def _block_entries(device: torch.device, on_cpu: int) -> int:
    """Entries of a dense block of rows.

    Many on a GPU, to launch little; less than 2^31, the most that `torch.nonzero` takes.
    """
    return on_cpu if device.type == "cpu" else entries_on(device, DEVICE_BLOCK)


def _row_blocks(size: int, device: torch.device, on_cpu: int) -> tuple[Tensor, ...]:
    """Rows in blocks whose dense form has a bounded number of entries."""
    rows = torch.arange(size, device=device)
    return rows.split(max(1, _block_entries(device, on_cpu) // size))
