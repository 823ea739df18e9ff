"""Retrieval scores: mAP and CMC of queries against a gallery, a block of queries at a time."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from common.data.check import has_match
from common.errors import UserError
from common.team import ALONE, Team
from common.types import Retrieval, Samples

CPU_ENTRIES, GPU_ENTRIES = 2**21, 2**25  # distances held at once: 8 MB, 128 MB
THIN = 64  # rows: a thinner matrix product is slow, so a CPU holds more up to the GPU's number
CPU_PIECE = 2048  # gallery rows in a product
SHARES = 16  # blocks at least, so that several processes can share them out


@torch.no_grad()
def distances(query: Tensor, gallery: Tensor) -> Tensor:
    """Squared Euclidean distances of all pairs.

        d(q, g) = |q|^2 + |g|^2 - 2 q . g

    Not clamped: rounding can leave tiny negative values. For unit rows the order is that of
    the cosine.

    Args:
        query: (Q, D).
        gallery: (G, D).

    Returns:
        (Q, G) float32.
    """
    return _distances(query, gallery, _squared_norms(gallery))


@torch.no_grad()
def evaluate(
    query_features: Tensor,
    query: Samples,
    gallery_features: Tensor,
    gallery: Samples,
    *,
    ranks: int = 50,
    team: Team = ALONE,
) -> Retrieval:
    """mAP and CMC by the Market-1501 protocol.

    A gallery image with the query's identity *and* camera is ignored; everything else counts,
    distractors included. A query without a match in what remains is left out of the means.

        AP  = sum_n (R_n - R_{n-1}) P_n   over the distinct distances n, ascending
        CMC@k = share of queries whose first match stands at rank <= k

    AP is not interpolated and images at equal distance enter together, as in scikit-learn's
    `average_precision_score`; the trapezoid AP of the Market-1501 toolbox differs slightly.
    For CMC, images at equal distance stand in gallery order; the released codes leave that
    order to an unstable sort.

    Args:
        query_features, gallery_features: (Q, D), (G, D) on one device, which does the work.
        query, gallery: identities and cameras of the rows.
        ranks: R, length of the CMC.
        team: all have the same features. Each scores a part of the blocks, which are those of
            one process, so that the result is one process's to the last bit.

    Raises:
        UserError: no query has a match, or a feature is not finite.
        ValueError: not one row for each image.
    """
    norms = require_scorable(query_features, query, gallery_features, gallery)
    size = _block_size(query, gallery, gallery_features.device)

    def rows(part: slice) -> Tensor:
        return _distances(query_features[part], gallery_features, norms)

    return _evaluate(rows, query, gallery, ranks, size, team)


@torch.no_grad()
def evaluate_distances(
    matrix: Tensor,
    query: Samples,
    gallery: Samples,
    *,
    ranks: int = 50,
) -> Retrieval:
    """The scores of `evaluate` for given distances (Q, G), e.g. re-ranked ones.

    Raises:
        UserError: no query has a match, or a distance is not finite.
        ValueError: the distances are not Q x G.
    """
    _require_match(query, gallery)
    for rows, part in zip(matrix.shape, (query, gallery), strict=True):
        require_rows(rows, part)
    if bad := int((~matrix.isfinite()).any(dim=1).sum()):
        raise UserError(f"{bad} of {len(matrix)} queries have a distance that is not finite.")
    size = _block_size(query, gallery, matrix.device)

    def copied(part: slice) -> Tensor:
        return matrix[part].clone(memory_format=torch.contiguous_format)

    return _evaluate(copied, query, gallery, ranks, size, ALONE)


@torch.no_grad()
def score_(matrix: Tensor, query: Samples, gallery: Samples) -> tuple[Tensor, Tensor]:
    """Average precision and rank of the first match of every query.

    Only the ranks of the matches are needed, and those are counts of smaller distances: the
    rows are sorted as plain values, without carrying the gallery's order along.

    Args:
        matrix: (B, G) distances; overwritten.
        query, gallery: B and G samples.

    Returns:
        precision (B,) float64, first (B,) int64 from 1; both 0 where no match is left.
    """
    rows, cols, counts = _remove_junk_(matrix, query, gallery)
    slot = torch.arange(len(rows), device=matrix.device) - (counts.cumsum(0) - counts)[rows]
    matches = matrix.new_full((len(counts), max(1, int(counts.max()))), torch.inf)
    column = torch.full_like(matches, matrix.shape[1], dtype=torch.int64)
    matches[rows, slot], column[rows, slot] = matrix[rows, cols], cols

    nearest = matches.amin(dim=1, keepdim=True)
    column = column.where(matches == nearest, matrix.shape[1]).amin(dim=1)
    row, tied = (matrix == nearest).nonzero(as_tuple=True)
    tied_before = torch.bincount(row[tied < column[row]], minlength=len(matrix))

    matches = matches.sort(dim=1).values
    matrix = _sorted_rows_(matrix)
    first = 1 + torch.searchsorted(matrix, nearest).squeeze(1) + tied_before
    matches_up_to = torch.searchsorted(matches, matches, right=True)
    images_up_to = torch.searchsorted(matrix, matches, right=True)
    precision = matches_up_to.double() / images_up_to
    precision[matches == torch.inf] = 0.0
    # Added up one by one, so that the sum does not depend on the width of the block.
    precision = precision.cumsum(dim=1)[:, -1] / counts.clamp(min=1)
    return precision, first.where(counts > 0, 0)


@torch.no_grad()
def ranked(
    query_features: Tensor,
    query: Samples,
    gallery_features: Tensor,
    gallery: Samples,
    which: np.ndarray,
    top: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest gallery images of some queries, images of the same identity and camera removed.

    Args:
        which: (n,) positions of the queries.
        top: length of the lists.

    Returns:
        indices (n, top) int64 positions in the gallery, nearest first, -1 where the gallery is
        used up; correct (n, top) bool, whether the identity is the query's.
    """
    indices = np.full((len(which), top), -1)
    norms = _squared_norms(gallery_features)
    chosen = query.take(which)
    features = query_features[torch.as_tensor(which, device=query_features.device)]
    size = _block_size(chosen, gallery, gallery_features.device)
    for part in _slices(len(chosen), size):
        matrix = _distances(features[part], gallery_features, norms)
        _remove_junk_(matrix, chosen.take(part), gallery)
        values, order = matrix.sort(dim=1, stable=True)
        nearest = order.where(values < torch.inf, -1)[:, :top]
        indices[part, : nearest.shape[1]] = nearest.cpu().numpy()
    correct = (gallery.pids[indices] == chosen.pids[:, None]) & (indices >= 0)
    return indices, correct


