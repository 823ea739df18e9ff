"""Bags: which part of them a view shows, and what they hide."""

from PIL.ImageDraw import ImageDraw

from common.data.synthetic.body import DEPTH, Point, Tube
from common.data.synthetic.garments import fill
from common.data.synthetic.identity import Bag
from common.data.synthetic.palette import scaled
from common.data.synthetic.skeleton import Skeleton


class Carried:
    """A bag on a person, drawn in up to four steps between the parts of the body.

    Args:
        torso: what straps run over.
    """

    def __init__(self, pen: ImageDraw, bag: Bag, skeleton: Skeleton, torso: Tube) -> None:
        self.pen = pen
        self.bag = bag
        self.skeleton = skeleton
        self.pose = skeleton.pose
        self.torso = torso
        self.dark = scaled(bag.color, 0.6)

    def draw_behind(self) -> None:
        """What the body hides in part."""
        if self.bag.kind == "backpack":
            if self.pose.facing >= 0:
                self._backpack()
        elif self.bag.side == self.pose.far:
            self._at_the_side()

    def draw_straps(self) -> None:
        """What runs over the upper garment."""
        if self.bag.kind == "backpack":
            for angle in (-42.0, 42.0):
                self._strap([(angle, 0.0), (angle, 0.25), (angle, 0.5)], 20)
        elif self.bag.kind == "cross-body":
            for start, end in ((-70, 80), (-110, -280)):  # over the chest, over the back
                angles = [start + (end - start) * step / 6 for step in range(7)]
                self._strap([(self.bag.side * a, 0.15 * i) for i, a in enumerate(angles)], 13)

    def draw_on_back(self) -> None:
        """What hides the body from behind."""
        if self.bag.kind == "backpack" and self.pose.facing < 0:
            self._backpack()

    def draw_in_front(self) -> None:
        """What hides the near arm."""
        if self.bag.side == self.pose.near:
            self._at_the_side()

    def _strap(self, path: list[tuple[float, float]], width: float) -> None:
        fill(self.pen, self.torso.strap(path, width), self.dark)

    def _backpack(self) -> None:
        size = self.bag.size
        x, y = self.pose.at(0, -(DEPTH * self.skeleton.half + 0.03), 0.82)
        half = self.pose.outline(0.085 * size, 0.045 * size)
        tall = 0.235 * size * self.pose.size
        self.pen.rounded_rectangle((x - half, y, x + half, y + tall), 0.4 * half, self.bag.color)
        if self.pose.facing < 0.3:
            pocket = (x - 0.7 * half, y + 0.5 * tall, x + 0.7 * half, y + 0.9 * tall)
            self.pen.rounded_rectangle(pocket, 0.2 * half, self.dark)

    def _at_the_side(self) -> None:
        pose, side, half = self.pose, self.bag.side, self.skeleton.half
        if self.bag.kind == "hand":
            hand = self.skeleton.arm(side)[2]
            grip = (hand[0], hand[1] + 0.02 * pose.size)
            loop = 0.03 * pose.size
            box = (grip[0] - loop, grip[1] - loop, grip[0] + loop, grip[1] + loop)
            self.pen.arc(box, 180, 360, fill=self.dark, width=2)
            self._box(grip, 0.03, 0.075, 0.12)
        elif self.bag.kind == "shoulder":
            top = pose.at(side * (half + 0.03), 0, 0.58)
            shoulder = pose.at(side * 0.8 * half, 0, 0.845)
            width = max(2, round(0.018 * pose.size))
            self.pen.line([shoulder, top], fill=self.dark, width=width)
            self._box(top, 0.035, 0.095, 0.15)
        elif self.bag.kind == "cross-body":
            self._box(pose.at(side * half, 0.03, 0.56), 0.045, 0.065, 0.095)

    def _box(self, top: Point, side: float, front: float, height: float) -> None:
        """A bag that hangs from a point, with half extents across and along the body."""
        size, (x, y) = self.bag.size, top
        half, tall = self.pose.outline(side * size, front * size), height * size * self.pose.size
        self.pen.rounded_rectangle((x - half, y, x + half, y + tall), 0.2 * half, self.bag.color)
        self.pen.rectangle((x - half, y + 0.3 * tall, x + half, y + 0.42 * tall), self.dark)
