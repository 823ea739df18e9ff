"""One image: a person in front of a camera."""

import math
from dataclasses import replace

import numpy as np
from PIL import ImageDraw

from common.data.synthetic.body import Pose
from common.data.synthetic.camera import Camera, record
from common.data.synthetic.figure import draw_figure
from common.data.synthetic.identity import Person, draw_person
from common.data.synthetic.occluder import draw_occluder
from common.data.synthetic.scene import CANVAS, view_of
from common.data.synthetic.streams import Part, stream
from common.data.synthetic.strength import Strength

HEIGHT, WIDTH = 128, 64  # of the stored image
TALLEST = 0.97  # body height of the tallest person as a share of the canvas
NUM_PASSERS = 1000  # people who appear at the side only


def draw_passer(seed: int, part: Part, number: int) -> Person:
    """One of the people without identity."""
    return draw_person(stream(seed, part, "passer", number), part)


def photograph(
    person: Person,
    camera: Camera,
    strength: Strength,
    rng: np.random.Generator,
    *,
    seed: int,
    part: Part,
) -> bytes:
    """JPEG file of a person seen by a camera, in a view, light and place of its own.

    Args:
        rng: the image's own stream.
        seed, part: of the set; they name the people at the side.
    """
    canvas = view_of(camera.scene, rng)
    pen = ImageDraw.Draw(canvas, "RGBA")
    blocked = rng.random() < strength.occlusion
    company = blocked and rng.random() < 0.5
    pose = _pose(person, camera, strength, rng)
    if company:
        passer = draw_passer(seed, part, int(rng.integers(NUM_PASSERS)))
        beside = _beside(passer, camera, strength, rng)
        ordered = sorted([(pose, person), (beside, passer)], key=lambda pair: pair[0].ground)
        for where, who in ordered:
            draw_figure(pen, who, where)
    else:
        draw_figure(pen, person, pose)
        if blocked:
            draw_occluder(pen, camera.occluder, camera.occluder_color, rng)
    return record(camera, canvas.reduce(2), strength, rng)


def _pose(person: Person, camera: Camera, strength: Strength, rng: np.random.Generator) -> Pose:
    width, height = CANVAS
    scale = math.exp(rng.normal(0, 0.7 * strength.crop))
    size = TALLEST * height * scale * person.body.height
    right, down = rng.normal(0, 1, 2) * (0.6 * strength.crop * width, 0.45 * strength.crop * height)
    return Pose(
        yaw=math.radians(camera.direction + rng.normal(0, strength.view)),
        phase=rng.uniform(0, 2 * math.pi),
        stride=rng.uniform(0.1, 0.5),
        x=width / 2 + right,
        ground=0.965 * height + down,
        size=size,
    )


def _beside(person: Person, camera: Camera, strength: Strength, rng: np.random.Generator) -> Pose:
    """A place at the edge of the image, a little nearer or farther away."""
    pose = _pose(person, camera, strength, rng)
    away = (1 if rng.random() < 0.5 else -1) * rng.uniform(0.25, 0.5) * CANVAS[0]
    farther = rng.uniform(-0.08, 0.04)
    ground, size = pose.ground * (1 + farther), pose.size * (1 + farther)
    return replace(pose, x=pose.x + away, ground=ground, size=size)
