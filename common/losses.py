"""Losses that more than one method uses. Pure functions: tensors in, scalar out."""

import torch
import torch.nn.functional as F
from torch import Tensor

GUARD = 1e-6  # e of `guarded_cross_entropy`


def contrast_loss(
    embeddings: Tensor, rows: Tensor, labels: Tensor, *, temperature: float | Tensor
) -> Tensor:
    """Cross-entropy of unit embeddings against the rows of a cluster memory.

        loss = mean_i -log softmax_j(z_i . M_j / t)[y_i]

    Cluster Contrast (Dai et al., 2022, arXiv:2103.11568), InfoNCE over cluster prototypes.

    Args:
        embeddings: (B, D) unit vectors z.
        rows: (C, D) prototypes M; no gradient.
        labels: (B,) cluster ids y in [0, C).
        temperature: t > 0.

    Returns:
        Scalar, the mean over the batch.
    """
    return F.cross_entropy(embeddings @ rows.T / temperature, labels)


def smooth_cross_entropy(logits: Tensor, labels: Tensor, *, epsilon: float) -> Tensor:
    """Cross-entropy with `epsilon` of the target given away.

    With C classes and k = C // 50: for k <= 1 every class gets epsilon / C; else each of the k
    classes with the largest predicted probability gets epsilon / k, the true one possibly among
    them. The choice of the k classes carries no gradient. The form of HHCL's and DSGL's released
    code (arXiv:2109.12333), where the switch ignores its value and epsilon is always 0.1.

    Args:
        logits: (B, C).
        labels: (B,) in [0, C).
        epsilon: in [0, 1); 0 gives plain cross-entropy.

    Returns:
        Scalar, the mean over the batch.
    """
    if epsilon == 0:
        return F.cross_entropy(logits, labels)
    log_p = F.log_softmax(logits, dim=1)
    true = log_p.gather(1, labels[:, None]).squeeze(1)
    share = smoothed_classes(logits.shape[1])
    if share <= 1:
        spread = log_p.mean(dim=1)
    else:
        top = torch.topk(logits.detach(), share, dim=1).indices
        spread = log_p.gather(1, top).mean(dim=1)
    return -((1 - epsilon) * true + epsilon * spread).mean()


def smoothed_classes(classes: int) -> int:
    """k of `smooth_cross_entropy`: how many of the likeliest classes share the epsilon."""
    return classes // 50


def mean_by_class(similarities: Tensor, labels: Tensor, sizes: Tensor) -> Tensor:
    """(B, C): mean over every class's rows of (B, M) similarities; classes without gaps."""
    sums = similarities.new_zeros(len(similarities), len(sizes))
    return sums.index_add(1, labels, similarities) / sizes


def guarded_cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with the two small constants of SpCL's released code, which HDCPD keeps.

        p_i = exp(z_iy) / (sum_c exp(z_ic) + e),   loss = -mean_i log(p_i + e),   e = 1e-6

    They matter where p is tiny: the loss saturates at -log(e) = 13.8 and the gradient vanishes.
    Computed with the largest score taken out, which changes rounding only.

    Args:
        scores: (B, C) z; float32.
        labels: (B,) y in [0, C).
    """
    top = scores.detach().amax(dim=1, keepdim=True)
    weights = torch.exp(scores - top)
    own = weights.gather(1, labels[:, None])
    p = own / (weights.sum(dim=1, keepdim=True) + GUARD * torch.exp(-top))
    return -torch.log(p + GUARD).mean()
