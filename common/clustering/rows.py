"""Rows of a sparse matrix."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class SparseRows:
    """N sparse rows, one after the other, on any device.

    Args:
        starts: (N + 1,) int64; row i holds the entries starts[i] to starts[i + 1].
        columns: (E,) int32 or int64.
        values: (E,) float32, positive.
        order: (N,) int32 point of each row and column; None: they are numbered like the points.
    """

    starts: Tensor
    columns: Tensor
    values: Tensor
    order: Tensor | None = None

    def numpy(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.starts.numpy(), self.columns.numpy(), self.values.numpy()
