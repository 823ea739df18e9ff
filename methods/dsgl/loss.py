"""Losses of DSGL (Ji et al., 2024, IEEE TIP)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def disentangled_contrast_loss(
    embeddings: Tensor,
    prototypes: Tensor,
    labels: Tensor,
    groups: Tensor,
    negatives: Tensor,
    fallback: Tensor,
    *,
    temperature: float,
    share: float,
) -> Tensor:
    """Contrast with guided prototypes and with groups of other persons that look alike.

        loss = mean_i -log exp(q_i.P_y / t) / (sum_c exp(q_i.P_c / t) + a sum_m exp(q_i.n_im / t))

    n_im are the anchor's negative groups, unit length; without any, the prototype of its nuisance
    label. In float32 by log-sum-exp; the released code exponentiates directly.

    Args:
        embeddings: (B, D) unit vectors q.
        prototypes: (C, D) guided prototypes P.
        labels: (B,) clusters y.
        groups: (P, D) mean features of all groups.
        negatives: (B, P) bool, which of them are the anchor's.
        fallback: (B, D) what stands in where an anchor has none.
        temperature: t > 0.
        share: a in (0, 1].
    """
    own = embeddings @ prototypes.T / temperature
    shift = math.log(share)
    against = embeddings @ F.normalize(groups, dim=1).T / temperature + shift
    against = against.masked_fill(~negatives, -torch.inf)
    instead = (embeddings * F.normalize(fallback, dim=1)).sum(dim=1, keepdim=True)
    instead = instead / temperature + shift
    instead = instead.masked_fill(negatives.any(dim=1, keepdim=True), -torch.inf)
    total = torch.cat([own, against, instead], dim=1).logsumexp(dim=1)
    return (total - own.gather(1, labels[:, None]).squeeze(1)).mean()


def relative_entropy_loss(
    anchors: Tensor,
    partners: Tensor,
    guided: Tensor,
    centroids: Tensor,
    *,
    temperature: float,
) -> Tensor:
    """How far a partner image's prediction is from the anchor's guided one; both take gradient.

        loss = mean_i sum_c p_ic (log p_ic - log o_ic)
        p = softmax(q Q' / t),   o = softmax(v A' / t)

    Args:
        anchors, partners: (B, D) unit vectors q and v.
        guided: (C, D) prototypes Q.
        centroids: (C, D) A.
        temperature: t > 0.
    """
    log_p = F.log_softmax(anchors @ guided.T / temperature, dim=1)
    log_other = F.log_softmax(partners @ centroids.T / temperature, dim=1)
    return (log_p.exp() * (log_p - log_other)).sum(dim=1).mean()
