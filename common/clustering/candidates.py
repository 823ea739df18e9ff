"""Candidates for the nearest neighbours from a fast product, with a bound on what it misses.

Blocks of the similarity matrix, never all of it. Where the kernels are compiled, only the
upper triangle: each block serves the lists of its rows and of its columns. Elsewhere whole
rows and torch's top-k.

bfloat16: with b_i the rounded row and e_i = |f_i - b_i|, by Cauchy-Schwarz
|<f_i, f_j> - <b_i, b_j>| <= e_i |f_j| + |b_i| e_j, plus the rounding of the float32 sum
(D units in the last place at most) and of the output.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from common.clustering import compiled
from common.clustering.blocks import in_blocks

BLOCK = 2048  # points per side of a block: 8 MB of bfloat16 similarities
ROW_BLOCK_BYTES = 32 << 20  # of whole rows of similarities, without compiled kernels
DEVICE_ROW_BLOCK_BYTES = 2 << 30
SPARE = 18  # candidates beyond the wanted neighbours
SAMPLE = 32  # rows tried before bfloat16 is chosen
SAMPLE_PROVED = 0.8  # share of them that must get a proof
FLOAT32_ROUNDING = 2.0**-24
BFLOAT16_ROUNDING = 2.0**-9


@dataclass(frozen=True)
class Candidates:
    """Rows that may be among the nearest; a row is not listed as a candidate of its own.

    Args:
        ids: (N, M) int32; the first counts[i] entries of row i count.
        counts: (N,) int32.
        limit: (N,) float32; whatever is not listed has at most this similarity.
    """

    ids: Tensor
    counts: Tensor
    limit: Tensor


def propose(features: Tensor, k: int) -> Candidates:
    """At least k - 1 candidates for each row of (N, D) unit features."""
    keep = min(k - 1 + SPARE, len(features) - 1)
    dtype = torch.bfloat16 if bfloat16_pays(features, k, keep) else torch.float32
    if keep == 0:
        none = torch.zeros(len(features), 0, dtype=torch.int32, device=features.device)
        return Candidates(none, none.sum(1, dtype=torch.int32), none.sum(1) - torch.inf)
    if compiled.usable(features):
        return from_triangle(features, keep, dtype)
    return from_rows(features, keep, dtype)


def bfloat16_pays(features: Tensor, k: int, keep: int) -> bool:
    """Whether bfloat16 products are fast here and would prove nearly all rows.

    A few rows are searched in float32 first. Where the similarities lie too close together
    for bfloat16, most rows would have to be searched a second time.
    """
    if not has_fast_bfloat16(features.device) or keep < k or k < 2:
        return False
    some = features[:: -(-len(features) // SAMPLE)]
    largest = _product(some, features).topk(keep + 1, dim=1).values  # the row itself among them
    _, change = _rounded(some, torch.bfloat16)
    proved = largest[:, k - 1] > _limit(features, largest[:, keep], change, torch.bfloat16)
    return bool(proved.float().mean() > SAMPLE_PROVED)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices faster than float32 ones."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    able = torch.cpu.get_capabilities()
    return any(able.get(name) for name in ("avx512_bf16", "amx_bf16"))


def float32_error(features: Tensor) -> float:
    """Largest error of a float32 product of unit rows, under torch's precision settings."""
    error = 1.01 * (features.shape[1] + 4) * FLOAT32_ROUNDING
    cpu = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    backends = (torch.backends, torch.backends.cuda.matmul, cpu)
    if any(backend.fp32_precision not in ("none", "ieee") for backend in backends):
        error += 2.02 * BFLOAT16_ROUNDING  # inputs may be rounded, to bfloat16 at the coarsest
    return error


def _product(rows: Tensor, columns: Tensor) -> Tensor:
    """rows @ columns.T; a GPU would add partial sums of bfloat16 products in bfloat16."""
    if rows.device.type == "cuda" and rows.dtype == torch.bfloat16:
        return torch.mm(rows, columns.T, out_dtype=torch.float32)
    return rows @ columns.T


