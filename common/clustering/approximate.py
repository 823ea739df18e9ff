"""Approximate neighbours by an inverted file, with their recall on a sample.

K-means of faiss groups the rows into cells; a row is compared with the rows of the cells nearest to
its own, by products of whole cells. What is found is ranked and proved as in the exact search, so
with all cells looked at the two are equal.
"""

from dataclasses import replace

import torch
from torch import Tensor

from common.clustering.blocks import tell
from common.clustering.candidates import Candidates, float32_error, listed, rows_at_once
from common.clustering.neighbors import (
    Neighbors,
    from_candidates,
    nearest_neighbors,
    search_in_full,
)
from common.clustering.similarity import check_unit_rows
from common.errors import MissingPackage
from common.recipe import Approximate, Search
from common.team import ALONE, Team

try:
    from faiss import Kmeans, omp_set_num_threads
except ImportError:
    Kmeans = None  # type: ignore[assignment, misc]

TRAINED_PER_CELL = 40  # rows from which k-means finds a centre
ROUNDS = 10  # of k-means
SAMPLE = 1000  # rows searched exactly to measure the recall


def find_neighbors(features: Tensor, k: int, search: Search, team: Team = ALONE) -> Neighbors:
    """The k nearest rows of each row, exactly or as far as the search finds them.

    Args:
        team: each has the same cells and looks up a part of the rows.

    Raises:
        MissingPackage: faiss cannot be imported.
        UserError: rows that are not finite or not of unit length.
    """
    if not isinstance(search, Approximate):
        return nearest_neighbors(features, k, team)
    check_search(search)
    features = features.detach().contiguous()
    check_unit_rows(features)
    k = min(k, len(features))
    proposed = from_cells(features, k, search.share, team.part(len(features)))
    found = from_candidates(features, proposed, k, team)
    return replace(found, recall=sampled_recall(features, found))


def check_search(search: Search) -> None:
    """Raise MissingPackage unless the search can be done here."""
    if isinstance(search, Approximate) and Kmeans is None:
        raise MissingPackage(
            "the approximate search needs faiss, which cannot be imported: pip install faiss-cpu, "
            'or choose the exact search by --set "clustering.search=Exact()".'
        )


def from_cells(features: Tensor, k: int, share: float, part: range) -> Candidates:
    """Candidates of the rows `part` from the share of the cells nearest to their own.

    The limit tells what was left out of these cells; rows whose cells hold too few points get the
    limit inf, so that they are searched in full.
    """
    size, device = len(features), features.device
    keep = listed(features, k, torch.float32)
    centers = _centers(features)
    members = _members(features, centers)
    nearest = _nearest_cells(centers, max(1, round(share * len(centers))))
    after = torch.arange(1, keep + 1, device=device)  # any others: a start for the full search
    ids = (torch.arange(size, device=device)[:, None] + after).remainder_(size).int()
    limit = torch.full((size,), torch.inf, device=device)
    for cell, (own, cells) in enumerate(zip(members, nearest.tolist(), strict=True)):
        points = torch.cat([members[other] for other in cells]).sort().values
        rows = own[(own >= part.start) & (own < part.stop)]
        if keep < len(points) and len(rows):
            _propose(features, rows, points, ids, limit)
        tell(cell + 1, len(members))
    counts = torch.full((size,), keep, dtype=torch.int32, device=device)
    return Candidates(ids, counts, limit)


def _nearest_cells(centers: Tensor, count: int) -> Tensor:
    """(C, count) cells, each with itself among them also where centres differ by rounding only."""
    return (centers @ centers.T).fill_diagonal_(torch.inf).topk(count, dim=1).indices


def _propose(features: Tensor, rows: Tensor, points: Tensor, ids: Tensor, limit: Tensor) -> None:
    """Fill ids and limit of the rows with the best of the points, the rows among them."""
    keep = ids.shape[1]
    gathered = features[points]
    for some in rows.split(rows_at_once(len(points), features.device)):
        block = features[some] @ gathered.T
        itself = torch.searchsorted(points, some)
        block.scatter_(1, itself[:, None], -torch.inf)
        largest, at = block.topk(keep, dim=1)
        ids[some] = points[at].int()
        everything = keep == len(features) - 1
        limit[some] = -torch.inf if everything else largest[:, -1] + float32_error(features)


def sampled_recall(features: Tensor, found: Neighbors) -> float:
    """Share of the k neighbours that are as near as the k-th true one, over evenly spaced rows."""
    rows = torch.arange(0, len(features), -(-len(features) // SAMPLE), device=features.device)
    true = Neighbors(found.rank.clone(), found.similarity.clone())
    search_in_full(features, true, rows)
    near = found.similarity[rows] >= true.similarity[rows, -1:]
    near[:, 0] = True  # the row itself
    return float(near.float().mean())


def _centers(features: Tensor) -> Tensor:
    """(C, D) unit centres of about 4 sqrt(N) cells, by k-means on evenly spaced rows."""
    size, dim = features.shape
    count = min(round(4 * size**0.5), size)
    omp_set_num_threads(torch.get_num_threads())
    kmeans = Kmeans(dim, count, niter=ROUNDS, spherical=True, min_points_per_centroid=1)
    kmeans.train(features[:: max(1, size // (count * TRAINED_PER_CELL))].cpu().numpy())
    return torch.from_numpy(kmeans.centroids).to(features.device)


def _members(features: Tensor, centers: Tensor) -> list[Tensor]:
    """The rows of each cell, ascending."""
    block = rows_at_once(len(centers), features.device)
    cell = torch.cat([(rows @ centers.T).argmax(dim=1) for rows in features.split(block)])
    sizes = torch.bincount(cell, minlength=len(centers)).tolist()
    return list(cell.argsort(stable=True).split(sizes))
