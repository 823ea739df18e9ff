"""Legs and arms with what is worn on them."""

import math

from PIL.ImageDraw import ImageDraw

from common.data.synthetic.body import Point, Tube
from common.data.synthetic.garments import paint_legwear, shade
from common.data.synthetic.identity import Person, Side
from common.data.synthetic.skeleton import Skeleton


def draw_leg(pen: ImageDraw, person: Person, skeleton: Skeleton, side: Side) -> None:
    """A leg with shoe, sock or boot, and trousers if it has them."""
    lower = person.lower
    hip, knee, ankle = skeleton.leg(side)
    bare = skeleton.limb(knee, ankle, (0, 0.036), (0.3, 0.038), (1, 0.022))
    wide = 1.7 if lower.kind == "wide" else 1.0
    thigh = skeleton.limb(hip, knee, (0, 0.056), (1, 0.042 * wide))
    calf = skeleton.limb(knee, ankle, (0, 0.040 * wide), (1, 0.028 * wide**1.6))
    _shoe(pen, person, skeleton, ankle)
    if lower.kind in ("trousers", "wide"):
        paint_legwear(pen, thigh, lower, side, ends=False)
        paint_legwear(pen, calf, lower, side)
    else:
        _bare_calf(pen, person, bare)
    if lower.kind == "shorts":
        paint_legwear(pen, thigh, lower, side)
    if lower.boots:
        pen.polygon(bare.shape(-1.25, 1.25, top=0.45), fill=lower.shoes)


def draw_skirt(pen: ImageDraw, person: Person, skeleton: Skeleton) -> None:
    """A skirt over both legs, for those who wear one."""
    if person.lower.kind == "skirt":
        paint_legwear(pen, skeleton.hips(hem=0.55, flare=1.25), person.lower)
    elif person.lower.kind == "long skirt":
        paint_legwear(pen, skeleton.hips(hem=0.12, flare=1.35), person.lower)


def draw_arm(pen: ImageDraw, person: Person, skeleton: Skeleton, side: Side) -> None:
    """An arm with its sleeve; the left one has the second colour of a garment in halves."""
    upper, skin = person.upper, person.body.skin
    shoulder, elbow, hand = skeleton.arm(side)
    over = skeleton.limb(shoulder, elbow, (0, 0.033), (1, 0.026))
    fore = skeleton.limb(elbow, hand, (0, 0.025), (1, 0.018))
    sleeve = upper.colors[1] if upper.pattern == "halves" and side == 1 else upper.colors[0]
    radius, (x, y) = 0.02 * skeleton.thick, hand
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=skin)
    pen.polygon(fore.shape(), fill=sleeve if upper.sleeves == "long" else skin)
    pen.polygon(over.shape(), fill=skin if upper.sleeves == "none" else sleeve)
    if upper.sleeves == "long":
        pen.polygon(fore.shape(-1.1, 1.1, top=0.86), fill=upper.colors[2])
    shade(pen, over)
    shade(pen, fore)


def _bare_calf(pen: ImageDraw, person: Person, calf: Tube) -> None:
    pen.polygon(calf.shape(), fill=person.body.skin)
    pen.polygon(calf.shape(-1.1, 1.1, top=0.68), fill=person.lower.socks)
    shade(pen, calf)


def _shoe(pen: ImageDraw, person: Person, skeleton: Skeleton, ankle: Point) -> None:
    """Long from the side, short from the front."""
    x, y = ankle
    size, thick = skeleton.pose.size, skeleton.thick
    forward = 0.045 * size * math.sin(skeleton.pose.yaw)
    half, middle = 0.024 * thick + 0.3 * abs(forward), x + 0.6 * forward
    box = (middle - half, y - 0.014 * thick, middle + half, y + 0.03 * size)
    pen.ellipse(box, fill=person.lower.shoes)
