"""Losses of HHCL (Hu et al., 2021, arXiv:2109.12333)."""

import torch
from torch import Tensor

from common.losses import smooth_cross_entropy


def hybrid_contrast_loss(
    embeddings: Tensor,
    hard_rows: Tensor,
    mean_rows: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    weights: tuple[float, float],
    smooth: float,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy against the hard and against the mean prototype of every cluster.

        hard = w_h * CE(z H' / t, y),   mean = w_m * CE(z M' / t, y)

    Args:
        embeddings: (B, D) unit vectors z.
        hard_rows, mean_rows: (C, D) unit prototypes H and M; no gradient.
        labels: (B,) cluster ids y in [0, C).
        temperature: t > 0.
        weights: w_h and w_m; see `hybrid_weights`.
        smooth: epsilon of the label smoothing; 0 for none.

    Returns:
        The two weighted terms, scalars; the loss is their sum.
    """
    terms = [
        weight * smooth_cross_entropy(embeddings @ rows.T / temperature, labels, epsilon=smooth)
        for weight, rows in zip(weights, (hard_rows, mean_rows), strict=True)
    ]
    return terms[0], terms[1]


def hybrid_weights(hard_weight: float, balanced: bool) -> tuple[float, float]:
    """Weights of the hard and the mean term.

        released: (h, h (1 - h)),   balanced: (h, 1 - h)

    The released code scales the whole bracket by h, so the mean term gets h (1 - h): 0.5 and
    0.25 at h = 0.5. It looks like a slip, but the published numbers come from that code, so it
    is the default.
    """
    mean = 1 - hard_weight if balanced else hard_weight * (1 - hard_weight)
    return hard_weight, mean


def instance_contrast_loss(
    embeddings: Tensor,
    centroids: Tensor,
    instances: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    weights: tuple[float, float],
    smooth: float,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy against centroids and against the hardest stored instance of every cluster.

        z_ic = min_s q_i . I_sc  if c = y_i,  max_s q_i . I_sc  otherwise
        mean = w_m * CE(q A' / t, y),   hard = w_h * CE(z / t, y)

    The construction of the paper's text; gradient flows through the chosen instance only.

    Args:
        embeddings: (B, D) unit vectors q.
        centroids: (C, D) unit rows A.
        instances: (K, C, D) instance slots I.
        labels: (B,) cluster ids y in [0, C).
        temperature: t > 0.
        weights: w_h and w_m; the released code takes (1 - h, h), so its h belongs to the centroids.
        smooth: epsilon of the label smoothing; 0 for none.

    Returns:
        The weighted hard and mean terms, scalars; the loss is their sum.
    """
    slots, clusters, _ = instances.shape
    similarity = (embeddings @ instances.flatten(0, 1).T).view(-1, slots, clusters)
    own = labels[:, None] == torch.arange(clusters, device=labels.device)
    hardest = torch.where(own, similarity.min(dim=1).values, similarity.max(dim=1).values)
    hard = smooth_cross_entropy(hardest / temperature, labels, epsilon=smooth)
    mean = smooth_cross_entropy(embeddings @ centroids.T / temperature, labels, epsilon=smooth)
    return weights[0] * hard, weights[1] * mean
