"""Small copies of image files for pages that people look at."""

import io
import math
from pathlib import Path

from PIL import Image, ImageOps

from common.data.probe import FORMATS, MAX_PIXELS

AREA = 64 * 128  # pixels of a thumbnail that fills its box
QUALITY = 70


def thumbnail_box(height: int, width: int) -> tuple[int, int]:
    """(width, height) with the shape of a network's input and the area of 64 x 128 pixels."""
    scale = math.sqrt(AREA / (height * width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def thumbnail(path: str | Path, box: tuple[int, int]) -> bytes | None:
    """A JPEG of at most `box` = (width, height) pixels with the image's own proportions.

    Turned upright as its EXIF tag asks; 16-bit, palette, CMYK and transparent images become RGB.

    Returns:
        The file's bytes, or None where the image is missing, unreadable or absurdly large.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            image.draft("RGB", (2 * box[0], 2 * box[1]))  # JPEG only: decode at a lower size
            upright = ImageOps.exif_transpose(image)
            scale = min(box[0] / upright.width, box[1] / upright.height)
            size = max(1, round(upright.width * scale)), max(1, round(upright.height * scale))
            small = _rgb(upright).resize(size, Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            small.save(buffer, "JPEG", quality=QUALITY, optimize=True)
            return buffer.getvalue()
    except Exception:  # Pillow's decoders raise almost anything on a damaged file
        return None


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bit: keep the upper 8
        return image.point(lambda value: value / 256).convert("L").convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")
