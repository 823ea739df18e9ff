"""Whether the labels of an epoch can be trained on, and what is said where they cannot."""

import numpy as np
from torch import Tensor

from common.data.sampler import images_per_pass
from common.errors import TrainingStopped
from common.recipe import Sampling
from common.types import PseudoLabels

COLLAPSED = 0.9999  # mean cosine; of a ResNet-50 with random weights it is 0.999
LEAST_RECALL = 0.95  # both of a pair must list each other, so every miss costs twice


def require_usable(pseudo: PseudoLabels, sampling: Sampling, epoch: int) -> None:
    """Stop with a reason where the labels cannot fill one batch.

    Raises:
        TrainingStopped: with epoch, counts, eps and what to try. Nothing is changed silently.
    """
    per_pass = images_per_pass(pseudo.labels, sampling.instances)
    if per_pass >= sampling.batch_size:
        return
    filled = f"which fill {per_pass} of the {sampling.batch_size} images of a batch"
    raise unusable(pseudo, epoch, filled, "a smaller sampling.batch_size, ")


def unusable(pseudo: PseudoLabels, epoch: int, why: str, also: str = "") -> TrainingStopped:
    """The error for labels that cannot be trained on: epoch, settings, counts, what to try."""
    before = f" `tools report RUN` shows the clusters of epoch {epoch}." if epoch else ""
    return TrainingStopped(f"epoch {epoch + 1}: {_described(pseudo, why, also)}{before}")


def collapsed(features: Tensor) -> str | None:
    """A warning where all images look alike to the network: (N, D) unit rows, nearly equal ones.

    The neighbour search takes long there: its fast product proves next to no row.
    """
    cosine = float(features.mean(dim=0).square().sum())
    if not cosine >= COLLAPSED:  # nor for NaN, which the clustering refuses
        return None
    return (
        f"the features of all images are nearly equal (their mean cosine is {cosine:.6f}), so the "
        "network tells nothing apart, and the clustering takes long. Compare the learning rate "
        "with the recipe's, and begin from better initial weights (--weights-init FILE)."
    )


def noise_alone(pseudo: PseudoLabels) -> str | None:
    """A warning where no two images share a label."""
    why = "so nothing draws two images together in this epoch"
    return None if pseudo.num_clusters else _described(pseudo, why)


def _described(pseudo: PseudoLabels, why: str, also: str = "") -> str:
    """Settings, counts, what that means, and what to try."""
    said = ", ".join(f"{name} {value:g}" for name, value in pseudo.details.items())
    clusters = f"{pseudo.num_clusters} cluster{'' if pseudo.num_clusters == 1 else 's'}"
    outliers = f"{pseudo.num_outliers} outlier{'' if pseudo.num_outliers == 1 else 's'}"
    eps, similarity = "larger", "smaller"
    if 2 * pseudo.num_outliers < len(pseudo.labels):  # so clusters are few because they are large
        eps, similarity, also = "smaller", "larger", f"a smaller clustering.k1, {also}"
    return (
        f"the clustering ({said}) gave {clusters} and {outliers}, {why}. Try a {eps} "
        f"clustering.eps (InfoMap: a {similarity} similarity), {also}or better initial weights "
        "(--weights-init FILE)."
    )


def giant_cluster(pseudo: PseudoLabels) -> str | None:
    """A warning where one cluster holds more than half of the images."""
    images = len(pseudo.labels)
    giant = int(np.bincount(pseudo.labels[pseudo.labels >= 0]).max(initial=0))
    if 2 * giant <= images or images < 100:
        return None
    return (
        f"one cluster holds {giant} of {images} images: too many of these features are probably "
        "taken for near. Try a smaller clustering.eps (InfoMap: a larger similarity)."
    )


def low_recall(pseudo: PseudoLabels) -> str | None:
    """A warning where an approximate search missed enough neighbours to change the labels."""
    recall = pseudo.details.get("recall", 1.0)
    if recall >= LEAST_RECALL:
        return None
    return (
        f"the approximate search found {recall:.1%} of the neighbours; below {LEAST_RECALL:.0%} "
        'labels change grossly. Raise clustering.search.share, or set "clustering.search=Exact()".'
    )
