"""Clothes painted onto tubes: patterns of upper garments, details of lower ones."""

import math
from collections.abc import Sequence

from PIL.ImageDraw import ImageDraw

from common.data.synthetic.body import Polygon, Tube
from common.data.synthetic.identity import Lower, Side, Upper
from common.data.synthetic.palette import Color

SHADE = (0, 0, 0, 46)


def fill(pen: ImageDraw, polygons: Sequence[Polygon], color: tuple[int, ...]) -> None:
    """Paint all pieces of a patch or a strap."""
    for polygon in polygons:
        pen.polygon(polygon, fill=color)


def shade(pen: ImageDraw, tube: Tube) -> None:
    """Darken both edges, so that a tube looks round."""
    pen.polygon(tube.shape(-1.0, -0.72), fill=SHADE)
    pen.polygon(tube.shape(0.72, 1.0), fill=SHADE)


def paint_upper(pen: ImageDraw, tube: Tube, upper: Upper) -> None:
    """The upper garment on the torso, with what the view shows of its pattern."""
    ground, second, third = upper.colors
    pen.polygon(tube.shape(), fill=ground)
    match upper.pattern:
        case "horizontal":
            _rings(pen, tube, upper.periods, 0.5, second)
        case "vertical":
            _columns(pen, tube, upper.periods, 0.5, second)
        case "check":
            _rings(pen, tube, upper.periods, 0.45, second)
            _columns(pen, tube, upper.periods, 0.35, third)
        case "dots":
            _dots(pen, tube, upper.periods, second)
        case "block":
            edge = 0.3 + 0.4 * upper.place
            pen.polygon(tube.shape(top=edge), fill=second)
            pen.polygon(tube.shape(top=edge - 0.06, bottom=edge + 0.02), fill=third)
        case "logo":
            top = 0.2 + 0.15 * upper.place
            fill(pen, tube.patch(-42, 42, top, top + 0.3), second)
            fill(pen, tube.patch(-18, 18, top + 0.08, top + 0.22), third)
        case "jacket":
            half = 16 + 20 * upper.place
            fill(pen, tube.patch(-half, half), second)
            fill(pen, tube.patch(-half - 7, -half), third)
            fill(pen, tube.patch(half, half + 7), third)
        case "sash":
            for start, end in ((-75, 75), (255, 105)):
                path = [(start + (end - start) * i / 8, i / 8) for i in range(9)]
                fill(pen, tube.strap(path, 30), second)
        case "halves":
            fill(pen, tube.patch(0, 180), second)
    shade(pen, tube)


def paint_legwear(
    pen: ImageDraw, tube: Tube, lower: Lower, side: Side | None = None, *, ends: bool = True
) -> None:
    """A skirt, or a part of a leg of trousers.

    Args:
        side: of the leg; None for a skirt.
        ends: whether the garment ends at the bottom of the tube, so that a cuff is there.
    """
    pen.polygon(tube.shape(), fill=lower.color)
    match lower.detail:
        case "stripe":
            for outer in (-1, 1) if side is None else (side,):
                fill(pen, tube.patch(90 * outer - 32, 90 * outer + 32), lower.detail_color)
        case "check":
            _rings(pen, tube, 5, 0.35, lower.detail_color)
            _columns(pen, tube, 2, 0.3, lower.detail_color)
        case "cuff" if ends:
            pen.polygon(tube.shape(top=0.8), fill=lower.detail_color)
    shade(pen, tube)


def _rings(pen: ImageDraw, tube: Tube, periods: int, share: float, color: Color) -> None:
    for i in range(periods):
        pen.polygon(
            tube.shape(top=(i + 0.3) / periods, bottom=(i + 0.3 + share) / periods), fill=color
        )


def _columns(pen: ImageDraw, tube: Tube, periods: int, share: float, color: Color) -> None:
    step = 180 / periods
    for i in range(2 * periods):
        fill(pen, tube.patch((i - share / 2) * step, (i + share / 2) * step), color)


def _dots(pen: ImageDraw, tube: Tube, periods: int, color: Color) -> None:
    rows = periods + 1
    radius = 0.3 * abs(tube.bottom[1] - tube.top[1]) / rows
    for row in range(rows):
        for column in range(periods + 2):
            angle = (column + 0.5 * (row % 2)) * 360 / (periods + 2)
            if tube.visible(angle):
                x, y = tube.point(tube.sine(angle), (row + 0.5) / rows)
                flat = radius * math.cos(math.asin(tube.sine(angle)))
                pen.ellipse((x - flat, y - radius, x + flat, y + radius), fill=color)
