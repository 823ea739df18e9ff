"""Head, hair, hat and scarf."""

import math
from dataclasses import dataclass

from PIL.ImageDraw import ImageDraw

from common.data.synthetic.body import Pose
from common.data.synthetic.identity import Person
from common.data.synthetic.palette import Color, scaled

HEAD = 0.138  # height of an average head with hair, in body heights
CHIN = 0.865  # above ground, in body heights


def draw_head(pen: ImageDraw, person: Person, pose: Pose) -> None:
    """Neck, head, hair and what is worn there, as seen in this pose."""
    body = person.body
    head = _Head(pen, *pose.at(0, 0.012, CHIN), HEAD * body.head * pose.size, pose.yaw)
    head.box(-0.4, 0.8, 0.4, 1.25, body.skin)  # neck
    if body.hat == "hood":
        head.oval(-1.35, -0.05, 1.35, 1.22, person.upper.colors[0])
        head.face(body.skin)
    else:
        head.hair_behind(body.hairstyle, body.hair)
        head.oval(-1, 0, 1, 1, body.skin if body.hairstyle == "bald" else body.hair)
        head.face(body.skin)
        head.hair_on_the_back(body.hairstyle, body.hair)
        head.hat(body.hat, body.hat_color)
    if person.scarf is not None:
        head.scarf(person.scarf)


@dataclass(frozen=True)
class _Head:
    """Shapes in units of the head: x in half widths from its middle, y in heights from its top."""

    pen: ImageDraw
    x: float
    chin: float
    tall: float
    yaw: float

    @property
    def sin(self) -> float:
        return math.sin(self.yaw)

    @property
    def facing(self) -> float:
        return math.cos(self.yaw)

    def _pixels(self, left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
        half, start = 0.37 * self.tall, self.chin - self.tall
        return (
            self.x + left * half,
            start + top * self.tall,
            self.x + right * half,
            start + bottom * self.tall,
        )

    def oval(self, left: float, top: float, right: float, bottom: float, color: Color) -> None:
        self.pen.ellipse(self._pixels(left, top, right, bottom), fill=color)

    def box(self, left: float, top: float, right: float, bottom: float, color: Color) -> None:
        corners = self._pixels(left, top, right, bottom)
        self.pen.rounded_rectangle(corners, 0.08 * self.tall, fill=color)

    def face(self, skin: Color) -> None:
        """What the hair leaves free; it moves to the side and vanishes as the head turns."""
        if self.facing < -0.45:
            return
        half = 0.62 + 0.22 * max(self.facing, 0.0)
        middle = 0.42 * self.sin
        self.oval(middle - half, 0.22, middle + half, 0.99, skin)
        for eye in (-0.38, 0.38):
            place = eye * self.facing + 0.55 * self.sin
            if abs(place) < 0.85:
                at = middle + place * half
                self.oval(at - 0.1, 0.47, at + 0.1, 0.54, scaled(skin, 0.35))

    def hair_behind(self, style: str, color: Color) -> None:
        if style == "long":
            back = 0.2 * self.sin
            self.oval(-1.12 - max(back, 0), 0, 1.12 - min(back, 0), 1.3, color)
        elif style == "bun":
            self.oval(-self.sin - 0.42, -0.04, -self.sin + 0.42, 0.28, color)
        elif style == "pony-tail":
            self.oval(-1.1 * self.sin - 0.35, 0.25, -1.1 * self.sin + 0.35, 1.35, color)

    def hair_on_the_back(self, style: str, color: Color) -> None:
        if self.facing < -0.3 and style in ("long", "pony-tail"):
            half = 1.05 if style == "long" else 0.3
            self.box(-half, 0.4, half, 1.45, color)

    def hat(self, kind: str, color: Color) -> None:
        if kind == "none":
            return
        self.pen.chord(self._pixels(-1.08, -0.06, 1.08, 0.8), 180, 360, fill=color)
        if kind == "beanie":
            self.box(-1.08, 0.27, 1.08, 0.38, scaled(color, 0.75))
        else:
            peak = 0.9 * self.sin
            self.oval(peak - 0.8, 0.27, peak + 0.8, 0.42, scaled(color, 0.6))

    def scarf(self, color: Color) -> None:
        self.box(-1.08, 0.88, 1.08, 1.2, color)
        if self.facing > 0:  # one end hangs down in front
            end = 0.5 + self.sin
            self.box(end - 0.3, 1.0, end + 0.35, 1.95, color)
