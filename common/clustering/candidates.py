"""Candidates for the nearest neighbours from a fast product, with a bound on what it misses.

Blocks of the similarity matrix, never all of it. Where the kernels are compiled, only the
upper triangle: each block serves the lists of its rows and of its columns. Elsewhere whole
rows and torch's top-k.

bfloat16: with b_i the rounded row and e_i = |f_i - b_i|, by Cauchy-Schwarz
|<f_i, f_j> - <b_i, b_j>| <= e_i |f_j| + |b_i| e_j, plus the rounding of the float32 sum and, on a
CPU, of the output. Tensor cores return the sum itself, but cut it off where others round.
"""

from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor

from common.arithmetic import has_fast_bfloat16
from common.clustering import compiled
from common.clustering.blocks import entries_on, in_blocks, in_threads, tell

BLOCK = 2048  # points per side of a block: 8 MB of bfloat16 similarities
ROW_BLOCK = 1 << 23  # similarities in whole rows without compiled kernels, 32 MB
DEVICE_ROW_BLOCK = 1 << 29
TILE = 128  # rows that a GPU multiplies at once
SPARE = {torch.bfloat16: 18, torch.float32: 8}  # candidates listed beyond those wanted
DEVICE_SPARE = 34  # there a full search of a row costs more than a thousand candidates
GROUP = 64  # columns of which at first only the largest counts
SAMPLE = 32  # rows tried before bfloat16 is chosen
SAMPLE_PROVED = 0.8  # share of them that must get a proof
FLOAT32_ROUNDING = 2.0**-24
CUT_OFF = 2.5 * FLOAT32_ROUNDING  # a product on tensor cores: see `_limit`
BFLOAT16_ROUNDING = 2.0**-8


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


def propose(features: Tensor, k: int, part: range) -> Candidates:
    """At least k - 1 candidates for the rows `part` of (N, D) unit features.

    Rows outside `part` are undefined.
    """
    dtype = torch.bfloat16 if bfloat16_pays(features, k) else torch.float32
    keep = listed(features, k, dtype)
    if keep == 0:
        none = torch.zeros(len(features), 0, dtype=torch.int32, device=features.device)
        return Candidates(none, none.sum(1, dtype=torch.int32), none.sum(1) - torch.inf)
    if compiled.usable(features):
        return from_triangle(features, keep, dtype, part)
    return from_rows(features, keep, dtype, part)


def listed(features: Tensor, k: int, dtype: torch.dtype) -> int:
    """Length of the lists: enough for nearly every row's proof."""
    spare = SPARE[dtype] if features.device.type == "cpu" else DEVICE_SPARE
    return min(k - 1 + spare, len(features) - 1)