def _evaluate(
    rows: Callable[[slice], Tensor],
    query: Samples,
    gallery: Samples,
    ranks: int,
    size: int,
    team: Team,
) -> Retrieval:
    """Scores from distances (B, G) of `size` queries at a time, which are overwritten."""
    parts = _slices(len(query), size)
    precisions = torch.zeros(len(parts), size, dtype=torch.float64, device=team.device)
    firsts = torch.zeros(len(parts), size, dtype=torch.int64, device=team.device)
    for number in team.part(len(parts)):
        chosen = query.take(parts[number])
        scored = slice(0, len(chosen))
        precision, first = score_(rows(parts[number]), chosen, gallery)
        precisions[number, scored], firsts[number, scored] = precision, first
    precision_of, first_of = (
        team.complete_(values).ravel()[: len(query)].cpu().numpy()
        for values in (precisions, firsts)
    )
    valid = first_of > 0
    return Retrieval(
        map=float(precision_of[valid].mean()),
        cmc=cumulative(first_of[valid], ranks),
        num_valid=int(valid.sum()),
    )


def cumulative(first: np.ndarray, ranks: int) -> np.ndarray:
    """(R,) share of the first ranks (counted from 1) that are at most 1, 2, .. R."""
    hits = np.bincount(first[first <= ranks], minlength=ranks + 1)[1:]
    return hits.cumsum() / len(first)


