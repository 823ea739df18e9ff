"""The inverted index of sparse rows against SciPy's transposed matrix."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from common.clustering import compiled

if compiled.AVAILABLE:
    from common.clustering.inverted_index import inverted_index
else:
    pytest.skip("numba cannot be used", allow_module_level=True)

SIZE = 300


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    dense = rng.random((SIZE, SIZE), np.float32) * (rng.random((SIZE, SIZE)) < 0.05)
    dense[17] = dense[:, 5] = 0  # a row and a column without entries
    matrix = csr_array(dense)
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data


@pytest.fixture(params=[1, 2, 3, 7, SIZE + 1])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_lists_hold_the_ascending_rows_of_each_column_with_any_number_of_threads(rows, threads):
    starts, columns, values = rows
    index = inverted_index(*rows, np.arange(SIZE, dtype=np.int32))
    expected = csr_array((values, columns, starts), shape=(SIZE, SIZE)).tocsc()
    assert np.array_equal(index.list_starts, expected.indptr)
    assert np.array_equal(index.list_rows, expected.indices)
    assert np.array_equal(index.list_values, expected.data)


def test_rows_name_their_columns_in_the_wanted_order_and_their_places_in_the_lists(rows, threads):
    starts, columns, values = rows
    sequence = np.random.default_rng(1).permutation(SIZE).astype(np.int32)
    turn = np.argsort(sequence)
    index = inverted_index(*rows, sequence)
    for i in range(SIZE):
        here = slice(starts[i], starts[i + 1])
        wanted = sorted(zip(columns[here], values[here], strict=True), key=lambda e: turn[e[0]])
        places = index.list_starts[index.columns[here]] + index.places[here]
        assert index.columns[here].tolist() == [column for column, _ in wanted]
        assert index.list_values[places].tolist() == [value for _, value in wanted]
        assert (index.list_rows[places] == i).all()
