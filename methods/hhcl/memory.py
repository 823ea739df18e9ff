"""The memory bank of HHCL's paper: a centroid and stored instances for every cluster."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.errors import UserError
from common.memory import blend_mean_, members_by_class, turn_of
from common.transfer import on_device
from common.types import MemoryUpdate


class SlotMemory(nn.Module):
    """A centroid and K stored instances per cluster ("CMhybrid_v2").

    The n members of a cluster in the batch overwrite its first n slots in batch order; the
    centroid follows their mean.

    Args:
        centroids: (C, D) unit rows.
        instances: (K, C, D) unit rows, changed in place: with few images a cluster they are as many
            as all images.
        momentum: share of the old centroid that is kept.
    """

    centroids: Tensor
    instances: Tensor

    def __init__(self, centroids: Tensor, instances: Tensor, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("centroids", centroids.clone(), persistent=False)
        self.register_buffer("instances", instances, persistent=False)

    def update(self, seen: MemoryUpdate) -> None:
        """Overwrite slots, move centroids.

        Raises:
            UserError: more images of a cluster than it has slots.
        """
        slots = turn_of(seen.labels)
        if slots.max() >= len(self.instances):
            raise UserError(
                f"a cluster occurs {slots.max() + 1} times in a batch, but the memory holds "
                f"{len(self.instances)} instances of each. Raise sampling.instances."
            )
        where = (on_device(place, self.instances.device) for place in (slots, seen.labels))
        self.instances[tuple(where)] = seen.embeddings
        blend_mean_(self.centroids, seen.labels, seen.embeddings, self.momentum)


def drawn_instances(labels: np.ndarray, slots: int, rng: np.random.RandomState) -> np.ndarray:
    """Image indices (K, C): for every cluster K of its images, with replacement.

    Args:
        labels: (N,) pseudo-labels 0..C-1, -1 for outliers.
        slots: K.
        rng: one draw of size K per cluster, clusters ascending.
    """
    size = (labels.max() + 1, slots)
    order, bounds = members_by_class(labels, size[0])
    return order[rng.randint(bounds[:-1, None], bounds[1:, None], size)].T


def instance_rows(features: Tensor, chosen: np.ndarray) -> Tensor:
    """Unit features (K, C, D) of the chosen images (K, C)."""
    rows = features[torch.as_tensor(chosen, device=features.device)]
    return F.normalize(rows, dim=-1, out=rows)
