"""A person drawn onto a canvas: limbs, clothes, head and bag in order of depth."""

from PIL.ImageDraw import ImageDraw

from common.data.synthetic.bags import Carried
from common.data.synthetic.body import Pose, Tube
from common.data.synthetic.garments import paint_upper
from common.data.synthetic.head import draw_head
from common.data.synthetic.identity import Person
from common.data.synthetic.limbs import draw_arm, draw_leg, draw_skirt
from common.data.synthetic.palette import Color
from common.data.synthetic.skeleton import Skeleton


def draw_figure(pen: ImageDraw, person: Person, pose: Pose) -> None:
    """Draw a person, what is far from the camera first.

    Args:
        pen: in mode "RGBA" over an RGB canvas, so that shadows are translucent.
    """
    skeleton = Skeleton(person.body, pose)
    torso = skeleton.torso(person.upper.hem)
    bag = Carried(pen, person.bag, skeleton, torso)
    _shadow(pen, pose)
    bag.draw_behind()
    draw_leg(pen, person, skeleton, pose.far)
    draw_leg(pen, person, skeleton, pose.near)
    draw_skirt(pen, person, skeleton)
    draw_arm(pen, person, skeleton, pose.far)
    paint_upper(pen, torso, person.upper)
    if person.belt is not None:
        _belt(pen, torso, person.upper.hem, person.belt)
    bag.draw_straps()
    draw_head(pen, person, pose)
    bag.draw_on_back()
    draw_arm(pen, person, skeleton, pose.near)
    bag.draw_in_front()


def _shadow(pen: ImageDraw, pose: Pose) -> None:
    half, flat = 0.17 * pose.size, 0.02 * pose.size
    box = (pose.x - half, pose.ground - flat, pose.x + half, pose.ground + flat)
    pen.ellipse(box, fill=(0, 0, 0, 70))


def _belt(pen: ImageDraw, torso: Tube, hem: float, color: Color) -> None:
    """At the waist, wherever the garment ends."""
    waist = 0.9 / hem
    pen.polygon(torso.shape(top=waist - 0.05, bottom=min(waist + 0.05, 1)), fill=color)
