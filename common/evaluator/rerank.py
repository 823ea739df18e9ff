"""k-reciprocal re-ranking of retrieval distances."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from common.errors import UserError

ROWS = 512  # rows of the full distance matrix held at once
QUERIES = 32  # queries whose shared neighbours are summed at once

Stripes = Callable[[], Iterable[Tensor]]


@torch.no_grad()
def rerank(
    q_g: Tensor,
    q_q: Tensor,
    g_g: Tensor,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
) -> Tensor:
    """Mix the distances with the Jaccard distance of k-reciprocal neighbourhoods.

        A_ij    = d_ji^2 / max_l d_li^2
        R(i, k) = those j among the first k + 1 of row i that have i among their first k + 1
        S_i     = R(i, k1), joined by every R(j, h), j in R(i, k1), with more than 2/3 in R(i, k1)
        V_ij    = exp(-A_ij) / sum over S_i;  then the mean of V over the first k2 of row i
        result  = (1 - lambda) (1 - s / (2 - s)) + lambda A,   s_ij = sum_l min(V_il, V_jl)

    with h = k1 / 2 rounded half to even. Zhong et al., 2017 (arXiv:1701.08398), as released: the
    distances d are *squared* Euclidean ones and are squared once more, and the neighbourhoods
    hold k + 1 images, self included, where those of the clustering distance hold k. Equal
    distances are ranked by position. The published tables of the seven methods do not use it.

    Args:
        q_g, q_q, g_g: (Q, G), (Q, Q), (G, G) squared Euclidean distances.
        k1: neighbours of the reciprocal sets.
        k2: neighbours of the query expansion; 1 leaves it out.
        lambda_value: share of the original distance in the result, in [0, 1].

    Returns:
        (Q, G) float32 on the device of `q_g`; not clamped, rounding can make it negative.

    Raises:
        UserError: a setting out of range.
    """
    if k1 < 1 or k2 < 1 or not 0 <= lambda_value <= 1:
        raise UserError(
            f"re-ranking with k1={k1}, k2={k2}, lambda={lambda_value} is not defined. "
            "Choose k1 >= 1, k2 >= 1 and lambda between 0 and 1."
        )
    qg, qq, gg = (matrix.float().cpu() for matrix in (q_g, q_q, g_g))

    def stripes() -> Iterator[Tensor]:
        yield from _normalized(qq.T, qg)
        yield from _normalized(qg.T, gg.T)

    nearest = np.concatenate([_nearest(rows, max(k1 + 1, k2)) for rows in stripes()])
    weights = _weights(stripes, _expanded(nearest, k1))
    if k2 > 1:
        weights = _row_means(weights, nearest[:, :k2])
    shared = _shared(weights[: len(qg)], weights[len(qg) :].tocsc())
    original = torch.cat([rows[:, len(qq) :] for rows in _normalized(qq.T, qg)])
    jaccard = 1 - shared / (2 - shared)
    return torch.lerp(jaccard, original, lambda_value).to(q_g.device)


def _normalized(left: Tensor, right: Tensor) -> Iterator[Tensor]:
    """Rows of A, some at a time, from the two halves of the rows of d."""
    for start in range(0, len(left), ROWS):
        part = slice(start, start + ROWS)
        rows = torch.cat([left[part], right[part]], dim=1).square_()
        largest = rows.amax(dim=1, keepdim=True)
        yield rows.div_(largest.where(largest > 0, 1))


def _nearest(rows: Tensor, k: int) -> np.ndarray:
    """(B, k) columns of the k smallest entries of every row, by (value, column)."""
    k = min(k, rows.shape[1])
    limit = rows.topk(k, largest=False).values.amax(dim=1, keepdim=True)
    row, column = (rows <= limit).nonzero(as_tuple=True)  # more than k where the k-th is tied
    order = np.lexsort((rows[row, column].numpy(), row.numpy()))
    start = np.searchsorted(row.numpy(), np.arange(len(rows)))
    return column.numpy()[order[start[:, None] + np.arange(k)]]


def _neighbours(nearest: np.ndarray) -> sparse.csr_array:
    """(N, N) with a one for every neighbour in the lists (N, k)."""
    n, k = nearest.shape
    ones = np.ones(n * k, np.int32)
    return sparse.csr_array((ones, nearest.ravel(), np.arange(n + 1) * k), shape=(n, n))


def _reciprocal(nearest: np.ndarray, k: int) -> sparse.csr_array:
    """R(i, k) as the rows of a 0/1 matrix (N, N)."""
    forward = _neighbours(nearest[:, : k + 1])
    return forward.multiply(forward.T).tocsr()


def _expanded(nearest: np.ndarray, k1: int) -> sparse.csr_array:
    """S_i as the non-zeros of row i (N, N)."""
    full, half = _reciprocal(nearest, k1), _reciprocal(nearest, round(k1 / 2))
    joined = full.multiply(full @ half.T).tocsr()  # |R(j, h) and R(i, k1)| for j in R(i, k1)
    size = np.diff(half.indptr)
    joined.data = (joined.data > 2 / 3 * size[joined.indices]).astype(np.int32)
    return full + joined @ half


def _weights(stripes: Stripes, members: sparse.csr_array) -> sparse.csr_array:
    """V before the query expansion: exp(-A) on the members, every row summing to one."""
    members.eliminate_zeros()
    row = np.repeat(np.arange(members.shape[0]), np.diff(members.indptr))
    values, start = [], 0
    for rows in stripes():
        entries = slice(*members.indptr[[start, start + len(rows)]])
        values.append(rows.numpy()[row[entries] - start, members.indices[entries]])
        start += len(rows)
    weight = np.exp(-np.concatenate(values))
    weight /= np.bincount(row, weights=weight)[row].astype(np.float32)
    return sparse.csr_array((weight, members.indices, members.indptr), shape=members.shape)


def _row_means(weights: sparse.csr_array, nearest: np.ndarray) -> sparse.csr_array:
    """The mean of the rows listed for every row."""
    return _neighbours(nearest).astype(np.float32) @ weights / np.float32(nearest.shape[1])


def _shared(queries: sparse.csr_array, gallery: sparse.csc_array) -> Tensor:
    """s_ij = sum_l min(V_il, V_jl) of every query and gallery image, (Q, G) float32."""
    size = gallery.shape[0]
    result = torch.empty(queries.shape[0], size)
    for start in range(0, len(result), QUERIES):
        block = queries[start : start + QUERIES]
        count = np.diff(gallery.indptr)[block.indices]  # gallery images that share neighbour l
        begin = gallery.indptr[block.indices] - (count.cumsum() - count)
        entry = np.arange(count.sum()) + np.repeat(begin, count)
        row = np.repeat(np.arange(block.shape[0]) * size, np.diff(block.indptr))
        least = np.minimum(np.repeat(block.data, count), gallery.data[entry])
        cell = np.repeat(row, count) + gallery.indices[entry]
        sums = np.bincount(cell, weights=least, minlength=block.shape[0] * size)
        result[start : start + QUERIES] = torch.from_numpy(sums.reshape(-1, size))
    return result