def _block_size(query: Samples, gallery: Samples, device: torch.device) -> int:
    """Queries at a time, by the data and the kind of device alone.

    A product of another shape may round otherwise, so this is no matter of how much memory is free.
    """
    entries = CPU_ENTRIES if device.type == "cpu" else GPU_ENTRIES
    fitting = max(1, max(entries, min(THIN * len(gallery), GPU_ENTRIES)) // len(gallery))
    return min(fitting, max(THIN, -(-len(query) // SHARES)))


def _slices(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]


def _distances(query: Tensor, gallery: Tensor, gallery_norms: Tensor) -> Tensor:
    """On a CPU, gallery times queries in pieces takes about half the time of the other product."""
    matrix = _squared_norms(query)[:, None] + gallery_norms
    piece = CPU_PIECE if gallery.device.type == "cpu" else max(1, len(gallery))
    for rows, out in zip(gallery.split(piece), matrix.split(piece, dim=1), strict=True):
        out.sub_((rows.float() @ query.float().T).T, alpha=2)
    return matrix


def _squared_norms(features: Tensor) -> Tensor:
    """(N,) float32; in pieces, because the squares of a whole gallery are as large as itself."""
    norms = torch.empty(len(features), device=features.device)
    for piece, out in zip(features.split(256), norms.split(256), strict=True):
        torch.sum(piece.float().square(), dim=1, out=out)
    return norms


def _remove_junk_(
    matrix: Tensor, query: Samples, gallery: Samples
) -> tuple[Tensor, Tensor, Tensor]:
    """Move images of the query's identity and camera to infinity; return what matches remain.

    Returns:
        rows, cols (P,) of the matches, row by row; counts (B,) of matches per row.
    """
    rows, cols = _same_identity(query.pids, gallery.pids)
    junk = query.cams[rows] == gallery.cams[cols]
    matrix[_on(matrix, rows[junk]), _on(matrix, cols[junk])] = torch.inf
    rows, cols = rows[~junk], cols[~junk]
    counts = np.bincount(rows, minlength=len(query))
    return _on(matrix, rows), _on(matrix, cols), _on(matrix, counts)


def _same_identity(query: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs (row, column) of equal entries, row by row; cheaper than comparing every pair.

    Only the gallery's part that the queries show is sorted: distractors may be the most of it.
    """
    shown = np.flatnonzero(np.isin(gallery, query))
    order = shown[np.argsort(gallery[shown], kind="stable")]
    begin, end = (np.searchsorted(gallery[order], query, side) for side in ("left", "right"))
    count = end - begin
    place = np.arange(count.sum()) + np.repeat(begin - (count.cumsum() - count), count)
    return np.repeat(np.arange(len(query)), count), order[place]


def _on(matrix: Tensor, values: np.ndarray) -> Tensor:
    return torch.as_tensor(values, device=matrix.device)


def _sorted_rows_(matrix: Tensor) -> Tensor:
    """Rows ascending. NumPy's vectorized sort is over ten times as fast as torch's on a CPU."""
    if matrix.device.type != "cpu":
        return matrix.sort(dim=1).values
    matrix.numpy().sort(axis=1)
    return matrix


def require_scorable(
    query_features: Tensor, query: Samples, gallery_features: Tensor, gallery: Samples
) -> Tensor:
    """Squared lengths (G,) of the gallery's features, if there is something to score.

    Raises:
        UserError: no query has a match, or a feature is not finite.
        ValueError: not one row for each image.
    """
    _require_match(query, gallery)
    require_rows(len(query_features), query)
    require_rows(len(gallery_features), gallery)
    norms = _squared_norms(gallery_features)
    _require_finite("gallery", norms)
    _require_finite("query", _squared_norms(query_features))
    return norms


def require_rows(found: int, images: Samples) -> None:
    """Stop unless there is one row for each image: of too many, others would be scored."""
    if found != len(images):
        raise ValueError(f"{found} rows for {len(images)} images")


def _require_match(query: Samples, gallery: Samples) -> None:
    if has_match(query, gallery).any():
        return
    if not len(query) or not len(gallery):
        reason = f"there are {len(query)} query and {len(gallery)} gallery images"
    elif not np.isin(query.pids, gallery.pids).any():
        reason = "the gallery shows none of the queries' identities"
    else:
        reason = "the gallery shows the queries' identities only from the query's own camera"
    raise UserError(
        f"none of the {len(query)} queries can be scored: {reason}. "
        "Check the identities and cameras of the query and gallery parts."
    )


def _require_finite(part: str, norms: Tensor) -> None:
    if bad := int((~norms.isfinite()).sum()):
        raise UserError(
            f"the features of {bad} of {len(norms)} {part} images are not finite. "
            "The network's weights have diverged: take an earlier checkpoint."
        )
