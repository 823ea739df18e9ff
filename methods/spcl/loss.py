"""The unified contrastive loss of SpCL (Ge et al., 2020, arXiv:2006.02713, eq. 1)."""

from torch import Tensor

from common.instances import InstanceMemory, guarded_cross_entropy, mean_by_class


def unified_contrast_loss(similarities: Tensor, rows: Tensor, memory: InstanceMemory) -> Tensor:
    """Contrast against source classes, target clusters and single images in one softmax.

        z_ic = mean_{j: y_j = c} z_i . M_j / t

    followed by `guarded_cross_entropy`. The mean of similarities is the similarity to the mean of
    the rows, which is not normalized again; the own row is part of its class's mean. The paper
    has no small constants.

    Args:
        similarities: (B, M) from `InstanceMemory.similarities`.
        rows: (B,) memory row of every embedding.
        memory: gives the classes.
    """
    scores = mean_by_class(similarities, memory.labels, memory.sizes)
    return guarded_cross_entropy(scores, memory.labels[rows])
