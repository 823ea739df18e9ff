"""A camera: where it looks, and what it does to light, colour and detail."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from common.data.synthetic.occluder import OCCLUDERS, Occluder
from common.data.synthetic.palette import Color, one_of, scaled
from common.data.synthetic.scene import any_color, paint_scene
from common.data.synthetic.strength import Strength

DIRECTIONS = (0, 180, 90, -40, 145, -90, 40, -145)  # degrees: front, back, side, oblique, ...


@dataclass(frozen=True)
class Camera:
    """What is the same in every image of a camera.

    Args:
        scene: the background; an image shows a part of it.
        direction: usual yaw of the people in degrees.
        occluder, occluder_color: what may stand before the people.
        gain: (3,) exposure times colour cast.
        gamma: exponent of the response curve.
        saturation: share of the colour that is left.
        black: (3,) level of a black pixel in [0, 1].
        noise: sigma of the pixel noise in [0, 1].
        blur: Gaussian radius in pixels.
        resolution: share to which the image is reduced before it is enlarged again.
        quality: of the JPEG file.
        vignette: (H, W, 1) factor of the light.
    """

    scene: Image.Image
    direction: float
    occluder: Occluder
    occluder_color: Color
    gain: np.ndarray
    gamma: float
    saturation: float
    black: np.ndarray
    noise: float
    blur: float
    resolution: float
    quality: int
    vignette: np.ndarray


def draw_camera(
    rng: np.random.Generator, strength: Strength, number: int, height: int, width: int
) -> Camera:
    """Camera `number` (from 0) of a set, for images of this size."""
    cast = np.exp(rng.normal(0, strength.cast, 3))
    exposure = np.exp(rng.normal(0, strength.exposure))
    down, across = rng.uniform(-1, 1, 2) * strength.vignette
    return Camera(
        scene=paint_scene(rng),
        direction=DIRECTIONS[number % len(DIRECTIONS)] + rng.normal(0, 10),
        occluder=one_of(rng, OCCLUDERS),
        occluder_color=scaled(any_color(rng), 0.8),
        gain=(exposure * cast / cast.mean()).astype(np.float32),
        gamma=float(np.exp(rng.normal(0, strength.gamma))),
        saturation=rng.uniform(*strength.saturation),
        black=(rng.uniform(0, strength.black, 3) * rng.random() / 255).astype(np.float32),
        noise=strength.noise / 255 * rng.uniform(0.2, 1),
        blur=rng.uniform(0, strength.blur),
        resolution=rng.uniform(*strength.resolution),
        quality=int(rng.integers(strength.quality[0], strength.quality[1] + 1)),
        vignette=1 + _ramp(height, down)[:, None, None] + _ramp(width, across)[None, :, None],
    )


def record(
    camera: Camera, view: Image.Image, strength: Strength, rng: np.random.Generator
) -> bytes:
    """The JPEG file that the camera makes of what it sees (an RGB image of the final size)."""
    width, height = view.size
    if camera.resolution < 1:
        small = (round(camera.resolution * width), round(camera.resolution * height))
        view = view.resize(small, Image.Resampling.BILINEAR).resize(
            (width, height), Image.Resampling.BILINEAR
        )
    view = view.filter(ImageFilter.GaussianBlur(camera.blur * rng.uniform(0.5, 1.2)))

    light = np.exp(rng.normal(0, strength.light)) * (
        1 + _ramp(width, rng.normal(0, strength.light))
    )
    pixels = np.asarray(view, dtype=np.float32) / 255
    pixels = pixels * camera.vignette * light[None, :, None].astype(np.float32) * camera.gain
    pixels **= camera.gamma
    gray = pixels.mean(axis=2, keepdims=True)
    pixels = gray + camera.saturation * (pixels - gray)
    pixels = camera.black + (1 - camera.black) * pixels
    pixels += camera.noise * rng.standard_normal(pixels.shape, dtype=np.float32)

    file = io.BytesIO()
    image = Image.fromarray((255 * np.clip(pixels, 0, 1)).round().astype(np.uint8))
    image.save(file, "JPEG", quality=camera.quality)
    return file.getvalue()


def _ramp(length: int, height: float) -> np.ndarray:
    """(length,) float32 from -height to height."""
    return np.linspace(-height, height, length, dtype=np.float32)
