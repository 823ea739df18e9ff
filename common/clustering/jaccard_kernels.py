"""Compiled kernels of the Jaccard distance: sets, weights, query expansion, sums of minima.

All work on a range of rows and return what belongs to it, so that ranges can run in threads
and be joined in order. Sparse rows are (counts, columns, values).
"""

import numpy as np

from common.clustering.search_kernels import similarity
from common.jit import jit

Array = np.ndarray
SparseBlock = tuple[Array, Array, Array]
"""Entries per row, then for all entries a point and a number."""

MISSED = 0.8  # share of the least sum that the lists left out at first may hold
SUM_ROUNDING = 2.0**-23  # per term: by how much two sums of at most 1 are rounded apart


@jit()
def _grown(array: Array, used: int, wanted: int) -> Array:
    """The array with room for `wanted` more entries after the used ones.

    The loop compiles in a tenth of the time of a slice: that brings its error message along.
    """
    if used + wanted <= len(array):
        return array
    longer = np.empty(max(2 * len(array), used + wanted), array.dtype)
    for n in range(used):
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


@jit()
def _add_reciprocal(i: int, rank: Array, mutual: Array, mark: Array, columns: Array, n: int) -> int:
    """Write R(i) to columns[n:] and mark it; returns the new end."""
    for a in range(rank.shape[1]):
        if mutual[i, a] < rank.shape[1]:
            columns[n] = rank[i, a]
            mark[columns[n]] = 2 * i + 1
            n += 1
    return n


@jit()
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


