"""Inverted index of sparse rows: for each column, the rows that hold it."""

from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch

from common.clustering import compiled
from common.clustering.blocks import in_blocks

Array = np.ndarray

MOST_SHARES = 8  # of the rows; what is counted for one takes 12 bytes for each of all N


class InvertedIndex(NamedTuple):
    """A square sparse matrix by rows, and by columns.

    Args:
        starts: (N + 1,) int64; row i has the entries starts[i] to starts[i + 1].
        columns: (E,) int32 column of each entry.
        places: (E,) int32 where in its column's list the entry stands.
        list_starts: (N + 1,) int64; column c has the list list_starts[c] to list_starts[c + 1].
        list_rows: (E,) int32 rows of each list, ascending.
        list_values: (E,) float32, their values.
    """

    starts: Array
    columns: Array
    places: Array
    list_starts: Array
    list_rows: Array
    list_values: Array


def inverted_index(starts: Array, columns: Array, values: Array, sequence: Array) -> InvertedIndex:
    """The index of sparse rows; each row's entries come in another order.

    Args:
        starts, columns, values: as in `SparseRows`.
        sequence: (N,) int32 the order in which a row shall have its columns.
    """
    minima = compiled.minima
    share = -(-len(sequence) // min(torch.get_num_threads(), MOST_SHARES))
    list_rows, list_values = np.empty_like(columns), np.empty_like(values)
    lists = (starts, columns, values, list_rows, list_values)
    counts = _counts(np.arange(len(sequence), dtype=sequence.dtype), starts, columns, share)
    list_starts = starts_of(np.sum(counts, axis=0))
    _fill(lambda *where: minima.list_rows_of_columns(*lists, *where), list_starts, counts, share)
    ordered, places = np.empty_like(columns), np.empty_like(columns)
    turned = (sequence, list_starts, list_rows, ordered, places)
    counts = _counts(sequence, list_starts, list_rows, share)
    _fill(lambda *where: minima.sort_columns(*turned, *where), starts, counts, share)
    return InvertedIndex(starts, ordered, places, list_starts, list_rows, list_values)


def starts_of(counts: Array) -> Array:
    """[2, 0, 3] -> [0, 2, 2, 5]."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def _counts(sequence: Array, starts: Array, columns: Array, share: int) -> list[Array]:
    """For each `share` of the rows in `sequence`, how many hold each column: (N,) int32."""

    def count(start: int, stop: int) -> Array:
        counts = np.zeros(len(sequence), np.int32)
        compiled.minima.count_entries(sequence, starts, columns, counts, start, stop)
        return counts

    return in_blocks(count, len(sequence), share)


def _fill(
    write: Callable[[Array, int, int], None], starts: Array, counts: list[Array], share: int
) -> None:
    """Let each thread write its share of a transposed matrix behind the shares before it.

    Args:
        write: given where its share of each row begins, (N,), and its first and last row read.
        starts: (N + 1,) where the rows of the transposed matrix begin.
        counts: of each share the entries in these rows.
    """
    begins = list(accumulate(counts[:-1], initial=starts[:-1].copy()))
    in_blocks(lambda a, b: write(begins[a // share], a, b), len(starts) - 1, share)
