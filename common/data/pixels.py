"""The transform of a whole batch by tensor operations, on any device."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from common.data.augment import Draw
from common.data.transform import ERASED, normalize
from common.transfer import on_device


def transform_batch(pixels: Tensor, draw: Draw | None, pad: int) -> Tensor:
    """Flip, pad, crop, normalize and erase a batch of resized images.

    Args:
        pixels: (B, 3, H, W) uint8, resized images.
        draw: B rows; None for the test transform, which only normalizes.
        pad: black pixels added on all sides before the crop.

    Returns:
        (B, 3, H, W) float32 on the device of `pixels`.
    """
    if draw is None:
        return normalized(pixels)
    on = pixels.device
    flip, top, left, box = (on_device(a, on) for a in (draw.flip, draw.top, draw.left, draw.box))
    height, width = pixels.shape[2:]
    padded = F.pad(pixels, (pad,) * 4)
    y = torch.arange(height, device=on)
    x = torch.arange(width, device=on)
    rows = y + top[:, None]
    columns = x + left[:, None]
    columns = torch.where(flip[:, None], padded.shape[3] - 1 - columns, columns)
    cropped = padded.gather(2, rows[:, None, :, None].expand(-1, 3, -1, padded.shape[3]))
    cropped = cropped.gather(3, columns[:, None, None, :].expand(-1, 3, height, -1))

    top, left, tall, wide = box.T[..., None]
    inside_y = (y >= top) & (y < top + tall)
    inside_x = (x >= left) & (x < left + wide)
    inside = inside_y[:, None, :, None] & inside_x[:, None, None, :]
    erased = on_device(torch.tensor(ERASED), on).view(3, 1, 1)
    return torch.where(inside, erased, normalized(cropped))


def normalized(pixels: Tensor) -> Tensor:
    """(value / 255 - mean) / std by table, so that every device gives the same bits.

    Args:
        pixels: (B, 3, H, W) uint8.
    """
    table = on_device(normalization_table(), pixels.device)
    entry = pixels + 256 * torch.arange(3, device=pixels.device).view(3, 1, 1)  # int64
    return table.take(entry)


@functools.cache
def normalization_table() -> Tensor:
    """(3, 256) float32: the normalized value of every channel and byte, on the host."""
    return normalize(torch.arange(256).expand(3, 256))
