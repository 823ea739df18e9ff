"""The joints of a body in a pose, and the tubes that clothes are painted on."""

import math
from dataclasses import dataclass

from common.data.synthetic.body import Point, Pose, Tube
from common.data.synthetic.identity import Body, Side

# In body heights.
SHOULDERS = 0.835  # above ground
SHOULDER_WIDTH = 0.142  # half of it, at build 1
UPPER_ARM = 0.165
FOREARM = 0.15
ANKLE = 0.03  # above ground


@dataclass(frozen=True)
class Skeleton:
    """A body in a pose. Joints are pixels; `thick` is the pixels of a limb of thickness 1."""

    body: Body
    pose: Pose

    @property
    def half(self) -> float:
        """Half width of the shoulders in body heights."""
        return SHOULDER_WIDTH * self.body.build

    @property
    def thick(self) -> float:
        return self.pose.size * math.sqrt(self.body.build)

    def torso(self, hem: float) -> Tube:
        """From the shoulders to the hips; with `hem` > 1 below them."""
        bottom = SHOULDERS - (SHOULDERS - self.body.legs) * hem
        outline = self.pose.outline(self.half)
        profile = ((0, 0.58), (0.06, 0.92), (0.16, 1.0), (0.6, 0.86), (1, 0.96))
        widths = [(v, share * outline) for v, share in profile]
        top = self.pose.at(0, 0, SHOULDERS + 0.012)
        return Tube(top, self.pose.at(0, 0, bottom), widths, self.pose.turn)

    def hips(self, hem: float, flare: float) -> Tube:
        """A skirt from the hips to `hem` leg lengths above the ground, wider at the bottom."""
        legs, waist = self.body.legs, 0.9 * self.pose.outline(self.half)
        top, bottom = self.pose.at(0, 0, legs + 0.03), self.pose.at(0, 0, hem * legs)
        return Tube(top, bottom, ((0, waist), (1, flare * waist)), self.pose.turn)

    def limb(self, top: Point, bottom: Point, *widths: tuple[float, float]) -> Tube:
        """A tube between two joints; half widths in body heights at build 1."""
        pixels = [(v, width * self.thick) for v, width in widths]
        return Tube(top, bottom, pixels, self.pose.turn)

    def leg(self, side: Side) -> tuple[Point, Point, Point]:
        """Hip, knee and ankle."""
        pose, legs = self.pose, self.body.legs
        lateral, swing = 0.45 * self.half * side, self._swing(side)
        bend = 0.35 * max(0.0, -side * math.cos(pose.phase)) * pose.stride
        knee = 0.5 * legs * math.sin(swing + bend)
        ankle = knee + 0.5 * legs * math.sin(swing - bend)
        return (
            pose.at(lateral, 0, legs + 0.02),
            pose.at(lateral, knee, 0.5 * legs),
            pose.at(lateral, ankle, ANKLE + 0.1 * bend),
        )

    def arm(self, side: Side) -> tuple[Point, Point, Point]:
        """Shoulder, elbow and hand; an arm swings against the leg of its side."""
        pose, half = self.pose, self.half
        upper = -0.8 * self._swing(side)
        fore = upper + 0.25 + 0.3 * max(upper, 0.0)
        out, front = side * (0.93 * half + 0.025), UPPER_ARM * math.sin(upper)
        up = SHOULDERS - 0.03 - UPPER_ARM * math.cos(upper)
        hand_front, hand_up = front + FOREARM * math.sin(fore), up - FOREARM * math.cos(fore)
        return (
            pose.at(side * 0.93 * half, 0, SHOULDERS - 0.02),
            pose.at(out, front, up),
            pose.at(out + side * 0.012, hand_front, hand_up),
        )

    def _swing(self, side: Side) -> float:
        """Angle of the thigh, positive when it is forward."""
        return side * self.pose.stride * math.sin(self.pose.phase)
