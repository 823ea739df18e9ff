"""Things between camera and person."""

from typing import Literal

import numpy as np
from PIL.ImageDraw import ImageDraw

from common.data.synthetic.palette import Color, scaled
from common.data.synthetic.scene import CANVAS

Occluder = Literal["rail", "post", "box", "plants"]
OCCLUDERS: tuple[Occluder, ...] = ("rail", "post", "box", "plants")


def draw_occluder(pen: ImageDraw, kind: Occluder, color: Color, rng: np.random.Generator) -> None:
    """Draw one at a random place; most cover the legs, a post covers a part of everything."""
    match kind:
        case "rail":
            _rail(pen, color, rng)
        case "post":
            _post(pen, color, rng)
        case "box":
            _box(pen, color, rng)
        case "plants":
            _plants(pen, rng)


def _rail(pen: ImageDraw, color: Color, rng: np.random.Generator) -> None:
    width, height = CANVAS
    top = rng.uniform(0.4, 0.7) * height
    for bar in range(4):
        pen.rectangle((0, top + 26 * bar, width, top + 26 * bar + 7), fill=color)
    for x in range(int(rng.integers(40)), width, 44):
        pen.rectangle((x, top, x + 5, height), fill=scaled(color, 0.7))


def _post(pen: ImageDraw, color: Color, rng: np.random.Generator) -> None:
    width, height = CANVAS
    x = rng.uniform(0.1, 0.7) * width
    pen.rectangle((x, 0, x + 26, height), fill=color)
    pen.rectangle((x + 20, 0, x + 26, height), fill=scaled(color, 0.7))


def _box(pen: ImageDraw, color: Color, rng: np.random.Generator) -> None:
    width, height = CANVAS
    top, left = rng.uniform(0.5, 0.75) * height, rng.uniform(-0.2, 0.4) * width
    right = left + rng.uniform(0.6, 0.9) * width
    pen.rectangle((left, top, right, height), fill=color)
    pen.rectangle((left, top, right, top + 9), fill=scaled(color, 0.7))


def _plants(pen: ImageDraw, rng: np.random.Generator) -> None:
    width, height = CANVAS
    top = rng.uniform(0.5, 0.75) * height
    for _ in range(32):
        x, y = rng.uniform(0, width), rng.uniform(top, height)
        leaf = scaled((62, 104, 52), rng.uniform(0.6, 1.2))
        pen.ellipse((x - 6, y - 16, x + 6, y + 16), fill=leaf)
