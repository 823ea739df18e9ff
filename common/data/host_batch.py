"""A batch on the CPU: compiled where numba can be imported, tensor operations elsewhere."""

import functools
import logging

import numpy as np
import torch
from torch import Tensor

from common.data.augment import Draw
from common.data.pixels import normalization_table, transform_batch
from common.data.transform import ERASED

try:
    from common.data import fused
except ImportError:  # numba is missing or does not support this Python or NumPy yet
    AVAILABLE = False
else:
    AVAILABLE = True

_log = logging.getLogger(__name__)


def host_batch(pixels: Tensor, index: np.ndarray, draw: Draw | None, pad: int) -> Tensor:
    """Training or test transform of B of the resized images.

    Args:
        pixels: (N, 3, H, W) uint8 on the host.
        index: (B,) int64 in [0, N).
        draw: B rows; None for the test transform.
        pad: black pixels added on all sides before the crop.

    Returns:
        (B, 3, H, W) float32.

    Raises:
        IndexError: an index of no image.
    """
    if not AVAILABLE:
        _report_missing()
        return transform_batch(pixels[torch.from_numpy(index)], draw, pad)
    if len(index) and not 0 <= index.min() <= index.max() < len(pixels):
        raise IndexError(f"image index out of range 0..{len(pixels) - 1}")  # numba does not check
    out = _empty((len(index), *pixels.shape[1:]))
    table = normalization_table().numpy()
    index = np.ascontiguousarray(index)  # another layout would be compiled for apart
    if draw is None:
        fused.normalize_into(pixels.numpy(), index, table, out)
    else:
        drawn = [np.ascontiguousarray(a) for a in (draw.flip, draw.top, draw.left, draw.box)]
        erased = np.array(ERASED, np.float32)
        fused.augment_into(pixels.numpy(), index, *drawn, pad, table, erased, out)
    return torch.from_numpy(out)


def _empty(shape: tuple[int, ...]) -> np.ndarray:
    """Float32 memory at a multiple of 64 bytes, as torch would give it.

    From NumPy, because it asks the system for huge pages: a batch of 256 x 128 images is 100
    MB, and touching that in small pages takes longer than computing what is written.
    """
    size = int(np.prod(shape))
    spare = np.empty(size + 16, np.float32)
    first = -spare.ctypes.data % 64 // 4
    return spare[first : first + size].reshape(shape)


@functools.cache
def _report_missing() -> None:
    _log.warning("numba cannot be imported: images take the slower tensor form, same numbers.")
