"""A map of features in the plane: t-SNE on the leading principal components."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

MOST_POINTS = 2000
COMPONENTS = 50


def sample_groups(groups: np.ndarray, seed: int, most: int = MOST_POINTS) -> np.ndarray:
    """Images for a map: whole groups in random order, as many as fit.

    A group that is shown whole tells whether it is compact; a tenth of every group would not.

    Args:
        groups: (N,) group of each image, e.g. its identity; a negative one is a group by itself.
        most: images at most.

    Returns:
        Ascending image indices; all of them if N <= most.
    """
    if len(groups) <= most:
        return np.arange(len(groups))
    alone = groups < 0
    groups = np.where(alone, np.arange(len(groups)) + groups.max() + 1, groups)
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(sizes))
    taken = order[np.cumsum(sizes[order]) <= most]
    if len(taken) == 0:  # the first group alone is too large: show a part of it
        return np.sort(np.flatnonzero(group == order[0])[:most])
    return np.flatnonzero(np.isin(group, taken))


def project_to_plane(features: np.ndarray, seed: int) -> np.ndarray:
    """Place features in the plane such that near ones stay near.

    t-SNE (van der Maaten and Hinton, JMLR 9, 2008), started from the first two principal
    components. Distances between far groups mean nothing, and no decision may rest on them.

    Args:
        features: (n, D), n <= MOST_POINTS.
        seed: of the solver's random numbers.

    Returns:
        (n, 2) float32, each coordinate from -1 to 1. All zeros for equal features.

    Raises:
        ValueError: more rows than MOST_POINTS.
    """
    count = len(features)
    if count > MOST_POINTS:
        raise ValueError(f"{count} features for a map of at most {MOST_POINTS}.")
    plane = np.zeros((count, 2), dtype=np.float32)
    centred = features - features.mean(axis=0) if count else features
    if np.abs(centred).max(initial=0.0) < 1e-6:
        return plane
    size = min(COMPONENTS, *features.shape)
    reduced = PCA(size, svd_solver="full", random_state=seed).fit_transform(centred)
    if count < 5 or size < 2:  # too few for neighbourhoods
        plane[:, : min(2, size)] = reduced[:, :2]
    else:
        perplexity = min(30.0, (count - 1) / 3)
        solver = TSNE(perplexity=perplexity, init="pca", max_iter=500, random_state=seed)
        plane = solver.fit_transform(reduced).astype(np.float32)
    plane -= (plane.max(axis=0) + plane.min(axis=0)) / 2
    return plane / np.abs(plane).max(axis=0).clip(min=1e-12)
