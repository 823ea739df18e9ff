"""Approximate neighbours by an inverted file of faiss, with their recall on a sample.

K-means groups the rows into cells; only the cells nearest to a row are looked at. What they hold is
ranked in the arithmetic of the exact search, so with all cells looked at the two are equal.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from common.clustering.candidates import SPARE, Candidates, float32_error
from common.clustering.neighbors import (
    Neighbors,
    from_candidates,
    nearest_neighbors,
    search_in_full,
)
from common.clustering.similarity import check_unit_rows
from common.errors import UserError
from common.recipe import Approximate, Search
from common.team import ALONE, Team

TRAINED_PER_CELL = 40  # rows from which k-means finds a centre
SAMPLE = 1000  # rows searched exactly to measure the recall
QUERIES = 1 << 16  # rows searched at once


def find_neighbors(features: Tensor, k: int, search: Search, team: Team = ALONE) -> Neighbors:
    """The k nearest rows of each row, exactly or as far as the search finds them.

    Args:
        team: each has the same index and looks up a part of the rows.

    Raises:
        UserError: the share is out of range, or faiss cannot be imported.
    """
    if not isinstance(search, Approximate):
        return nearest_neighbors(features, k, team)
    features = features.detach().contiguous()
    check_unit_rows(features)
    k = min(k, len(features))
    proposed = from_cells(features, k, search.share, team.part(len(features)))
    found = from_candidates(features, proposed, k, team)
    return replace(found, recall=sampled_recall(features, found))


def check_search(search: Search) -> None:
    """Raise UserError unless the search can be done here."""
    if not isinstance(search, Approximate):
        return
    if not 0 < search.share <= 1:
        raise UserError(
            f"clustering.search.share is {search.share:g}; choose it above 0 and at most 1, "
            "e.g. 0.1."
        )
    _faiss()


def from_cells(features: Tensor, k: int, share: float, part: range) -> Candidates:
    """Candidates of the rows `part` from a share of the cells.

    Rows whose cells hold too few points get the limit inf, so that they are searched in full;
    for the others the limit tells what was left out of the cells that were looked at.
    """
    size, device = len(features), features.device
    keep = min(k - 1 + SPARE, size - 1)
    ids = torch.zeros(size, keep, dtype=torch.int32)
    limit, none = torch.empty(size), torch.tensor(-torch.inf)
    rows = features.cpu()
    index = _inverted_file(rows, share)
    for some in torch.arange(part.start, part.stop).split(QUERIES):
        similarity, found = map(torch.from_numpy, index.search(rows[some].numpy(), keep + 1))
        others = (found >= 0) & (found != some[:, None])
        order = (~others).byte().argsort(dim=1, stable=True)[:, :keep]
        full = others.sum(dim=1) >= keep
        after = (some[:, None] + 1 + torch.arange(keep)) % size  # any: bounds the full search
        ids[some] = torch.where(full[:, None], found.gather(1, order), after).int()
        missed = similarity.amin(dim=1) + float32_error(features) if keep < size - 1 else none
        limit[some] = torch.where(full, missed, torch.inf)
    counts = torch.full((size,), keep, dtype=torch.int32, device=device)
    return Candidates(ids.to(device), counts, limit.to(device))


def sampled_recall(features: Tensor, found: Neighbors) -> float:
    """Share of the k neighbours that are as near as the k-th true one, over evenly spaced rows."""
    rows = torch.arange(0, len(features), -(-len(features) // SAMPLE), device=features.device)
    true = Neighbors(found.rank.clone(), found.similarity.clone())
    search_in_full(features, true, rows)
    near = found.similarity[rows] >= true.similarity[rows, -1:]
    near[:, 0] = True  # the row itself
    return float(near.float().mean())


def _inverted_file(rows: Tensor, share: float) -> Any:
    """The trained and filled index; about 4 sqrt(N) cells, the same ones in every run."""
    faiss = _faiss()
    faiss.omp_set_num_threads(torch.get_num_threads())
    size, dim = rows.shape
    cells = min(round(4 * size**0.5), size)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, cells, faiss.METRIC_INNER_PRODUCT)
    index.cp.min_points_per_centroid = 1
    index.nprobe = max(1, round(share * cells))
    index.train(rows[:: max(1, size // (cells * TRAINED_PER_CELL))].numpy())
    index.add(rows.numpy())
    return index


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise UserError(
            f"the approximate search needs faiss, which cannot be imported ({error}): "
            'pip install faiss-cpu, or choose --set "clustering.search=Exact()".'
        ) from None
    return faiss
