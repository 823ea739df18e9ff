"""What is asked of the images of a split, and what answers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from common.data.augment import Draw

Views = tuple[Tensor, ...]
"""V float32 tensors (B, 3, H, W), normalized."""


@dataclass(frozen=True)
class Request:
    """One batch.

    Args:
        indices: (B, V) int64, the image that each view shows.
        draws: V draws of B rows for the training transform; None for the test transform.
    """

    indices: np.ndarray
    draws: tuple[Draw, ...] | None

    def views(self) -> list[tuple[np.ndarray, Draw | None]]:
        """Image indices (B,) and draw of each view."""
        draws = self.draws or (None,) * self.indices.shape[1]
        return list(zip(self.indices.T, draws, strict=True))


class ImageSource(Protocol):
    """The images of one split, in index order. All kinds give the same numbers."""

    def __len__(self) -> int: ...

    def batches(self, requests: Iterable[Request]) -> Iterator[Views]:
        """Views on the device, in the order of the requests.

        Requests may be taken a few ahead of what was yielded, always in the caller's thread.
        """
        ...
