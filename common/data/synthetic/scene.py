"""What a camera sees behind the people."""

import numpy as np
from PIL import Image, ImageDraw

from common.data.synthetic.palette import Color, one_of, scaled

SCENE = (480, 320)  # width and height of what a camera surveys
CANVAS = (128, 256)  # of a drawn image, twice the stored one
LEVEL = (118.0, 132.0)  # mean of a scene: with more spread the background would name the camera
VALUES = (80.0, 180.0)  # brightness of painted things
TINT = 22.0  # sigma of their colours
GRAIN = 28.0  # largest sigma of a surface's grain


def paint_scene(rng: np.random.Generator) -> Image.Image:
    """A wall, a tiled floor, boxes, posts and plants, in pale colours with little contrast."""
    scene = Image.new("RGB", SCENE)
    pen = ImageDraw.Draw(scene)
    horizon = rng.uniform(0.35, 0.6) * SCENE[1]
    _wall(pen, rng, horizon)
    _floor(pen, rng, horizon)
    for _ in range(int(rng.integers(10, 19))):
        _thing(pen, rng, horizon)
    pixels = np.asarray(scene, dtype=np.float32) + _texture(rng, horizon)
    gray = pixels.mean(axis=2, keepdims=True)
    pale = gray + 0.45 * (pixels - gray)
    flat = rng.uniform(*LEVEL) + 0.70 * (pale - pale.mean(axis=(0, 1)))
    return Image.fromarray(np.clip(flat, 0, 255).astype(np.uint8))


def view_of(scene: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A random part of the scene, as large as the canvas."""
    left = int(rng.integers(SCENE[0] - CANVAS[0] + 1))
    top = int(rng.integers(SCENE[1] - CANVAS[1] + 1))
    return scene.crop((left, top, left + CANVAS[0], top + CANVAS[1]))


def any_color(rng: np.random.Generator) -> Color:
    """Not too bright, not too dark, of any hue."""
    red, green, blue = np.clip(rng.uniform(*VALUES) + rng.normal(0, TINT, 3), 0, 255)
    return round(red), round(green), round(blue)


def _wall(pen: ImageDraw.ImageDraw, rng: np.random.Generator, horizon: float) -> None:
    """Bricks or panels, with one to three windows or doors."""
    width = SCENE[0]
    color = any_color(rng)
    pen.rectangle((0, 0, width, horizon), fill=color)
    joint = scaled(color, rng.uniform(0.45, 0.75))
    high, long = int(rng.integers(12, 48)), int(rng.integers(24, 90))
    for row, y in enumerate(range(0, int(horizon), high)):
        pen.line((0, y, width, y), fill=joint, width=2)
        for x in range(-(row % 2) * long // 2, width, long):
            pen.line((x, y, x, min(y + high, horizon)), fill=joint, width=2)
    for _ in range(int(rng.integers(1, 4))):
        left, wide, top = rng.uniform(0, width), rng.uniform(30, 80), rng.uniform(0, 0.5) * horizon
        pen.rectangle((left, top, left + wide, horizon), fill=any_color(rng))


def _floor(pen: ImageDraw.ImageDraw, rng: np.random.Generator, horizon: float) -> None:
    """Tiles in perspective."""
    width, height = SCENE
    color = any_color(rng)
    pen.rectangle((0, horizon, width, height), fill=color)
    joint = scaled(color, rng.uniform(0.5, 0.8))
    vanishing = rng.uniform(0.2, 0.8) * width
    for x in range(-3 * width, 4 * width, int(rng.integers(40, 120))):
        pen.line((vanishing + 0.1 * (x - vanishing), horizon, x, height), fill=joint, width=2)
    for row in range(1, 12):
        y = horizon + (height - horizon) * (row / 11) ** 2
        pen.line((0, y, width, y), fill=joint, width=2)


def _thing(pen: ImageDraw.ImageDraw, rng: np.random.Generator, horizon: float) -> None:
    x, base = rng.uniform(0, SCENE[0]), horizon + rng.uniform(-20, 110)
    color = any_color(rng)
    match one_of(rng, ("box", "post", "plant")):
        case "box":
            wide, high = rng.uniform(20, 70), rng.uniform(20, 80)
            pen.rectangle((x, base - high, x + wide, base), fill=color)
            pen.rectangle((x, base - high, x + wide, base - 0.85 * high), fill=scaled(color, 1.2))
        case "post":
            pen.rectangle((x, 0, x + rng.uniform(5, 14), base), fill=scaled(color, 0.7))
        case "plant":
            for _ in range(30):
                left, top = x + rng.normal(0, 18), base - abs(rng.normal(0, 35))
                leaf = scaled((55, 110, 55), rng.uniform(0.7, 1.3))
                pen.ellipse((left - 5, top - 9, left + 5, top + 9), fill=leaf)


def _texture(rng: np.random.Generator, horizon: float) -> np.ndarray:
    """(height, width, 1) uneven brightness: broad blotches, and a grain of wall and of floor."""
    wall, floor = (_grain(rng, rng.uniform(0, GRAIN), rng.uniform(2, 8)) for _ in range(2))
    below = np.arange(SCENE[1])[:, None] > horizon
    return (_grain(rng, 10, 16) + np.where(below, floor, wall))[:, :, None]


def _grain(rng: np.random.Generator, sigma: float, pixels: float) -> np.ndarray:
    """(height, width) smooth noise with details of this size."""
    width, height = SCENE
    knots = rng.normal(0, sigma, (round(height / pixels), round(width / pixels)))
    coarse = Image.fromarray(knots.astype(np.float32))
    return np.asarray(coarse.resize(SCENE, Image.Resampling.BICUBIC))