def _rounded(features: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Rows in the product's number format, and the length of the change of each row."""
    rounded = features.to(dtype)
    if dtype == torch.float32:
        return rounded, torch.zeros(len(features), device=features.device)
    return rounded, torch.linalg.vector_norm(features - rounded.float(), dim=1)


def _limit(features: Tensor, largest_missed: Tensor, change: Tensor, dtype: torch.dtype) -> Tensor:
    """Upper bound of the similarity of rows that were not proposed."""
    error = 1.01 * (change + change.max()) + float32_error(features)
    if dtype == torch.bfloat16:
        error = error + BFLOAT16_ROUNDING * largest_missed.abs()
    return largest_missed + error


def from_triangle(features: Tensor, keep: int, dtype: torch.dtype) -> Candidates:
    """Candidates from the blocks on and above the diagonal."""
    size = len(features)
    bits = torch.int16 if dtype == torch.bfloat16 else torch.int32
    lists = _Lists(size, keep, bits)
    change = torch.empty(size)
    buffer = torch.empty(min(BLOCK, size) ** 2, dtype=dtype)
    for top in range(0, size, BLOCK):
        rows, change[top : top + BLOCK] = _rounded(features[top : top + BLOCK], dtype)
        for left in range(top, size, BLOCK):
            columns = rows if left == top else features[left : left + BLOCK].to(dtype)
            block = buffer[: len(rows) * len(columns)].view(len(rows), len(columns))
            torch.mm(rows, columns.T, out=block)
            lists.merge(block.view(bits), top, left)
    return Candidates(*lists.finish(), _limit(features, lists.missed(dtype), change, dtype))


class _Lists:
    """Running lists of the `keep` best candidates of every point, as the kernels change them."""

    def __init__(self, size: int, keep: int, bits: torch.dtype) -> None:
        self.keep = keep
        self.keys = torch.empty(size, 2 * keep, dtype=bits)
        self.ids = torch.empty(size, 2 * keep, dtype=torch.int32)
        self.counts = torch.zeros(size, dtype=torch.int32)
        self.bounds = torch.full((size,), torch.iinfo(bits).min, dtype=bits)
        lists = (self.keys, self.ids, self.counts, self.bounds)
        self.arrays = (*(tensor.numpy() for tensor in lists), keep)

    def merge(self, block: Tensor, top: int, left: int) -> None:
        rows, columns = block.shape
        work = (block.numpy(), top, left, *self.arrays)
        share = BLOCK // torch.get_num_threads()
        in_blocks(lambda a, b: compiled.search.merge_rows(*work, a, b), rows, share)
        if left > top:
            in_blocks(lambda a, b: compiled.search.merge_columns(*work, a, b), columns, share)

    def finish(self) -> tuple[Tensor, Tensor]:
        in_blocks(lambda a, b: compiled.search.finish(*self.arrays, a, b), len(self.counts))
        return self.ids, self.counts

    def missed(self, dtype: torch.dtype) -> Tensor:
        """Largest similarity that is not in the list, as computed; -inf where none is missing."""
        magnitude = torch.iinfo(self.bounds.dtype).max
        bits = torch.where(self.bounds < 0, self.bounds ^ magnitude, self.bounds)
        none = self.bounds == torch.iinfo(self.bounds.dtype).min
        return bits.view(dtype).float().masked_fill(none, -torch.inf)


def from_rows(features: Tensor, keep: int, dtype: torch.dtype) -> Candidates:
    """Candidates from whole rows of the similarity matrix, some rows at a time."""
    size = len(features)
    rounded, change = _rounded(features, dtype)
    ids = torch.empty(size, keep, dtype=torch.int32, device=features.device)
    missed = torch.full((size,), -torch.inf, device=features.device)
    limit = ROW_BLOCK_BYTES if features.device.type == "cpu" else DEVICE_ROW_BLOCK_BYTES
    for rows in torch.arange(size, device=features.device).split(max(1, limit // (4 * size))):
        block = _product(rounded[rows], rounded)
        block[torch.arange(len(rows), device=rows.device), rows] = -torch.inf
        largest, columns = block.topk(keep, dim=1)
        ids[rows] = columns.int()
        if keep < size - 1:
            missed[rows] = largest[:, -1].float()
    counts = torch.full((size,), keep, dtype=torch.int32, device=features.device)
    return Candidates(ids, counts, _limit(features, missed, change, dtype))
