"""The unified contrastive loss of SpCL (Ge et al., 2020, arXiv:2006.02713, eq. 1)."""

from torch import Tensor

from common.losses import guarded_cross_entropy, mean_by_class


def unified_contrast_loss(
    similarities: Tensor, rows: Tensor, labels: Tensor, sizes: Tensor
) -> Tensor:
    """Contrast against source classes, target clusters and single images in one softmax.

        z_ic = mean_{j: y_j = c} a_ij

    followed by `guarded_cross_entropy`. The mean of similarities is the similarity to the mean of
    the rows, which is not normalized again; the own row is part of its class's mean. The paper
    has no small constants.

    Args:
        similarities: (B, M) a, scaled similarities with all memory rows; float32.
        rows: (B,) memory row of every embedding.
        labels: (M,) y, classes of the rows, 0..C-1 without gaps.
        sizes: (C,) rows of every class.
    """
    scores = mean_by_class(similarities, labels, sizes)
    return guarded_cross_entropy(scores, labels[rows])
