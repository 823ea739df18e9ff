"""Compiled kernels of the neighbour search: running lists of candidates, exact re-ranking.

Blocks of similarities arrive as the bits of bfloat16 (int16) or float32 (int32) numbers. For
numbers that are not negative the bits order like the numbers, so a block is compared with
the rows' bounds without converting it; only the few hits are converted.
"""

import numpy as np

from common.jit import jit

Array = np.ndarray

STRIDE = 64  # similarities compared at once before looking for single hits


@jit(inner=True, inline="always")
def _ordered(bits: int, magnitude: int) -> int:
    """Integer that orders like the floating-point number with these bits."""
    return bits if bits >= 0 else bits ^ magnitude


@jit(inner=True)
def _keep_largest(keys: Array, ids: Array, row: int, count: int, keep: int) -> int:
    """Move the `keep` largest of a row's `count` keys to the front; return the smallest kept."""
    low, high, last = 0, count - 1, keep - 1
    while low < high:
        pivot = keys[row, (low + high) >> 1]
        i, j = low, high
        while i <= j:
            while keys[row, i] > pivot:
                i += 1
            while keys[row, j] < pivot:
                j -= 1
            if i <= j:
                keys[row, i], keys[row, j] = keys[row, j], keys[row, i]
                ids[row, i], ids[row, j] = ids[row, j], ids[row, i]
                i += 1
                j -= 1
        if last <= j:
            high = j
        elif last >= i:
            low = i
        else:
            break
    return keys[row, last]


@jit(inner=True)
def _fill_row(
    block: Array,
    r: int,
    c: int,
    top: int,
    left: int,
    keys: Array,
    ids: Array,
    counts: Array,
    bounds: Array,
    magnitude: int,
) -> int:
    """Offer block[r, c:] to the list of the block's row until it is full; return the next c.

    The loop over `some` compiles to vector instructions: it neither branches nor calls.
    """
    row = top + r
    bound, count = bounds[row], counts[row]
    while c < block.shape[1]:
        end = min(c + STRIDE, block.shape[1])
        some = block[r, c:end]
        hit = np.uint8(bound < 0)
        for n in range(len(some)):
            hit |= np.uint8(some[n] > bound)
        if hit:
            for n in range(len(some)):
                key = _ordered(some[n], magnitude)
                if key > bound and left + c + n != row:
                    keys[row, count] = key
                    ids[row, count] = left + c + n
                    count += 1
                    if count == keys.shape[1]:
                        counts[row] = count
                        return c + n + 1
        c = end
    counts[row] = count
    return c


@jit(inner=True)
def _fill_columns(
    block: Array,
    r: int,
    c: int,
    top: int,
    left: int,
    keys: Array,
    ids: Array,
    counts: Array,
    bounds: Array,
    magnitude: int,
) -> int:
    """Offer block[r, c:] to the lists of its columns until one is full; return the next c."""
    while c < block.shape[1]:
        end = min(c + STRIDE, block.shape[1])
        some = block[r, c:end]
        own = bounds[left + c : left + end]
        hit = np.uint8(0)
        for n in range(len(some)):
            hit |= np.uint8(some[n] > own[n]) | np.uint8(own[n] < 0)
        if hit:
            for n in range(len(some)):
                key = _ordered(some[n], magnitude)
                if key > own[n]:
                    column = left + c + n
                    count = counts[column]
                    keys[column, count] = key
                    ids[column, count] = top + r
                    counts[column] = count + 1
                    if count + 1 == keys.shape[1]:
                        return c + n + 1
        c = end
    return c


@jit(inner=True)
def _cut(keys: Array, ids: Array, counts: Array, bounds: Array, keep: int, row: int) -> None:
    """Reduce a list to its `keep` best; whatever follows must be better than all that is lost."""
    bounds[row] = _keep_largest(keys, ids, row, counts[row], keep)
    counts[row] = keep


@jit()
def merge_rows(
    block: Array,
    top: int,
    left: int,
    keys: Array,
    ids: Array,
    counts: Array,
    bounds: Array,
    keep: int,
) -> None:
    """Offer the similarities of `block` to the lists of its rows.

    Args:
        block: (B, B') bits; entry (r, c) belongs to the points top + r and left + c.
        keys, ids: (N, 2 keep) lists; counts: (N,) used entries; bounds: (N,) key that a
            candidate must exceed. All four change in place, in the named rows only.
    """
    magnitude = (1 << (8 * block.itemsize - 1)) - 1  # all bits but the sign
    for r in range(block.shape[0]):
        c = np.int64(0)  # of this type: see `jit`
        while c < block.shape[1]:
            c = _fill_row(block, r, c, top, left, keys, ids, counts, bounds, magnitude)
            if counts[top + r] == keys.shape[1]:
                _cut(keys, ids, counts, bounds, keep, top + r)


@jit()
def merge_columns(
    block: Array,
    top: int,
    left: int,
    keys: Array,
    ids: Array,
    counts: Array,
    bounds: Array,
    keep: int,
) -> None:
    """The same for the columns of a block off the diagonal."""
    magnitude = (1 << (8 * block.itemsize - 1)) - 1
    for r in range(block.shape[0]):
        c = np.int64(0)  # of this type: see `jit`
        while c < block.shape[1]:
            c = _fill_columns(block, r, c, top, left, keys, ids, counts, bounds, magnitude)
            if counts[left + c - 1] == keys.shape[1]:
                _cut(keys, ids, counts, bounds, keep, left + c - 1)


@jit()
def finish(
    keys: Array, ids: Array, counts: Array, bounds: Array, keep: int, start: int, stop: int
) -> None:
    """Cut every list to its `keep` best."""
    for row in range(start, stop):
        if counts[row] > keep:
            _cut(keys, ids, counts, bounds, keep, row)


@jit(inner=True, fastmath={"reassoc", "contract"})
def similarity(features: Array, i: int, j: int) -> np.float32:
    """Inner product of two rows: summed in float64, rounded to float32, equal for (j, i)."""
    total = 0.0
    for d in range(features.shape[1]):
        total += np.float64(features[i, d]) * np.float64(features[j, d])
    return np.float32(total)


@jit()
def rerank(
    features: Array, ids: Array, counts: Array, rank: Array, ranked: Array, start: int, stop: int
) -> None:
    """Fill rank and ranked (N, k): the point itself, then by (similarity falling, index)."""
    last = rank.shape[1] - 1
    for i in range(start, stop):
        rank[i, 0] = i
        ranked[i, 0] = similarity(features, i, i)
        filled = 0
        for n in range(counts[i] if last > 0 else 0):
            j = ids[i, n]
            s = similarity(features, i, j)
            if filled == last:
                if s < ranked[i, last] or (s == ranked[i, last] and j > rank[i, last]):
                    continue
            else:
                filled += 1
            place = filled
            while place > 1 and (
                ranked[i, place - 1] < s or (ranked[i, place - 1] == s and rank[i, place - 1] > j)
            ):
                ranked[i, place] = ranked[i, place - 1]
                rank[i, place] = rank[i, place - 1]
                place -= 1
            ranked[i, place] = s
            rank[i, place] = j


@jit()
def pair_similarities(
    features: Array, first: Array, second: Array, out: Array, start: int, stop: int
) -> None:
    """Similarity of the pairs (first[n], second[n])."""
    for n in range(start, stop):
        out[n] = similarity(features, first[n], second[n])
