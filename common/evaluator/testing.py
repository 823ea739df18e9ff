"""The test of a data set by the protocol it asks for."""

import torch
from torch import Tensor

from common.errors import UserError
from common.evaluator.rerank import rerank
from common.evaluator.retrieval import distances, evaluate, evaluate_distances, require_scorable
from common.evaluator.vehicleid import evaluate_splits
from common.team import ALONE, Team
from common.types import Dataset, Retrieval, Samples


def tested_samples(dataset: Dataset) -> Samples:
    """All images that a test needs features of: query images followed by gallery images."""
    return dataset.query.join(dataset.gallery)


def require_protocol(dataset: Dataset, *, reranked: bool) -> None:
    """Stop before any work where the data set cannot be scored as asked.

    Raises:
        UserError: re-ranking together with random splits.
    """
    if reranked and dataset.protocol == "vehicleid":
        raise UserError(
            f"{dataset.name} is scored on ten random splits, for which re-ranking is not defined. "
            "Leave re-ranking out."
        )


def evaluate_dataset(
    features: Tensor, dataset: Dataset, *, reranked: bool = False, team: Team = ALONE
) -> Retrieval:
    """mAP and CMC of a data set.

    Args:
        features: (Q + G, D) of `tested_samples`.
        dataset: its protocol decides how it is scored.
        reranked: k-reciprocal re-ranking first; needs all pairs of Q + G images in memory, and
            is never used for published tables.
        team: all have the same features and share the queries; re-ranked, each scores them all.

    Raises:
        UserError: no query has a match, a feature is not finite, or `require_protocol`'s.
    """
    require_protocol(dataset, reranked=reranked)
    if dataset.protocol == "vehicleid":
        return evaluate_splits(features, dataset.gallery, team=team)
    query, gallery = torch.tensor_split(features, [len(dataset.query)])
    if reranked:
        require_scorable(query, dataset.query, gallery, dataset.gallery)
        between = distances(query, gallery)
        within = distances(query, query), distances(gallery, gallery)
        matrix = rerank(between, *within)
        return evaluate_distances(matrix, dataset.query, dataset.gallery)
    return evaluate(query, dataset.query, gallery, dataset.gallery, team=team)
