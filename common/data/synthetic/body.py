"""Geometry of a standing or walking body: where a point of it appears in the image."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Point = tuple[float, float]
Polygon = list[Point]
Side = Literal[-1, 1]  # the person's right, the person's left

DEPTH = 0.62  # depth of a torso, head or limb as a share of its width
TILT = 0.12  # the camera looks down: what is nearer appears lower


@dataclass(frozen=True)
class Pose:
    """How a person stands in the image.

    Args:
        yaw: direction of the body in radians: 0 faces the camera, pi / 2 the right edge.
        phase: of the walk, in radians.
        stride: length of the walk's swing, in radians.
        x, ground: where the feet stand, in pixels.
        size: body height in pixels.
    """

    yaw: float
    phase: float
    stride: float
    x: float
    ground: float
    size: float

    @property
    def turn(self) -> float:
        """Angle by which the points on an elliptical outline move to the right."""
        return math.atan2(DEPTH * math.sin(self.yaw), math.cos(self.yaw))

    @property
    def facing(self) -> float:
        """1 from the front, -1 from behind, 0 from the side."""
        return math.cos(self.yaw)

    @property
    def near(self) -> Side:
        """The person's side that is nearer to the camera."""
        return 1 if math.sin(self.yaw) < 0 else -1

    @property
    def far(self) -> Side:
        """The other one."""
        return -1 if self.near == 1 else 1

    def at(self, side: float, front: float, up: float) -> Point:
        """Pixel of a point given in body heights: to the person's left, forward, above ground."""
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        x = self.x + self.size * (side * cos + front * sin)
        nearness = front * cos - side * sin
        return x, self.ground - self.size * (up - TILT * nearness)

    def outline(self, side: float, front: float | None = None) -> float:
        """Half width in pixels of something with these half extents, in body heights."""
        front = DEPTH * side if front is None else front
        return self.size * math.hypot(side * math.cos(self.yaw), front * math.sin(self.yaw))


class Tube:
    """A part of the body with an elliptical cross-section: a torso, a limb, a skirt.

    A point on it is given by its angle (degrees: 0 front, 90 the person's left, 180 back) and
    its place v along the axis, 0 at the top and 1 at the bottom. Its distance from the axis in
    the image is width(v) * sin(angle + turn); it is visible where the cosine is positive.

    Args:
        top, bottom: ends of the axis in pixels.
        widths: half widths in pixels at places in [0, 1], from top to bottom.
        turn: `Pose.turn`.
    """

    def __init__(
        self, top: Point, bottom: Point, widths: Sequence[tuple[float, float]], turn: float
    ) -> None:
        self.top = top
        self.bottom = bottom
        self.widths = widths
        self.turn = turn

    def width(self, v: float) -> float:
        """Half width in pixels at a place, linear between those given."""
        before = self.widths[0]
        for now in self.widths:
            if v <= now[0]:
                share = (v - before[0]) / (now[0] - before[0]) if now[0] > before[0] else 1.0
                return before[1] + share * (now[1] - before[1])
            before = now
        return before[1]

    def point(self, sine: float, v: float) -> Point:
        """Pixel at `sine` half widths to the right of the axis."""
        x = self.top[0] + v * (self.bottom[0] - self.top[0]) + sine * self.width(v)
        return x, self.top[1] + v * (self.bottom[1] - self.top[1])

    def shape(
        self, left: float = -1.0, right: float = 1.0, top: float = 0, bottom: float = 1
    ) -> Polygon:
        """Outline between two sines and two places."""
        inner = [place for place, _ in self.widths if top < place < bottom]
        places = [top, *inner, bottom]
        return [self.point(left, v) for v in places] + [
            self.point(right, v) for v in reversed(places)
        ]

    def patch(
        self, start: float, end: float, top: float = 0.0, bottom: float = 1.0
    ) -> list[Polygon]:
        """The visible pieces of what lies between two angles (start < end) and two places."""
        pieces = []
        first, last = math.radians(start) + self.turn, math.radians(end) + self.turn
        for shift in (-2 * math.pi, 0.0, 2 * math.pi):
            left = max(first + shift, -math.pi / 2)
            right = min(last + shift, math.pi / 2)
            if left < right:
                pieces.append(self.shape(math.sin(left), math.sin(right), top, bottom))
        return pieces

    def strap(self, path: Sequence[tuple[float, float]], width: float) -> list[Polygon]:
        """The visible pieces of a band along (angle, place) points, `width` degrees wide."""
        pieces = []
        for (angle, v), (next_angle, next_v) in itertools.pairwise(path):
            if self.visible(angle) and self.visible(next_angle):
                pieces.append(
                    [
                        self.point(self.sine(angle - width / 2), v),
                        self.point(self.sine(angle + width / 2), v),
                        self.point(self.sine(next_angle + width / 2), next_v),
                        self.point(self.sine(next_angle - width / 2), next_v),
                    ]
                )
        return pieces

    def visible(self, angle: float) -> bool:
        """Whether a point at this angle in degrees is on the side of the camera."""
        return math.cos(math.radians(angle) + self.turn) > 0

    def sine(self, angle: float) -> float:
        """Its place in half widths to the right of the axis, for `point`."""
        return math.sin(math.radians(angle) + self.turn)
