"""Self-paced reliability: which clusters stay what they are when the radius changes."""

from dataclasses import dataclass

import numpy as np

from common.memory import last_mentions


@dataclass(frozen=True)
class Reliability:
    """Agreement of a clustering with a tighter and a looser one; 0 is full agreement.

    Args:
        compactness: (N,) float32, 1 - IoU of an image's cluster with its tighter one.
        independence: (N,) float32, 1 - IoU with its looser one.
        class_compactness, class_independence: (K,) their minima over every class.
    """

    compactness: np.ndarray
    independence: np.ndarray
    class_compactness: np.ndarray
    class_independence: np.ndarray


def reliability(tight: np.ndarray, normal: np.ndarray, loose: np.ndarray) -> Reliability:
    """Scores of section 3.2 of SpCL (Ge et al., 2020, arXiv:2006.02713).

    The paper's R_comp and R_indep are the IoUs, one minus these.

    Args:
        tight, normal, loose: (N,) classes 0..K-1 without gaps at a smaller radius, the recipe's
            and a larger one; outliers are classes of their own.
    """
    compactness, independence = disagreement(normal, tight), disagreement(normal, loose)
    return Reliability(
        compactness,
        independence,
        _minimum_by_class(compactness, normal),
        _minimum_by_class(independence, normal),
    )


def disagreement(labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N,) float32: 1 - |A n B| / |A u B| of the two classes that hold each image.

    Counted per pair of classes: with n_ab images in class a of one and b of the other, the union
    has n_a + n_b - n_ab. No N x N mask is formed.
    """
    width = int(others.max()) + 1
    pairs, where, both = np.unique(labels * width + others, return_inverse=True, return_counts=True)
    union = np.bincount(labels)[pairs // width] + np.bincount(others)[pairs % width] - both
    score = np.float32(1) - both.astype(np.float32) / union.astype(np.float32)
    return score[where]


def independence_threshold(scores: Reliability, normal: np.ndarray, share: float) -> float:
    """The independence deficit that `share` of the clusters stay at or below.

    Element min(n - 1, round(share * n)) of the ascending deficits of the n classes with at least
    two members, halves rounded to even. SpCL computes it in the first epoch and keeps it.

    Args:
        normal: classes, of which one at least has two members.
    """
    several = np.bincount(normal) >= 2
    deficits = np.sort(scores.class_independence[several])
    return float(deficits[min(len(deficits) - 1, round(share * len(deficits)))])


def reliable_labels(
    normal: np.ndarray, scores: Reliability, threshold: float, keep_last: bool
) -> np.ndarray:
    """(N,) classes after the test: K, K + 1, ... in image order for every image that fails it.

        kept:  D_k <= threshold  and  c_i <= C_k,   k the image's class

    So a dependent cluster is dissolved, and of the others the most compact group remains. Numbers
    of dissolved classes are left unused.

    Args:
        keep_last: the last member of a dissolved class keeps its number, as in SpCL+ (OpenUnReID).
    """
    fails = ~(
        (scores.class_independence[normal] <= np.float32(threshold))
        & (scores.compactness <= scores.class_compactness[normal])
    )
    if keep_last:
        dissolved = np.bincount(normal[fails], minlength=normal.max() + 1) == np.bincount(normal)
        _, last = last_mentions(normal)
        fails[last[dissolved]] = False
    labels = normal.copy()
    labels[fails] = normal.max() + 1 + np.arange(fails.sum())
    return labels


def _minimum_by_class(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    lowest = np.full(labels.max() + 1, np.inf, np.float32)
    np.minimum.at(lowest, labels, scores)
    return lowest
