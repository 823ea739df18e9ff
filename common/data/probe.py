"""Whether one image file can be used, and why not."""

import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM")
"""What every reader of ours may open, whatever the file's name says: for EPS and its kind Pillow
runs programs."""

MAX_PIXELS = 50_000_000

_BY_SUFFIX = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".webp": "WEBP"}
_ORIENTATION = 0x0112
_TURNED = range(2, 9)  # EXIF orientations other than upright; 0 and above 8 mean nothing
_PNG_DEPTH = 24  # place of the bit depth in a PNG file


def probe(path: str) -> str:
    """What is wrong with an image file; "" if nothing is. The image is decoded in full."""
    try:
        if Path(path).stat().st_size == 0:
            return "empty file (0 bytes)"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged metadata warns; the pixels are what counts
            with Image.open(path, formats=FORMATS) as image:
                return _from_header(image, path) or _decoded(image) or _turned(image)
    except UnidentifiedImageError:
        return "not an image, or a damaged header"
    except Image.DecompressionBombError as error:
        return f"absurdly large: {error}"
    except Exception as error:  # whatever a decoder makes of a damaged file is the finding
        return _reason(error)


def probe_all(paths: list[str]) -> list[str]:
    """`probe` for each of some files."""
    return [probe(path) for path in paths]


def _from_header(image: Image.Image, path: str) -> str:
    width, height = image.size
    if width * height > MAX_PIXELS:
        return f"absurdly large: {width} x {height} pixels, at most {MAX_PIXELS:,} are read"
    suffix = Path(path).suffix.lower()
    content = "JPEG" if image.format == "MPO" else image.format  # several JPEGs in one file
    if content != _BY_SUFFIX.get(suffix, content):
        return f"content is {content}, the name says {suffix}"
    if image.mode == "CMYK":
        return "CMYK colours (4 channels)"
    if image.mode[:2] in ("I;", "I", "F") or (content == "PNG" and _png_depth(path) == 16):
        return "16 bits or more per channel"
    return ""


def _png_depth(path: str) -> int:
    with Path(path).open("rb") as file:
        return file.read(_PNG_DEPTH + 1)[_PNG_DEPTH]


def _decoded(image: Image.Image) -> str:
    image.load()
    return ""


def _turned(image: Image.Image) -> str:
    """Last, because a PNG file may name its orientation behind the pixels."""
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # EXIF data that nobody can read turn nothing
        return ""
    if orientation not in _TURNED:
        return ""
    return f"turned by EXIF orientation {orientation}; its pixels lie otherwise than shown"


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if "truncated" in text.lower():
        return f"truncated: {text}"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return f"cannot be decoded: {text}"
