"""Compiled kernels of the Jaccard distance: sets, weights, query expansion.

All work on a range of rows and return what belongs to it, so that ranges can run in threads
and be joined in order. Sparse rows are (counts, columns, values).
"""

import numpy as np

from common.clustering.search_kernels import similarity
from common.jit import jit

Array = np.ndarray
SparseBlock = tuple[Array, Array, Array]
"""Entries per row, then for all entries a point and a number."""


@jit(inner=True)
def grown(array: Array, wanted: int) -> Array:
    """The array with room for at least `wanted` entries.

    The loop compiles in a tenth of the time of a slice: that brings its error message along.
    """
    if wanted <= len(array):
        return array
    longer = np.empty(max(2 * len(array), wanted), array.dtype)
    for n in range(len(array)):
        longer[n] = array[n]
    return longer


@jit()
def walk_order(rank: Array, near: int, order: Array) -> None:
    """Fill `order` with all points, each followed by what is near it: depth first.

    Args:
        near: neighbours of a point that are walked to.
    """
    size = len(rank)
    seen = np.zeros(size, np.bool_)
    waiting = np.empty(size * near + 1, np.int32)
    used = 0
    for start in range(size):
        waiting[0], left = start, 1
        while left > 0:
            left -= 1
            point = waiting[left]
            if seen[point]:
                continue
            seen[point] = True
            order[used] = point
            used += 1
            for a in range(near - 1, -1, -1):
                if not seen[rank[point, a]]:
                    waiting[left] = rank[point, a]
                    left += 1


@jit()
def mutual_positions(rank: Array, mutual: Array, start: int, stop: int) -> None:
    """mutual[i, a]: where i stands in the list of its a-th neighbour; k if nowhere."""
    k = rank.shape[1]
    for i in range(start, stop):
        for a in range(k):
            other = rank[i, a]
            place = k
            for b in range(k):
                if rank[other, b] == i:
                    place = b
                    break
            mutual[i, a] = place


@jit(inner=True)
def _add_reciprocal(i: int, rank: Array, mutual: Array, mark: Array, columns: Array, n: int) -> int:
    """Write R(i) to columns[n:] and mark it; returns the new end."""
    for a in range(rank.shape[1]):
        if mutual[i, a] < rank.shape[1]:
            columns[n] = rank[i, a]
            mark[columns[n]] = 2 * i + 1
            n += 1
    return n


@jit(inner=True)
def _add_halves(
    i: int, rank: Array, mutual: Array, half: int, mark: Array, columns: Array, start: int, n: int
) -> int:
    """Append every H(c), c in R(i) = columns[start:n], of which R(i) holds more than 2/3."""
    end = n
    for m in range(start, n):
        c = columns[m]
        size, shared = 0, 0
        for b in range(half):
            if mutual[c, b] < half:
                size += 1
                shared += mark[rank[c, b]] == 2 * i + 1
        if 3 * shared > 2 * size:
            for b in range(half):
                j = rank[c, b]
                if mutual[c, b] < half and mark[j] < 2 * i:
                    mark[j] = 2 * i
                    columns[end] = j
                    end += 1
    return end


@jit(inner=True)
def _softmax(values: Array, start: int, end: int, powers: Array) -> None:
    """Softmax of values[start:end] in place.

    In float64 and rounded once: exponentials in float32 differ from library to library.
    """
    largest, total = values[start], 0.0
    for n in range(start, end):
        largest = max(largest, values[n])
    for n in range(end - start):
        powers[n] = np.exp(np.float64(values[start + n] - largest))
        total += powers[n]
    for n in range(end - start):
        values[start + n] = powers[n] / total


@jit()
def weights(
    features: Array,
    order: Array,
    rank: Array,
    ranked: Array,
    mutual: Array,
    half: int,
    start: int,
    stop: int,
) -> SparseBlock:
    """Rows of V: softmax of minus the squared distance over the expanded reciprocal set.

    Point i of the lists is row order[i] of the features and of the similarities `ranked`.
    """
    k = rank.shape[1]
    counts = np.empty(stop - start, np.int32)
    columns = np.empty(64 * (stop - start), np.int32)
    values = np.empty(64 * (stop - start), np.float32)
    mark = np.full(len(rank), -1, np.int32)  # 2 i + 1: in R(i); 2 i: only in E(i)
    owner = np.full(len(rank), -1, np.int32)  # i: among the neighbours of i ...
    place = np.empty(len(rank), np.int32)  # ... at this place
    powers = np.empty(k + k * half)
    used = np.int64(0)  # of this type: see `jit`
    for i in range(start, stop):
        columns = grown(columns, used + k + k * half)
        values = grown(values, used + k + k * half)
        end = _add_reciprocal(i, rank, mutual, mark, columns, used)
        end = _add_halves(i, rank, mutual, half, mark, columns, used, end)
        for a in range(k):
            owner[rank[i, a]] = i
            place[rank[i, a]] = a
        for n in range(used, end):
            j = columns[n]
            known = owner[j] == i
            s = ranked[order[i], place[j]] if known else similarity(features, order[i], order[j])
            values[n] = np.float32(2) * s - np.float32(2)
        _softmax(values, used, end, powers)
        counts[i - start] = end - used
        used = end
    return counts, columns[:used].copy(), values[:used].copy()


@jit()
def averages(
    rank: Array, k2: int, starts: Array, columns: Array, values: Array, start: int, stop: int
) -> SparseBlock:
    """Rows of V': mean of the rows of V of the first k2 neighbours, summed in rank order."""
    size = len(rank)
    counts = np.empty(stop - start, np.int32)
    out_columns = np.empty(128 * (stop - start), np.int32)
    out_values = np.empty(128 * (stop - start), np.float32)
    owner = np.full(size, -1, np.int32)
    place = np.empty(size, np.int64)
    used = 0
    for i in range(start, stop):
        wanted = 0
        for r in range(k2):
            wanted += starts[rank[i, r] + 1] - starts[rank[i, r]]
        out_columns = grown(out_columns, used + wanted)
        out_values = grown(out_values, used + wanted)
        end = used
        for r in range(k2):
            row = rank[i, r]
            for n in range(starts[row], starts[row + 1]):
                c = columns[n]
                if owner[c] == i:
                    out_values[place[c]] += values[n]
                else:
                    owner[c] = i
                    place[c] = end
                    out_columns[end] = c
                    out_values[end] = values[n]
                    end += 1
        for n in range(used, end):
            out_values[n] /= np.float32(k2)
        counts[i - start] = end - used
        used = end
    return counts, out_columns[:used].copy(), out_values[:used].copy()