def bfloat16_pays(features: Tensor, k: int) -> bool:
    """Whether bfloat16 products are fast here and would prove nearly all rows.

    A few rows are searched in float32 first. Where the similarities lie too close together
    for bfloat16, most rows would have to be searched a second time.
    """
    keep = listed(features, k, torch.bfloat16)
    if not has_fast_bfloat16(features.device) or keep < k or k < 2:
        return False
    some = features[:: -(-len(features) // SAMPLE)]
    largest = _product(some, features).topk(keep + 1, dim=1).values  # the row itself among them
    change = _change(some, torch.bfloat16)
    proved = largest[:, k - 1] > _limit(features, largest[:, keep], change, torch.bfloat16)
    return bool(proved.float().mean() > SAMPLE_PROVED)


def float32_error(features: Tensor) -> float:
    """Largest error of a float32 product of unit rows, under torch's precision settings."""
    error = _sum_error(features, FLOAT32_ROUNDING)
    cpu = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    backends = (torch.backends, torch.backends.cuda.matmul, cpu)
    if any(backend.fp32_precision not in ("none", "ieee") for backend in backends):
        error += 2.02 * BFLOAT16_ROUNDING  # inputs may be rounded, to bfloat16 at the coarsest
    return error


def _sum_error(features: Tensor, each: float) -> float:
    """Largest error of a sum of D products whose absolute values add up to 1."""
    return 1.01 * (features.shape[1] + 4) * each


def _product(rows: Tensor, columns: Tensor) -> Tensor:
    """rows @ columns.T; a GPU would add partial sums of bfloat16 products in bfloat16."""
    if rows.dtype == torch.bfloat16 and keeps_sums(rows.device):
        return torch.mm(rows, columns.T, out_dtype=torch.float32)
    return rows @ columns.T


def keeps_sums(device: torch.device) -> bool:
    """Whether products of bfloat16 matrices are returned as they were summed, in float32."""
    return device.type == "cuda"


def _host_product(rows: Tensor, columns: Tensor) -> Tensor:
    """rows @ columns.T on a CPU.

    On processors of AMD NumPy's library multiplies float32 up to 1.5 times as fast as torch's.
    """
    if rows.dtype == torch.float32:
        return torch.from_numpy(rows.numpy() @ columns.numpy().T)
    return rows @ columns.T


def _change(features: Tensor, dtype: torch.dtype) -> Tensor:
    """Length of what the product's number format changes in each row."""
    if dtype == torch.float32:
        return torch.zeros(len(features), device=features.device)
    changes = (rows - rows.to(dtype).float() for rows in features.split(BLOCK))
    return torch.cat([torch.linalg.vector_norm(change, dim=1) for change in changes])


def _limit(features: Tensor, largest_missed: Tensor, change: Tensor, dtype: torch.dtype) -> Tensor:
    """Upper bound of the similarity of rows that were not proposed; -inf where all were.

    Tensor cores add some four to sixteen products and the sum so far at a time, after cutting
    all but the largest off, and then the new sum, at a unit in its last place: D + D / 4 cuts of
    two roundings each.
    """
    error = 1.01 * (change + change.max()) + float32_error(features)
    if dtype == torch.bfloat16 and keeps_sums(features.device):
        error = error + _sum_error(features, CUT_OFF)
    elif dtype == torch.bfloat16:
        error = error + 1.01 * BFLOAT16_ROUNDING * largest_missed.abs()
    return torch.where(largest_missed == -torch.inf, largest_missed, largest_missed + error)


def from_triangle(features: Tensor, keep: int, dtype: torch.dtype, part: range) -> Candidates:
    """Candidates of the rows `part` with compiled kernels.

    Of the square of these rows with themselves only the blocks on and above the diagonal.
    """
    block = max(BLOCK // 4, min(BLOCK, len(part) // (4 * torch.get_num_threads())))
    own = part[::block]
    cuts = sorted({*own, *range(0, part.start, block), *range(part.stop, len(features), block)})
    stop = dict(zip(cuts, [*cuts[1:], len(features)], strict=True))
    lists = _Lists(len(features), keep, dtype, part, own)

    def search(corner: tuple[int, int]) -> None:
        top, left = corner
        rows = features[top : stop[top]].to(dtype)
        columns = rows if top == left else features[left : stop[left]].to(dtype)
        lists.merge(_host_product(rows, columns), top, left)

    near = [(top, left) for top in own for left in cuts if left >= top or left not in own]
    # Along the diagonals: threads seldom wait for each other.
    in_threads(search, sorted(near, key=lambda corner: corner[1] - corner[0]), tell)
    ids, counts, missed = lists.finish()
    limit = _limit(features, missed, _change(features, dtype), dtype)
    return Candidates(ids, counts, limit)


class _Lists:
    """Running lists of the `keep` best candidates of every point.

    Threads may merge blocks at the same time. Their order decides at most which of several
    equal candidates stays, so it cannot change what is proved.
    """

    def __init__(
        self, size: int, keep: int, dtype: torch.dtype, part: range, starts: range
    ) -> None:
        bits = torch.int16 if dtype == torch.bfloat16 else torch.int32
        self.dtype, self.part = dtype, part
        self.keys = torch.empty(size, 2 * keep, dtype=bits)
        self.ids = torch.empty(size, 2 * keep, dtype=torch.int32)
        self.counts = torch.zeros(size, dtype=torch.int32)
        self.bounds = torch.full((size,), torch.iinfo(bits).min, dtype=bits)
        lists = (self.keys, self.ids, self.counts, self.bounds)
        self.arrays = (*(tensor.numpy() for tensor in lists), keep)
        self.locks = {start: Lock() for start in starts}

    def merge(self, block: Tensor, top: int, left: int) -> None:
        """Offer the similarities of the points from `top` and from `left` to lists of the part."""
        work = (block.view(self.keys.dtype).numpy(), top, left, *self.arrays)
        with self.locks[top]:
            compiled.search.merge_rows(*work)
        if left > top and left in self.locks:
            with self.locks[left]:
                compiled.search.merge_columns(*work)

    def finish(self) -> tuple[Tensor, Tensor, Tensor]:
        """Candidates, their counts, and the largest similarity that was dropped (-inf if none)."""
        first = self.part.start
        in_blocks(
            lambda a, b: compiled.search.finish(*self.arrays, first + a, first + b), len(self.part)
        )
        kinds = torch.iinfo(self.bounds.dtype)
        bits = torch.where(self.bounds < 0, self.bounds ^ kinds.max, self.bounds)
        dropped = bits.view(self.dtype).float()
        return self.ids, self.counts, dropped.masked_fill(self.bounds == kinds.min, -torch.inf)


def rows_at_once(columns: int, device: torch.device) -> int:
    """Rows in a block of similarities, in whole tiles if they fill one."""
    entries = ROW_BLOCK if device.type == "cpu" else entries_on(device, DEVICE_ROW_BLOCK)
    rows = max(1, entries // columns)
    return rows if rows < TILE else rows - rows % TILE


def from_rows(features: Tensor, keep: int, dtype: torch.dtype, part: range) -> Candidates:
    """Candidates from whole rows of the similarity matrix, some rows at a time."""
    size = len(features)
    rounded = features.to(dtype)
    ids = torch.empty(size, keep, dtype=torch.int32, device=features.device)
    missed = torch.full((size,), -torch.inf, device=features.device)
    own = torch.arange(part.start, part.stop, device=features.device)
    blocks = own.split(rows_at_once(size, features.device))
    for done, rows in enumerate(blocks, 1):
        block = _product(rounded[rows], rounded)
        block[torch.arange(len(rows), device=rows.device), rows] = -torch.inf
        largest, columns = _largest(block, keep)
        ids[rows] = columns.int()
        if keep < size - 1:
            missed[rows] = largest[:, -1].float()
        tell(done, len(blocks))
    counts = torch.full((size,), keep, dtype=torch.int32, device=features.device)
    return Candidates(ids, counts, _limit(features, missed, _change(features, dtype), dtype))


def _largest(block: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """The largest entries of every row, falling, and their columns.

    They lie in as many groups of columns, those with the largest maxima, or in the columns that
    fill no group. To find these takes one pass over the block, where `topk` makes several.
    """
    size = block.shape[1]
    if size // GROUP < 4 * keep:
        largest, columns = block.topk(keep, dim=1)
        return largest, columns
    whole, places = size - size % GROUP, torch.arange(size, device=block.device)
    maxima = block[:, :whole].unflatten(1, (-1, GROUP)).amax(dim=2)
    chosen = maxima.topk(keep, dim=1, sorted=False).indices
    columns = (GROUP * chosen[..., None] + places[:GROUP]).flatten(1)
    columns = torch.cat([columns, places[whole:].expand(len(block), -1)], dim=1)
    largest, at = block.gather(1, columns).topk(keep, dim=1)
    return largest, columns.gather(1, at)
