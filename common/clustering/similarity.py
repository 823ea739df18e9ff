"""The similarity that decides: inner products that no block size or device can change."""

import torch
import torch.nn.functional as F
from torch import Tensor

from common.clustering import compiled
from common.clustering.blocks import entries_on, in_blocks
from common.errors import UserError

UNIT_TOLERANCE = 1e-3  # of norms that should be 1
CPU_CHUNK = 1 << 20  # numbers in rows gathered at once, 4 MB: they stay in the cache
DEVICE_CHUNK = 1 << 28  # 1 GB
NORMALIZED = 4096  # rows divided by their lengths at once


def check_unit_rows(features: Tensor) -> None:
    """Stop unless features are (N, D) finite float32 rows of unit length.

    Raises:
        ValueError: another shape or type.
        UserError: rows that are not finite or not of unit length.
    """
    if features.ndim != 2 or not len(features) or features.dtype != torch.float32:
        shape = tuple(features.shape)
        raise ValueError(f"expected (N, D) float32 features, got {shape} {features.dtype}.")
    lengths = torch.linalg.vector_norm(features, dim=1)
    bad = torch.nonzero(~((lengths - 1).abs() <= UNIT_TOLERANCE)).ravel()  # NaN counts as bad
    if not len(bad):
        return
    said = f"the first of them in row {int(bad[0])}"
    if not lengths[bad].any():
        raise UserError(
            f"{len(bad)} of {len(features)} features are zero, {said}: the network finds nothing "
            "in these images. Choose a larger encoder.height and encoder.width."
        )
    raise UserError(
        f"{len(bad)} of {len(features)} features are not finite unit vectors, {said}. Either the "
        "network's weights have diverged (take an earlier checkpoint), or the features were not "
        "divided by their lengths."
    )


def unit_rows(features: Tensor) -> Tensor:
    """(N, D) float32 rows divided by their lengths; in float64 and rounded once, on any device."""
    unit = torch.empty(features.shape, device=features.device)
    for rows, out in zip(features.split(NORMALIZED), unit.split(NORMALIZED), strict=True):
        out.copy_(F.normalize(rows.double(), dim=1))
    return unit


def pair_similarities(features: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """(P,) float32 inner products of rows `first` and `second`.

    Summed in float64 and rounded once. A float32 sum depends on how a library splits it, so
    exact duplicates could get different values in different blocks of one product.
    """
    out = torch.empty(len(first), dtype=torch.float32, device=features.device)
    if compiled.usable(features):
        arrays = (features.numpy(), first.numpy(), second.numpy(), out.numpy())
        in_blocks(lambda a, b: compiled.search.pair_similarities(*arrays, a, b), len(first))
        return out
    for chunk in torch.arange(len(first), device=features.device).split(rows_per_chunk(features)):
        left = features[first[chunk]].double()
        out[chunk] = (left * features[second[chunk]]).sum(dim=1).float()
    return out


def rows_per_chunk(features: Tensor, per_row: int = 1) -> int:
    """How many times `per_row` feature rows may be gathered at once."""
    device = features.device
    limit = CPU_CHUNK if device.type == "cpu" else entries_on(device, DEVICE_CHUNK)
    return max(1, limit // (per_row * features.shape[1]))