@jit()
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

    Point i of the lists is row order[i] of the features.
    """
    k = rank.shape[1]
    counts = np.empty(stop - start, np.int32)
    columns = np.empty(64 * (stop - start), np.int32)
    values = np.empty(64 * (stop - start), np.float32)
    mark = np.full(len(rank), -1, np.int32)  # 2 i + 1: in R(i); 2 i: only in E(i)
    owner = np.full(len(rank), -1, np.int32)  # i: among the neighbours of i ...
    place = np.empty(len(rank), np.int32)  # ... at this place
    powers = np.empty(k + k * half)
    used = 0
    for i in range(start, stop):
        columns = _grown(columns, used, k + k * half)
        values = _grown(values, used, k + k * half)
        end = _add_reciprocal(i, rank, mutual, mark, columns, used)
        end = _add_halves(i, rank, mutual, half, mark, columns, used, end)
        for a in range(k):
            owner[rank[i, a]] = i
            place[rank[i, a]] = a
        for n in range(used, end):
            j = columns[n]
            known = owner[j] == i
            s = ranked[i, place[j]] if known else similarity(features, order[i], order[j])
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
        out_columns = _grown(out_columns, used, wanted)
        out_values = _grown(out_values, used, wanted)
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


@jit()
def transpose(
    starts: Array,
    columns: Array,
    values: Array,
    list_starts: Array,
    list_rows: Array,
    list_values: Array,
) -> None:
    """Fill, for each column, the ascending rows that hold it, with their values."""
    fill = list_starts[:-1].copy()
    for i in range(len(starts) - 1):
        for n in range(starts[i], starts[i + 1]):
            c = columns[n]
            list_rows[fill[c]] = i
            list_values[fill[c]] = values[n]
            fill[c] += 1


@jit()
def sort_columns(
    number: Array,
    list_starts: Array,
    list_rows: Array,
    starts: Array,
    columns: Array,
    places: Array,
) -> None:
    """Fill, for each row, its columns in the order `number`, and its place in their lists."""
    fill = starts[:-1].copy()
    for c in number:
        for n in range(list_starts[c], list_starts[c + 1]):
            i = list_rows[n]
            columns[fill[i]] = c
            places[fill[i]] = n - list_starts[c]
            fill[i] += 1


@jit()
def _choose_lists(
    i: int,
    starts: Array,
    columns: Array,
    places: Array,
    list_starts: Array,
    list_values: Array,
    allowance: float,
    begins: Array,
    ends: Array,
) -> tuple[int, float]:
    """Fill where the lists to read for row i begin, at its own entries, and end.

    Left out are lists that are longer, for the row's weight in them, than all its lists are.

    Returns:
        The number of lists to read, and the weight left out, at most `allowance`.
    """
    count, entries = 0, 0
    for n in range(starts[i], starts[i + 1]):
        begins[count] = list_starts[columns[n]] + places[n]
        ends[count] = list_starts[columns[n] + 1]
        entries += ends[count] - begins[count]
        count += 1
    chosen, missed = 0, 0.0
    for n in range(count):
        value = np.float64(list_values[begins[n]])
        if ends[n] - begins[n] > value * entries and missed + value <= allowance:
            missed += value
        else:
            begins[chosen], ends[chosen] = begins[n], ends[n]
            chosen += 1
    return chosen, missed


@jit()
def _add_minima(
    count: int, begins: Array, ends: Array, list_rows: Array, list_values: Array, shared: Array
) -> None:
    """shared[j] += min(V'_ic, V'_jc) for all j > i in the lists of columns c, in their order."""
    for n in range(count):
        value = list_values[begins[n]]
        for m in range(begins[n] + 1, ends[n]):
            other = list_values[m]
            shared[list_rows[m]] += other if other < value else value


@jit()
def _take_largest(
    count: int,
    begins: Array,
    ends: Array,
    list_rows: Array,
    shared: Array,
    least: float,
    near: Array,
    sums: Array,
) -> int:
    """Reset `shared`; keep those j with a sum of at least `least`. Returns how many."""
    taken = 0
    for n in range(count):
        for m in range(begins[n] + 1, ends[n]):
            j = list_rows[m]
            t = shared[j]
            shared[j] = 0
            if t >= least:
                near[taken] = j
                sums[taken] = t
                taken += 1
    return taken


@jit()
def _add_all_minima(
    i: int,
    starts: Array,
    columns: Array,
    places: Array,
    list_starts: Array,
    list_values: Array,
    own: Array,
    count: int,
    near: Array,
    sums: Array,
) -> None:
    """sums[n] = t(i, near[n]), in the order of the columns; `own` is zero before and after."""
    for n in range(starts[i], starts[i + 1]):
        own[columns[n]] = list_values[list_starts[columns[n]] + places[n]]
    for a in range(count):
        total = np.float32(0)
        for n in range(starts[near[a]], starts[near[a] + 1]):
            value = own[columns[n]]
            if value > 0:
                other = list_values[list_starts[columns[n]] + places[n]]
                total += other if other < value else value
        sums[a] = total
    for n in range(starts[i], starts[i + 1]):
        own[columns[n]] = 0


@jit()
def close_pairs(
    starts: Array,
    columns: Array,
    places: Array,
    list_starts: Array,
    list_rows: Array,
    list_values: Array,
    least: float,
    limit: float,
    start: int,
    stop: int,
) -> SparseBlock:
    """Pairs (i, j > i) with distance <= limit: (counts, j, distance), in no order within i.

    The longest lists cost most and tell least. At first they are left out; of a sum, at most
    the row's own weights in them are missing. The few pairs that can still reach `least` are
    summed again in full (Bayardo, Ma, Srikant: Scaling Up All Pairs Similarity Search, WWW 2007).

    Args:
        least: positive; a sum of minima below it cannot give a distance within the limit.
    """
    size = len(starts) - 1
    longest = 0
    for i in range(start, stop):
        longest = max(longest, starts[i + 1] - starts[i])
    begins, ends = np.empty(longest, np.int64), np.empty(longest, np.int64)
    counts = np.empty(stop - start, np.int32)
    others = np.empty(8 * (stop - start), np.int32)
    distances = np.empty(8 * (stop - start), np.float32)
    shared, own = np.zeros(size, np.float32), np.zeros(size, np.float32)
    near = np.empty(size, np.int32)
    sums = np.empty(size, np.float32)
    used = 0
    for i in range(start, stop):
        surely = least - (starts[i + 1] - starts[i]) * SUM_ROUNDING
        lists, missed = _choose_lists(
            i, starts, columns, places, list_starts, list_values, MISSED * surely, begins, ends
        )
        enough = surely - missed if missed > 0 else least
        _add_minima(lists, begins, ends, list_rows, list_values, shared)
        count = _take_largest(lists, begins, ends, list_rows, shared, enough, near, sums)
        if missed > 0 and count > 0:
            _add_all_minima(
                i, starts, columns, places, list_starts, list_values, own, count, near, sums
            )
        others = _grown(others, used, count)
        distances = _grown(distances, used, count)
        end = used
        for n in range(count):
            distance = max(np.float32(1) - sums[n] / (np.float32(2) - sums[n]), np.float32(0))
            if distance <= limit:
                others[end] = near[n]
                distances[end] = distance
                end += 1
        counts[i - start] = end - used
        used = end
    return counts, others[:used].copy(), distances[:used].copy()
