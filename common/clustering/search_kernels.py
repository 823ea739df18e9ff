"""Compiled kernels of the neighbour search: running lists of candidates, exact re-ranking.

Blocks of similarities arrive as the bits of bfloat16 (int16) or float32 (int32) numbers. For
numbers that are not negative the bits order like the numbers, so a block is compared with
the rows' bounds without converting it; only the few hits are converted.
"""

import numpy as np
from numba import njit

STRIDE = 128  # similarities compared at once before looking for single hits


@njit(cache=True, nogil=True, inline="always")
def _ordered(bits, magnitude):
    """Integer that orders like the floating-point number with these bits."""
    return bits if bits >= 0 else bits ^ magnitude


@njit(cache=True, nogil=True)
def _keep_largest(keys, ids, count, keep):
    """Move the `keep` largest of the first `count` keys to the front; return the smallest kept."""
    low, high, last = 0, count - 1, keep - 1
    while low < high:
        pivot = keys[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while keys[i] > pivot:
                i += 1
            while keys[j] < pivot:
                j -= 1
            if i <= j:
                keys[i], keys[j] = keys[j], keys[i]
                ids[i], ids[j] = ids[j], ids[i]
                i += 1
                j -= 1
        if last <= j:
            high = j
        elif last >= i:
            low = i
        else:
            break
    return keys[last]


@njit(cache=True, nogil=True)
def _push(keys, ids, counts, bounds, keep, row, column, key):
    """Add a candidate to a row's list; a full list is cut to its `keep` best."""
    count = counts[row]
    keys[row, count] = key
    ids[row, count] = column
    count += 1
    if count == keys.shape[1]:
        bounds[row] = _keep_largest(keys[row], ids[row], count, keep)
        count = keep
    counts[row] = count


@njit(cache=True, nogil=True)
def merge_rows(block, top, left, keys, ids, counts, bounds, keep, start, stop):
    """Offer similarities [start:stop] x all of `block` to the lists of the block's rows.

    Args:
        block: (B, B') bits; entry (r, c) belongs to the points top + r and left + c.
        keys, ids: (N, 2 keep) lists; counts: (N,) used entries; bounds: (N,) key that a
            candidate must exceed. All four change in place, in the named rows only.
    """
    magnitude = (1 << (8 * block.itemsize - 1)) - 1  # all bits but the sign
    width = block.shape[1]
    for r in range(start, stop):
        row = top + r
        for begin in range(0, width, STRIDE):
            end = min(begin + STRIDE, width)
            bound = bounds[row]
            hit = bound < 0
            for c in range(begin, end):
                hit |= block[r, c] > bound
            if hit:
                for c in range(begin, end):
                    key = _ordered(block[r, c], magnitude)
                    if key > bounds[row] and left + c != row:
                        _push(keys, ids, counts, bounds, keep, row, left + c, key)


@njit(cache=True, nogil=True)
def merge_columns(block, top, left, keys, ids, counts, bounds, keep, start, stop):
    """The same for the columns [start:stop] of a block off the diagonal."""
    magnitude = (1 << (8 * block.itemsize - 1)) - 1
    for begin in range(start, stop, STRIDE):
        end = min(begin + STRIDE, stop)
        limit = bounds[left + begin : left + end]
        signed = True
        for r in range(block.shape[0]):
            if signed:
                signed = False
                for c in range(end - begin):
                    signed |= limit[c] < 0
            hit = signed
            for c in range(end - begin):
                hit |= block[r, begin + c] > limit[c]
            if hit:
                for c in range(end - begin):
                    key = _ordered(block[r, begin + c], magnitude)
                    if key > limit[c]:
                        _push(keys, ids, counts, bounds, keep, left + begin + c, top + r, key)


@njit(cache=True, nogil=True)
def finish(keys, ids, counts, bounds, keep, start, stop):
    """Cut every list to its `keep` best."""
    for row in range(start, stop):
        if counts[row] > keep:
            bounds[row] = _keep_largest(keys[row], ids[row], counts[row], keep)
            counts[row] = keep


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def similarity(features, i, j):
    """Inner product of two rows: summed in float64, rounded to float32, equal for (j, i)."""
    total = 0.0
    for d in range(features.shape[1]):
        total += np.float64(features[i, d]) * np.float64(features[j, d])
    return np.float32(total)


@njit(cache=True, nogil=True)
def rerank(features, ids, counts, rank, ranked, start, stop):
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


@njit(cache=True, nogil=True)
def pair_similarities(features, first, second, out, start, stop):
    """Similarity of the pairs (first[n], second[n])."""
    for n in range(start, stop):
        out[n] = similarity(features, first[n], second[n])
