"""Colours of skin, hair and clothes, and how often people wear them."""

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from common.data.synthetic.streams import Part

Color = tuple[int, int, int]
Choice = TypeVar("Choice")

SKIN: tuple[Color, ...] = (
    (244, 208, 182),
    (226, 180, 148),
    (198, 148, 112),
    (150, 104, 74),
    (96, 64, 46),
)
HAIR: tuple[Color, ...] = (
    (24, 20, 20),
    (52, 36, 26),
    (96, 64, 38),
    (168, 126, 70),
    (150, 148, 146),
    (132, 58, 30),
)


@dataclass(frozen=True)
class Prototype:
    """A usual colour of clothes: hue, saturation and value in [0, 1], and its weight."""

    hue: float
    saturation: float
    value: float
    weight: float


CLOTHES: dict[Part, tuple[Prototype, ...]] = {
    "a": (
        Prototype(0.62, 0.15, 0.13, 14),  # dark
        Prototype(0.12, 0.03, 0.93, 12),  # white
        Prototype(0.62, 0.60, 0.28, 12),  # navy
        Prototype(0.60, 0.04, 0.70, 9),  # light grey
        Prototype(0.99, 0.78, 0.68, 9),  # red
        Prototype(0.60, 0.05, 0.42, 8),  # grey
        Prototype(0.07, 0.50, 0.36, 8),  # brown
        Prototype(0.58, 0.65, 0.68, 6),  # blue
        Prototype(0.37, 0.55, 0.42, 5),  # green
        Prototype(0.10, 0.32, 0.76, 5),  # beige
        Prototype(0.14, 0.72, 0.85, 3),  # yellow
        Prototype(0.94, 0.38, 0.86, 3),  # pink
        Prototype(0.21, 0.42, 0.38, 2),  # olive
        Prototype(0.77, 0.45, 0.50, 2),  # purple
        Prototype(0.06, 0.80, 0.85, 2),  # orange
    ),
    "b": (
        Prototype(0.05, 0.10, 0.10, 8),  # black
        Prototype(0.15, 0.10, 0.96, 8),  # cream
        Prototype(0.55, 0.40, 0.75, 10),  # light blue
        Prototype(0.58, 0.45, 0.45, 12),  # denim
        Prototype(0.45, 0.50, 0.40, 8),  # teal
        Prototype(0.30, 0.45, 0.60, 8),  # leaf green
        Prototype(0.11, 0.45, 0.55, 10),  # khaki
        Prototype(0.02, 0.55, 0.50, 8),  # brick
        Prototype(0.08, 0.25, 0.85, 6),  # sand
        Prototype(0.83, 0.35, 0.45, 6),  # plum
        Prototype(0.92, 0.55, 0.75, 4),  # rose
        Prototype(0.70, 0.45, 0.65, 4),  # lilac
        Prototype(0.13, 0.85, 0.90, 3),  # yellow
        Prototype(0.00, 0.85, 0.80, 3),  # scarlet
        Prototype(0.60, 0.03, 0.55, 2),  # grey
    ),
}

ACCESSORIES = (
    Prototype(0.62, 0.15, 0.12, 40),  # black
    Prototype(0.10, 0.05, 0.88, 18),  # white
    Prototype(0.07, 0.50, 0.33, 16),  # brown
    Prototype(0.60, 0.05, 0.40, 12),  # grey
    Prototype(0.62, 0.50, 0.30, 14),  # navy
)
COLORFUL = 0.3  # share of the accessories that have a colour of clothes
DISTINCT = 40.0  # distance in RGB from which two colours can be told apart


def pick(rng: np.random.Generator, weights: Mapping[Choice, float]) -> Choice:
    """One of the keys, as often as its weight says."""
    limit = rng.random() * sum(weights.values())
    for choice, weight in weights.items():
        limit -= weight
        if limit < 0:
            return choice
    return choice


def one_of(rng: np.random.Generator, options: Sequence[Choice]) -> Choice:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def scaled(color: Color, factor: float) -> Color:
    """A darker (factor < 1) or lighter colour."""
    red, green, blue = (min(255, round(factor * value)) for value in color)
    return red, green, blue


def clothes_color(rng: np.random.Generator, part: Part) -> Color:
    """A colour of clothes."""
    return _colored_like(rng, CLOTHES[part])


def accessory_color(rng: np.random.Generator, part: Part) -> Color:
    """A colour of shoes, bags, hats and belts: mostly plain."""
    return _colored_like(rng, CLOTHES[part] if rng.random() < COLORFUL else ACCESSORIES)


def _colored_like(rng: np.random.Generator, prototypes: Sequence[Prototype]) -> Color:
    """A prototype with a little of its own: hue +-0.025, saturation and value +-20 %."""
    prototype = pick(rng, {prototype: prototype.weight for prototype in prototypes})
    hue = prototype.hue + rng.uniform(-0.025, 0.025)
    saturation = prototype.saturation * rng.uniform(0.8, 1.2)
    value = prototype.value * rng.uniform(0.8, 1.2)
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, min(saturation, 1.0), min(value, 1.0))
    return round(255 * red), round(255 * green), round(255 * blue)


def contrasting_color(rng: np.random.Generator, part: Part, others: Sequence[Color]) -> Color:
    """A colour of clothes that can be told from the others, so that a pattern shows."""
    for _ in range(10):
        color = clothes_color(rng, part)
        if all(np.hypot.reduce(np.subtract(color, other)) >= DISTINCT for other in others):
            break
    return color
