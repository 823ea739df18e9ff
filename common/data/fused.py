"""The transform of a whole batch on the CPU in one pass over the pixels, compiled by numba."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def augment_rows(
    pixels: np.ndarray,
    index: np.ndarray,
    flip: np.ndarray,
    top: np.ndarray,
    left: np.ndarray,
    box: np.ndarray,
    pad: int,
    table: np.ndarray,
    erased: np.ndarray,
    out: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Write images `start` to `stop` of a batch: gather, flip, pad, crop, normalize, erase.

    Args:
        pixels: (N, 3, H, W) uint8, resized images.
        index: (B,) which of them; not checked.
        flip, top, left, box: as in `Draw`.
        pad: black pixels added on all sides before the crop.
        table: (3, 256) float32, the normalized value of every channel and byte.
        erased: (3,) float32, written into the box.
        out: (B, 3, H, W) float32, changed in place.
    """
    height, width = pixels.shape[2:]
    for image in range(start, stop):
        down, right = top[image] - pad, left[image] - pad
        first, last = max(0, -right), min(width, width - right)
        for channel in range(3):
            values = table[channel]
            for y in range(height):
                row = out[image, channel, y]
                if y + down < 0 or y + down >= height or first >= last:
                    row[:] = values[0]
                    continue
                source = pixels[index[image], channel, y + down]
                row[:first] = values[0]
                if flip[image]:
                    for x in range(first, last):
                        row[x] = values[source[width - 1 - x - right]]
                else:
                    for x in range(first, last):
                        row[x] = values[source[x + right]]
                row[last:] = values[0]
            y, x, tall, wide = box[image]
            out[image, channel, y : y + tall, x : x + wide] = erased[channel]


@njit(cache=True, nogil=True)
def normalize_rows(
    pixels: np.ndarray,
    index: np.ndarray,
    table: np.ndarray,
    out: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Write images `start` to `stop` of a batch: gather and normalize."""
    for image in range(start, stop):
        for channel in range(3):
            values = table[channel]
            source, target = pixels[index[image], channel], out[image, channel]
            for y in range(source.shape[0]):
                for x in range(source.shape[1]):
                    target[y, x] = values[source[y, x]]
