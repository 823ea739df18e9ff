"""Compiled kernels of the Jaccard distance: sums of minima, by an inverted index."""

import numpy as np

from common.clustering.jaccard_kernels import Array, SparseBlock, grown
from common.jit import jit

MISSED = 0.8  # share of the least sum that the lists left out at first may hold
SUM_ROUNDING = 2.0**-23  # per term: by how much two sums of at most 1 are rounded apart


@jit()
def count_entries(
    sequence: Array, starts: Array, columns: Array, counts: Array, start: int, stop: int
) -> None:
    """Add to `counts` how many of the rows sequence[start:stop] hold each column."""
    for m in range(start, stop):
        for n in range(starts[sequence[m]], starts[sequence[m] + 1]):
            counts[columns[n]] += 1


@jit()
def list_rows_of_columns(
    starts: Array,
    columns: Array,
    values: Array,
    list_rows: Array,
    list_values: Array,
    fill: Array,
    start: int,
    stop: int,
) -> None:
    """Write, for each column, the ascending rows in [start, stop) that hold it, and their values.

    Args:
        fill: where the column's first such row is written; afterwards, where they end.
    """
    for i in range(start, stop):
        for n in range(starts[i], starts[i + 1]):
            c = columns[n]
            list_rows[fill[c]] = i
            list_values[fill[c]] = values[n]
            fill[c] += 1


@jit()
def sort_columns(
    sequence: Array,
    list_starts: Array,
    list_rows: Array,
    columns: Array,
    places: Array,
    fill: Array,
    start: int,
    stop: int,
) -> None:
    """Write, for each row, those of the columns sequence[start:stop] that it holds, and where.

    Args:
        places: where in the column's list the row stands.
        fill: where the row's first such column is written; afterwards, where they end.
    """
    for m in range(start, stop):
        c = sequence[m]
        for n in range(list_starts[c], list_starts[c + 1]):
            i = list_rows[n]
            columns[fill[i]] = c
            places[fill[i]] = n - list_starts[c]
            fill[i] += 1


@jit(inner=True)
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


@jit(inner=True)
def _add_minima(
    count: int, begins: Array, ends: Array, list_rows: Array, list_values: Array, shared: Array
) -> None:
    """shared[j] += min(V'_ic, V'_jc) for all j > i in the lists of columns c, in their order."""
    for n in range(count):
        value = list_values[begins[n]]
        for m in range(begins[n] + 1, ends[n]):
            other = list_values[m]
            shared[list_rows[m]] += other if other < value else value


@jit(inner=True)
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


@jit(inner=True)
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
        others = grown(others, used + count)
        distances = grown(distances, used + count)
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
