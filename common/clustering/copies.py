"""Rows that equal earlier ones, bit by bit: of many copies few need a search of their own."""

import torch
from torch import Tensor

from common.clustering.similarity import rows_per_chunk

SEED = 0


def earlier_copies(features: Tensor) -> tuple[Tensor, Tensor]:
    """The first copy of every row, and how many copies come before it.

    Rows are compared with the first one of their checksum. Of those that only share the
    checksum each counts as the first of its own kind, so no row is ever taken for another.

    Args:
        features: (N, D) float32.

    Returns:
        first (N,) int64 row, number (N,) int64: [a, b, a, a] -> [0, 1, 0, 0], [0, 0, 1, 2].
    """
    index = torch.arange(len(features), device=features.device)
    kinds, kind = torch.unique(_checksums(features), return_inverse=True)
    first = kinds.new_full(kinds.shape, len(features)).scatter_reduce(0, kind, index, "amin")[kind]
    for rows in torch.nonzero(first < index).ravel().split(rows_per_chunk(features)):
        differ = (features[rows] != features[first[rows]]).any(dim=1)
        first[rows[differ]] = rows[differ]
    order = first.argsort(stable=True)
    ordered = first[order]
    number = torch.empty_like(first)
    number[order] = index - torch.searchsorted(ordered, ordered)
    return first, number


def _checksums(features: Tensor) -> Tensor:
    """(N,) int64: sums of the rows' bits times fixed random numbers, modulo 2^64."""
    generator = torch.Generator().manual_seed(SEED)
    factors = torch.randint(2**62, features.shape[1:], generator=generator).to(features.device)
    chunks = features.split(rows_per_chunk(features))
    return torch.cat([(rows.view(torch.int32) * factors).sum(dim=1) for rows in chunks])
