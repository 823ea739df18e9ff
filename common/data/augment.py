"""What chance decides about the images of a batch: flips, crops and erased boxes."""

import math
import random
from dataclasses import dataclass

import numpy as np
import torch

from common.recipe import Augment
from common.streams import Stream

ATTEMPTS = 100  # tries to place an erased box before the image is left as it is
NO_BOX = (0, 0, 0, 0)


@dataclass(frozen=True)
class Draw:
    """What was drawn for B images, one row per image, on the host.

    Args:
        flip: (B,) bool.
        top, left: (B,) int64 corner of the crop in the padded image, in [0, 2 * pad].
        box: (B, 4) int64 top, left, height, width of the erased box in the cropped image;
            height 0 where nothing is erased.
    """

    flip: np.ndarray
    top: np.ndarray
    left: np.ndarray
    box: np.ndarray

    def __len__(self) -> int:
        return len(self.flip)

    def take(self, index: np.ndarray | slice) -> "Draw":
        """The rows at `index`: positions, a mask or a slice."""
        return Draw(self.flip[index], self.top[index], self.left[index], self.box[index])


def draw_batch(stream: Stream, count: int, height: int, width: int, augment: Augment) -> Draw:
    """Draw the training transform of `count` images.

    From `stream.torch` come all flips, then all tops, then all lefts, as many numbers for any
    probability and padding; from `stream.python` the boxes, image by image. So switching off one
    part of the transform leaves the others as they were.

    Args:
        height, width: size of the images in pixels, before padding and after the crop.
    """
    flip = torch.rand(count, generator=stream.torch) < augment.flip
    top, left = torch.randint(2 * augment.pad + 1, (2, count), generator=stream.torch)
    drawn = (draw_erasing_box(stream.python, height, width, augment) for _ in range(count))
    boxes = [box or NO_BOX for box in drawn]
    box = np.array(boxes, np.int64).reshape(count, 4)
    return Draw(flip.numpy(), top.numpy(), left.numpy(), box)


def draw_erasing_box(
    rng: random.Random, height: int, width: int, augment: Augment
) -> tuple[int, int, int, int] | None:
    """Box of random erasing (Zhong et al., 2020, arXiv:1708.04896), as the released code draws it.

        area = U(erase_area) * H * W,   r = U(erase_ratio)
        h = round(sqrt(area * r)),      w = round(sqrt(area / r))

    until h < H and w < W, at most 100 times. The ratio is uniform, not log-uniform as in
    torchvision, and the corner may touch every border.

    Args:
        rng: consumed as the released code consumes Python's generator.

    Returns:
        Top, left, height and width, of which the last two may round to 0; None where no box is
        drawn.
    """
    if rng.uniform(0, 1) >= augment.erase:
        return None
    for _ in range(ATTEMPTS):
        area = rng.uniform(*augment.erase_area) * (height * width)
        ratio = rng.uniform(*augment.erase_ratio)
        h = round(math.sqrt(area * ratio))
        w = round(math.sqrt(area / ratio))
        if h < height and w < width:
            top = rng.randint(0, height - h)
            return top, rng.randint(0, width - w), h, w
    return None
