"""Thumbnails of good, odd and broken image files."""

import io

import numpy as np
import pytest
from PIL import Image

from common.data import thumbnails
from common.data.thumbnails import thumbnail, thumbnail_box

BOX = (64, 128)


def opened(content):
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize(
    ("size", "expected"), [((256, 128), (64, 128)), ((224, 224), (91, 91)), ((64, 32), (64, 128))]
)
def test_a_box_has_the_input_shape_and_the_usual_area(size, expected):
    assert thumbnail_box(*size) == expected


@pytest.mark.parametrize(("width", "height"), [(30, 90), (900, 700), (64, 128), (1, 500)])
def test_proportions_are_kept_within_the_box(tmp_path, width, height):
    Image.new("RGB", (width, height), "red").save(tmp_path / "a.png")

    small = opened(thumbnail(tmp_path / "a.png", BOX))

    assert small.format == "JPEG"
    assert (small.width <= BOX[0], small.height <= BOX[1]) == (True, True)
    assert small.width == BOX[0] or small.height == BOX[1]
    assert abs(small.width / small.height - width / height) < 0.02 or small.width == 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "I", "RGB"])
def test_any_colour_mode_becomes_a_plain_jpeg(tmp_path, mode):
    Image.new(mode, (20, 40)).save(tmp_path / "a.tif" if mode == "CMYK" else tmp_path / "a.tiff")
    path = next(tmp_path.iterdir())

    assert opened(thumbnail(path, BOX)).mode == "RGB"


def test_sixteen_bits_keep_their_brightness(tmp_path):
    Image.fromarray(np.full((40, 20), 128 * 256, dtype=np.uint16)).save(tmp_path / "a.png")

    pixels = np.asarray(opened(thumbnail(tmp_path / "a.png", BOX)))

    assert abs(pixels.mean() - 128) < 2


def test_transparent_pixels_turn_white(tmp_path):
    Image.new("RGBA", (20, 40), (0, 0, 0, 0)).save(tmp_path / "a.png")

    assert np.asarray(opened(thumbnail(tmp_path / "a.png", BOX))).min() > 250


def test_a_turned_photograph_stands_upright(tmp_path):
    image = Image.new("RGB", (80, 40), "blue")
    exif = image.getexif()
    exif[0x0112] = 6  # the camera was held on its side
    image.save(tmp_path / "a.jpg", exif=exif)

    small = opened(thumbnail(tmp_path / "a.jpg", BOX))

    assert small.height > small.width


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff\xe0" + bytes(50)])
def test_a_broken_file_has_no_thumbnail(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)

    assert thumbnail(tmp_path / "a.jpg", BOX) is None


def test_a_truncated_file_has_no_thumbnail(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg")
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2])

    assert thumbnail(tmp_path / "a.jpg", BOX) is None


def test_a_file_whose_exif_data_cannot_be_written_again_has_no_thumbnail(tmp_path):
    image = Image.new("RGB", (80, 40), "blue")
    exif = image.getexif()
    exif[0x0112] = 6  # to turn it, Pillow writes the rest anew
    exif[0x010E] = "a description"
    image.save(tmp_path / "a.jpg", exif=exif)
    whole = (tmp_path / "a.jpg").read_bytes()
    damaged = whole.replace(b"\x01\x0e\x00\x02", b"\x01\x01\x00\x02")  # now an image's height
    assert damaged != whole
    (tmp_path / "a.jpg").write_bytes(damaged)

    assert thumbnail(tmp_path / "a.jpg", BOX) is None


def test_a_missing_file_has_no_thumbnail(tmp_path):
    assert thumbnail(tmp_path / "a.jpg", BOX) is None


def test_an_absurdly_large_image_is_not_decoded(tmp_path, monkeypatch):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    monkeypatch.setattr(thumbnails, "MAX_PIXELS", 40 * 40 - 1)

    assert thumbnail(tmp_path / "a.png", BOX) is None
