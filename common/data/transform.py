"""The one transform of all methods, from a file to a normalized tensor, for one image.

Written plainly: this is what the batched forms in `pixels.py` and `fused.py` must equal bit
by bit.
"""

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from common.data.augment import Draw
from common.data.probe import FORMATS
from common.errors import UserError

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
ERASED = (0.485, 0.456, 0.406)
"""What an erased box holds after normalization. The released code erases last and writes the
mean's numbers, so boxes are slightly brighter than the mean colour, which would be 0."""


def read_image(path: str, height: int, width: int) -> Image.Image:
    """The image as RGB, resized to exactly (height, width) by PIL's bicubic filter.

    Everything random comes later, so the result may be kept. As in the released code the
    proportions are not kept, transparency is ignored and an EXIF rotation tag is not obeyed:
    the published sets have none, and the check of a data set reports such files.

    Raises:
        UserError: the file is no image that can be read, or has no defined range of values.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            return _rgb(image).resize((width, height), Image.Resampling.BICUBIC)
    except Exception as error:  # Pillow's decoders raise almost anything on a damaged file
        reason = str(error) or type(error).__name__
        raise UserError(
            f"{path} cannot be read as an image ({reason}). Replace the file; "
            "`tools data check` names all that cannot be used."
        ) from None


def augment_image(image: Image.Image, draw: Draw, row: int, pad: int) -> Tensor:
    """Training transform after resizing: flip, pad with black, crop, normalize, erase.

    Args:
        image: H x W, RGB.
        draw: row `row` is this image's.
        pad: black pixels added on all sides before the crop.

    Returns:
        (3, H, W) float32.
    """
    width, height = image.size
    if draw.flip[row]:
        image = ImageOps.mirror(image)
    image = ImageOps.expand(image, border=pad, fill=0)
    top, left = int(draw.top[row]), int(draw.left[row])
    image = image.crop((left, top, left + width, top + height))
    tensor = normalize_image(image)
    top, left, tall, wide = draw.box[row].tolist()
    tensor[:, top : top + tall, left : left + wide] = torch.tensor(ERASED)[:, None, None]
    return tensor


def normalize_image(image: Image.Image) -> Tensor:
    """Test transform after resizing: (value / 255 - mean) / std in float32, (3, H, W)."""
    values = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    return normalize(values)


def normalize(values: Tensor) -> Tensor:
    """(value / 255 - mean) / std in float32, in this order of operations.

    Args:
        values: (3, ...) uint8.
    """
    shape = (3, *[1] * (values.dim() - 1))
    mean, std = torch.tensor(MEAN).view(shape), torch.tensor(STD).view(shape)
    return values.float().div(255).sub(mean).div(std)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # keep the upper 8 bits; Pillow would clip at 255
        values = np.asarray(image).astype(np.uint16) >> 8
        image = Image.fromarray(values.astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode!r} have no defined range")
    return image.convert("RGB")
