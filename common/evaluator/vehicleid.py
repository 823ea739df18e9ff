"""The protocol of VehicleID: repeated random splits of the test images, no camera filter."""

from dataclasses import replace

import numpy as np
from torch import Tensor

from common.evaluator.retrieval import evaluate, require_rows
from common.team import ALONE, Team
from common.types import Retrieval, Samples


def evaluate_splits(
    features: Tensor,
    images: Samples,
    *,
    repeats: int = 10,
    seed: int = 1,
    team: Team = ALONE,
) -> Retrieval:
    """Mean mAP and CMC over random splits: one gallery image per identity, the rest are queries.

    All cameras of VehicleID are 0, so the Market-1501 rule would ignore every match; here no
    image is ignored. The released evaluators of the seven methods cannot score this data set.

    Args:
        features: (N, D) of all test images.
        images: their identities.
        repeats: number of splits.
        seed: fixes the splits.
        team: shares the queries of every split.

    Raises:
        UserError: no identity has two images.
        ValueError: not one row for each image.
    """
    require_rows(len(features), images)
    rng = np.random.default_rng(seed)
    found = [_evaluate_split(features, images, rng, team) for _ in range(repeats)]
    return replace(
        found[0],
        map=float(np.mean([result.map for result in found])),
        cmc=np.mean([result.cmc for result in found], axis=0),
    )


def split(pids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) bool: one image of every identity, drawn uniformly, for the gallery."""
    shuffled = rng.permutation(len(pids))
    _, first = np.unique(pids[shuffled], return_index=True)
    chosen = np.zeros(len(pids), bool)
    chosen[shuffled[first]] = True
    return chosen


def _evaluate_split(
    features: Tensor, images: Samples, rng: np.random.Generator, team: Team
) -> Retrieval:
    shown = split(images.pids, rng)
    query, gallery = np.flatnonzero(~shown), np.flatnonzero(shown)
    everywhere = replace(images.take(query), cams=np.full(len(query), images.cams.max() + 1))
    return evaluate(
        features[query],
        everywhere,
        features[gallery],
        images.take(gallery),
        team=team,
    )
