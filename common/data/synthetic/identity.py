"""What a person is: body, clothes and bag, the same in every image."""

from dataclasses import dataclass

import numpy as np

from common.data.synthetic.body import Side
from common.data.synthetic.palette import (
    HAIR,
    SKIN,
    Color,
    accessory_color,
    clothes_color,
    contrasting_color,
    one_of,
    pick,
)
from common.data.synthetic.streams import Part

PATTERNS = {
    "plain": 20,
    "horizontal": 12,
    "vertical": 6,
    "check": 8,
    "dots": 8,
    "block": 12,
    "logo": 12,
    "jacket": 12,
    "sash": 5,
    "halves": 5,
}
LEGWEAR = {"trousers": 50, "shorts": 17, "skirt": 13, "long skirt": 7, "wide": 13}
BAGS = {"none": 35, "backpack": 25, "shoulder": 15, "hand": 12, "cross-body": 13}
HATS = {"none": 75, "cap": 10, "hood": 7, "beanie": 8}
HAIRSTYLES = {"short": 45, "long": 22, "bald": 8, "bun": 10, "pony-tail": 15}
SLEEVES = {"long": 50, "short": 38, "none": 12}


@dataclass(frozen=True)
class Body:
    """Shape and head.

    Args:
        height: share of the tallest person's.
        build: width, 1 for the average.
        legs: share of the height below the hips.
        head: size of the head, 1 for the average.
    """

    height: float
    build: float
    legs: float
    head: float
    skin: Color
    hair: Color
    hairstyle: str
    hat: str
    hat_color: Color


@dataclass(frozen=True)
class Upper:
    """The upper garment; `colors` are the ground and the pattern's two, `hem` its length."""

    colors: tuple[Color, Color, Color]
    pattern: str
    periods: int
    place: float  # of a block's edge, a logo or an opening, in [0, 1]
    sleeves: str
    hem: float


@dataclass(frozen=True)
class Lower:
    """The lower garment and what is below it."""

    kind: str
    color: Color
    detail: str
    detail_color: Color
    shoes: Color
    boots: bool
    socks: Color


@dataclass(frozen=True)
class Bag:
    """A bag: its side is where it is carried, its size is 1 for the average."""

    kind: str
    color: Color
    side: Side
    size: float


@dataclass(frozen=True)
class Person:
    """What is the same in every image of a person; None where nothing is worn."""

    body: Body
    upper: Upper
    lower: Lower
    bag: Bag
    belt: Color | None
    scarf: Color | None


def draw_person(rng: np.random.Generator, part: Part) -> Person:
    """A person at random, dressed in the colours of `part`."""
    upper = _draw_upper(rng, part)
    lower = _draw_lower(rng, part)
    return Person(
        body=_draw_body(rng, part),
        upper=upper,
        lower=lower,
        bag=Bag(
            kind=pick(rng, BAGS),
            color=accessory_color(rng, part),
            side=one_of(rng, (-1, 1)),
            size=rng.uniform(0.8, 1.25),
        ),
        belt=accessory_color(rng, part) if rng.random() < 0.30 else None,
        scarf=contrasting_color(rng, part, [upper.colors[0]]) if rng.random() < 0.12 else None,
    )


def _draw_body(rng: np.random.Generator, part: Part) -> Body:
    return Body(
        height=rng.uniform(0.86, 1.0),
        build=rng.uniform(0.8, 1.3),
        legs=rng.uniform(0.46, 0.54),
        head=rng.uniform(0.9, 1.12),
        skin=one_of(rng, SKIN),
        hair=one_of(rng, HAIR),
        hairstyle=pick(rng, HAIRSTYLES),
        hat=pick(rng, HATS),
        hat_color=accessory_color(rng, part),
    )


def _draw_upper(rng: np.random.Generator, part: Part) -> Upper:
    ground = clothes_color(rng, part)
    second = contrasting_color(rng, part, [ground])
    return Upper(
        colors=(ground, second, contrasting_color(rng, part, [ground, second])),
        pattern=pick(rng, PATTERNS),
        periods=int(rng.integers(3, 9)),
        place=rng.random(),
        sleeves=pick(rng, SLEEVES),
        hem=rng.uniform(0.95, 1.3),
    )


def _draw_lower(rng: np.random.Generator, part: Part) -> Lower:
    color = clothes_color(rng, part)
    detailed = rng.random() < 1 / 3
    return Lower(
        kind=pick(rng, LEGWEAR),
        color=color,
        detail=one_of(rng, ("stripe", "check", "cuff")) if detailed else "plain",
        detail_color=contrasting_color(rng, part, [color]),
        shoes=accessory_color(rng, part),
        boots=rng.random() < 0.20,
        socks=accessory_color(rng, part),
    )
