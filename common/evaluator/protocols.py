"""Other ways to score a ranking: all shots, separate cameras, a single gallery shot.

The published tables of the seven methods use none of them; they are part of the released
evaluators and are kept comparable with those.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from common.errors import UserError
from common.evaluator.retrieval import cumulative
from common.types import Samples


def all_shots(matrix: Tensor, query: Samples, gallery: Samples, *, ranks: int = 50) -> np.ndarray:
    """CMC over all matches instead of the first one.

    A match at position p (from 1) with j other matches before it counts 1 / matches at rank
    p - j: other matches do not push it back. Images of the query's identity and camera are
    ignored.

    Args:
        matrix: (Q, G) distances.
        ranks: R.

    Returns:
        (R,) CMC, the mean over the queries with a match.
    """
    total, valid = np.zeros(ranks), 0
    for correct, _ in _rankings(matrix, query, gallery, separate_cameras=False):
        positions = np.flatnonzero(correct)
        ahead = positions - np.arange(len(positions))
        total += np.bincount(ahead[ahead < ranks], minlength=ranks) / len(positions)
        valid += 1
    return total.cumsum() / _required(valid, query)


def separate_cameras(
    matrix: Tensor, query: Samples, gallery: Samples, *, ranks: int = 50
) -> np.ndarray:
    """CMC of the first match with *all* gallery images of the query's camera ignored.

    Arguments and result as in `all_shots`.
    """
    rankings = _rankings(matrix, query, gallery, separate_cameras=True)
    first = np.array([1 + correct.argmax() for correct, _ in rankings], dtype=np.int64)
    _required(len(first), query)
    return cumulative(first, ranks)


def single_gallery_shot(
    matrix: Tensor,
    query: Samples,
    gallery: Samples,
    *,
    rng: np.random.RandomState,
    repeats: int = 10,
    ranks: int = 50,
) -> np.ndarray:
    """CMC with one gallery image per identity, drawn anew for every query and repeat.

    All gallery images of the query's camera are ignored first (the protocol of CUHK03).

    Args:
        rng: NumPy's legacy generator, which the released evaluator draws from: one draw per
            repeat and identity, identities in the order in which the ranking first shows them.
        repeats: draws per query.

    Others and result as in `all_shots`.
    """
    total, valid = np.zeros(ranks), 0
    for correct, pids in _rankings(matrix, query, gallery, separate_cameras=True):
        shots = _drawn_shots(pids, repeats, rng)
        match = shots[correct[shots]].reshape(repeats, 1)
        ahead = (shots < match).sum(axis=1)
        total += np.bincount(ahead[ahead < ranks], minlength=ranks) / repeats
        valid += 1
    return total.cumsum() / _required(valid, query)


def _rankings(
    matrix: Tensor, query: Samples, gallery: Samples, *, separate_cameras: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For every query with a match, nearest first: which images match, and all identities."""
    for row, pid, cam in zip(matrix, query.pids, query.cams, strict=True):
        ignored = gallery.cams == cam
        if not separate_cameras:
            ignored &= gallery.pids == pid
        order = torch.argsort(row, stable=True).cpu().numpy()
        pids = gallery.pids[order[~ignored[order]]]
        if (pids == pid).any():
            yield pids == pid, pids


def _drawn_shots(pids: np.ndarray, repeats: int, rng: np.random.RandomState) -> np.ndarray:
    """(repeats, identities): a random position of every identity."""
    _, first, identity, counts = np.unique(
        pids, return_index=True, return_inverse=True, return_counts=True
    )
    positions = np.argsort(identity, kind="stable")  # grouped by identity
    start = counts.cumsum() - counts
    shown = np.argsort(first)
    drawn = rng.randint(0, np.broadcast_to(counts[shown], (repeats, len(shown))))
    return positions[start[shown] + drawn]


def _required(valid: int, query: Samples) -> int:
    if not valid:
        raise UserError(
            f"none of the {len(query)} queries has a match from another camera in the gallery. "
            "Check the identities and cameras of the query and gallery parts."
        )
    return valid
