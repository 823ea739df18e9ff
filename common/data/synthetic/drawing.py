"""The images of some people, drawn and written."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from common.data.programs import answers
from common.data.synthetic.camera import Camera, draw_camera
from common.data.synthetic.identity import draw_person
from common.data.synthetic.picture import HEIGHT, WIDTH, photograph
from common.data.synthetic.schedule import shots_of
from common.data.synthetic.settings import SyntheticSettings
from common.data.synthetic.streams import Part, stream
from common.data.synthetic.strength import STRENGTHS

PORTION = 5  # people between two signs of life


def draw_everyone(root: Path, settings: SyntheticSettings, workers: int) -> Iterator[int]:
    """Write the images of all people, a few at a time, and tell how many these are.

    Args:
        workers: processes; 0 or 1 for none beside this one.
    """
    everyone = range(settings.people)
    portions = [everyone[first : first + PORTION] for first in everyone[::PORTION]]
    calls = [[str(root), asdict(settings), pids.start, pids.stop] for pids in portions]
    return answers(draw_people, calls, workers)


def draw_people(root: str, plain: dict[str, Any], start: int, stop: int) -> int:
    """Write all images of the people `start` to `stop` - 1 and return how many they are.

    Args:
        plain: the fields of `SyntheticSettings`.
    """
    settings = SyntheticSettings(**plain)
    seed, part = settings.seed, settings.part
    strength = STRENGTHS[settings.strength]
    drawn = 0
    for pid in range(start, stop):
        person = draw_person(stream(seed, part, "identity", pid), part)
        for shot in shots_of(pid, settings):
            rng = stream(seed, part, "image", pid, shot.camera, shot.number)
            camera = camera_of(seed, part, settings.strength, shot.camera)
            jpeg = photograph(person, camera, strength, rng, seed=seed, part=part)
            write_whole(Path(root, shot.folder, shot.name), jpeg)
            drawn += 1
    return drawn


@cache  # the same for all people that a process draws, and the scene takes a while
def camera_of(seed: int, part: Part, strength: str, number: int) -> Camera:
    """The camera of that number, from 0: the same wherever it is asked for."""
    rng = stream(seed, part, "camera", number)
    return draw_camera(rng, STRENGTHS[strength], number, HEIGHT, WIDTH)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that nobody, not even a second writer of the set, sees half of it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)
