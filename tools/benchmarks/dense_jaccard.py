"""The Jaccard distance as the methods' released codes organise it: dense and row by row.

Written from the definition, as the yardstick of the benchmark. Three N x N float32 matrices
are alive at its peak.
"""

import numpy as np
import torch
from torch import Tensor

SEARCH_BLOCK = 1024  # rows of the similarity matrix at once


def dense_ranks(features: Tensor, k1: int) -> np.ndarray:
    """(N, k1) nearest neighbours by brute force, all products formed."""
    ranks = []
    for rows in features.split(SEARCH_BLOCK):
        ranks.append((2 - 2 * rows @ features.T).topk(k1, dim=1, largest=False).indices)
    return torch.cat(ranks).numpy()


def dense_weights(features: Tensor, rank: np.ndarray) -> np.ndarray:
    """(N, N) V: softmax over the expanded reciprocal set of every point."""
    k1 = rank.shape[1]
    full = [_reciprocal(rank, i, k1) for i in range(len(rank))]
    half = [_reciprocal(rank, i, round(k1 / 2) + 1) for i in range(len(rank))]
    weights = np.zeros((len(rank), len(rank)), np.float32)
    for i, own in enumerate(full):
        expanded = own
        for c in own:
            if len(np.intersect1d(half[c], own)) > 2 / 3 * len(half[c]):
                expanded = np.append(expanded, half[c])
        expanded = np.unique(expanded)
        distances = 2 - 2 * features[i] @ features[expanded].T
        weights[i, expanded] = torch.softmax(-distances, dim=0).numpy()
    return weights


def _reciprocal(rank: np.ndarray, i: int, k: int) -> np.ndarray:
    """Those of the first k of i that have i among their first k."""
    forward = rank[i, :k]
    return forward[(rank[forward, :k] == i).any(axis=1)]


def dense_averages(rank: np.ndarray, k2: int, weights: np.ndarray) -> np.ndarray:
    """(N, N) V': mean over the first k2 neighbours."""
    averages = np.zeros_like(weights)
    for i in range(len(weights)):
        averages[i] = weights[rank[i, :k2]].mean(axis=0)
    return averages


def dense_distances(weights: np.ndarray) -> np.ndarray:
    """(N, N) Jaccard distances from sums of minima over the shared columns."""
    size = len(weights)
    holders = [np.flatnonzero(weights[:, c]) for c in range(size)]
    distances = np.zeros((size, size), np.float32)
    for i in range(size):
        shared = np.zeros(size, np.float32)
        for c in np.flatnonzero(weights[i]):
            shared[holders[c]] += np.minimum(weights[i, c], weights[holders[c], c])
        distances[i] = 1 - shared / (2 - shared)
    distances[distances < 0] = 0
    return distances
