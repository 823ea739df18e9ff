"""What can be said about clusters: sizes, cameras, and how they agree with true identities."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Agreement:
    """How pseudo-labels agree with identities; fractions in [0, 1].

    Args:
        precision: share of the image pairs within a cluster that show one identity.
        recall: share of the image pairs of one identity that lie in one cluster.
        purity: share of the clustered images that show their cluster's most frequent identity.
    """

    precision: float
    recall: float
    purity: float


@dataclass(frozen=True)
class ClusterTable:
    """One row per cluster of at least two images.

    Args:
        labels: (C,) pseudo-label.
        sizes: (C,) images.
        cameras: (C,) cameras.
        identities: (C,) different known identities; zeros without truth.
        strangers: (C,) images that do not show the most frequent identity; zeros without truth.
    """

    labels: np.ndarray
    sizes: np.ndarray
    cameras: np.ndarray
    identities: np.ndarray
    strangers: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def describe(labels: np.ndarray, cams: np.ndarray, truth: np.ndarray | None) -> ClusterTable:
    """Count images, cameras and identities of every cluster.

    Args:
        labels: (N,) pseudo-labels, -1 for an outlier.
        cams: (N,) cameras.
        truth: (N,) identities, -1 where unknown, or None.
    """
    total = int(labels.max(initial=-1)) + 1
    inside = labels >= 0
    sizes = np.bincount(labels[inside], minlength=total)
    cameras = _distinct(labels[inside], cams[inside], total)
    identities = strangers = np.zeros(total, dtype=np.int64)
    if truth is not None:
        known = inside & (truth >= 0)
        identities = _distinct(labels[known], truth[known], total)
        strangers = np.bincount(labels[known], minlength=total)
        strangers = strangers - _most_frequent(labels[known], truth[known], total)
    real = np.flatnonzero(sizes >= 2)
    return ClusterTable(real, sizes[real], cameras[real], identities[real], strangers[real])


def agreement(labels: np.ndarray, truth: np.ndarray) -> Agreement | None:
    """Pair precision, pair recall and purity over the images whose identity is known.

    An outlier is in no cluster: it lowers the recall and leaves precision and purity alone.
    Counted per (cluster, identity), never as N x N pairs.

    Returns:
        None where no image of known identity is in a cluster, or no identity has two images.
    """
    known = truth >= 0
    labels, truth = labels[known], truth[known]
    inside = labels >= 0
    if not inside.any():
        return None
    labels_in, truth_in = labels[inside], truth[inside]
    _, together = np.unique(np.stack([labels_in, truth_in]), axis=1, return_counts=True)
    right = _pairs(together)
    in_clusters = _pairs(np.bincount(labels_in))
    of_identities = _pairs(np.unique(truth, return_counts=True)[1])
    if of_identities == 0:
        return None
    purest = _most_frequent(labels_in, truth_in, int(labels_in.max()) + 1)
    return Agreement(
        precision=right / in_clusters if in_clusters else 1.0,
        recall=right / of_identities,
        purity=float(purest.sum() / len(labels_in)),
    )


def main_identity(identities: np.ndarray) -> int:
    """The most frequent known identity, the smallest of several; -1 where none is known."""
    known = identities[identities >= 0]
    return int(np.bincount(known).argmax()) if len(known) else -1


def spread(members: np.ndarray, by: np.ndarray, most: int) -> np.ndarray:
    """At most `most` members, evenly drawn from them in order of `by`, which is (N,)."""
    ordered = members[np.argsort(by[members], kind="stable")]
    if len(ordered) <= most:
        return ordered
    return ordered[np.linspace(0, len(ordered) - 1, most).round().astype(np.int64)]


def _pairs(counts: np.ndarray) -> int:
    counts = counts.astype(np.int64)
    return int((counts * (counts - 1) // 2).sum())


def _distinct(labels: np.ndarray, values: np.ndarray, total: int) -> np.ndarray:
    """How many different values occur with each label."""
    pairs = np.unique(np.stack([labels, values]), axis=1)
    return np.bincount(pairs[0], minlength=total)


def _most_frequent(labels: np.ndarray, values: np.ndarray, total: int) -> np.ndarray:
    """How often the most frequent value of each label occurs."""
    pairs, counts = np.unique(np.stack([labels, values]), axis=1, return_counts=True)
    most = np.zeros(total, dtype=np.int64)
    np.maximum.at(most, pairs[0], counts)
    return most
