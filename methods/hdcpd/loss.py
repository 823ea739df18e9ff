"""Losses of HDCPD (Cheng et al., 2022, arXiv:2109.14157)."""

import torch
from torch import Tensor

from common.losses import guarded_cross_entropy


def hardest_contrast_loss(
    similarities: Tensor, labels: Tensor, own: Tensor, classes: int
) -> Tensor:
    """Softmax in which every class is represented by its hardest stored instance.

        h_ic = min_{j: y_j = c} s_ij  for the own class,  max_{j: y_j = c} s_ij  for the others

    followed by `guarded_cross_entropy`. Gradient flows through the chosen instances only. The
    own row is among the candidates.

    Args:
        similarities: (B, M) scaled similarities with all memory rows; float32.
        labels: (M,) classes of the rows, 0..C-1 without gaps.
        own: (B,) class of every embedding.
        classes: C.
    """
    batch = len(similarities)
    lowest = similarities.new_full((batch, classes), -torch.inf)
    index = labels.expand(batch, -1)
    hardest = lowest.scatter_reduce(1, index, similarities, "amax", include_self=False)
    others = labels != own[:, None]
    positive = similarities.masked_fill(others, torch.inf).amin(dim=1, keepdim=True)
    scores = hardest.scatter(1, own[:, None], positive)
    return guarded_cross_entropy(scores, own)


def distillation_loss(student: Tensor, teacher: Tensor, axis: str) -> Tensor:
    """Squared distance of the student's class probabilities from the teacher's.

        cluster: sum_ic (P_ic - Q_ic)^2 / C,   softmax over the classes
        batch:   sum_ic (P_ic - Q_ic)^2 / B,   softmax over the batch, for each class

    "batch" is what the released +CC program computes by transposing its logits; its published
    logs fit "cluster". A sum over the batch: with R processes each must weigh its share R times,
    and "batch" needs the rows of all.

    Args:
        student, teacher: (B, C) scaled similarities, C >= 1; no gradient to the teacher.
        axis: "cluster" or "batch".
    """
    over = 1 if axis == "cluster" else 0
    p, q = student.softmax(dim=over), teacher.detach().softmax(dim=over)
    return (p - q).square().sum() / student.shape[over]
