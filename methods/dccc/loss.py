"""The label-smoothing soft contrastive loss of DCCC (He et al., 2023, arXiv:2303.06810)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def soft_contrast_loss(logits: Tensor, teacher: Tensor, labels: Tensor, *, smooth: float) -> Tensor:
    """Cross-entropy towards a mixture of the pseudo-label and the teacher's prediction.

        T_i = (1 - e) onehot(y_i) + e softmax(q_i),   loss = -mean_i sum_c T_ic log softmax(o_i)_c

    Args:
        logits: (B, C) student's scaled similarities o.
        teacher: (B, C) teacher's q; no gradient.
        labels: (B,) y in [0, C).
        smooth: e in [0, 1]; 0 gives plain cross-entropy (the released code crashes there).
    """
    soft = teacher.detach().softmax(dim=1)
    true = labels[:, None] == torch.arange(logits.shape[1], device=labels.device)
    target = smooth * soft + (1 - smooth) * true
    return -(target * F.log_softmax(logits, dim=1)).sum(dim=1).mean()
