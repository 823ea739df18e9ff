"""What decides the content of a synthetic set, and the record of it that lies in its folder."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.data.synthetic.streams import Part
from common.data.synthetic.strength import STRENGTHS
from common.errors import UserError

DRAWING = 2  # raise it whenever the same settings give other images
MAX_CAMERAS = 15

SYNTHETIC_SETS: dict[str, Part] = {"synthetic": "a", "synthetic-b": "b"}
"""Names of the drawn data sets, and which part each of them is."""


@dataclass(frozen=True)
class SyntheticSettings:
    """All that decides the images of a set.

    An image depends on strength, seed, part, its identity, its camera and its number, and on
    the number of cameras through the choice of those that see a person. More or fewer people
    do not change the others.

    Args:
        strength: "easy", "default" or "hard": how much cameras and views hide.
        seed: >= 0.
        train_ids: people of the training part, about 20 images each: ids 0, 1, ...
        test_ids: the people after them, seen in query and gallery.
        distractors: the people after them, with one gallery image each.
        cameras: 2 to 15.
        part: "a", or "b" for other people, cameras and colours of clothes.

    Raises:
        UserError: a value that makes no data set.
    """

    strength: str = "default"
    seed: int = 0
    train_ids: int = 100
    test_ids: int = 50
    distractors: int = 50
    cameras: int = 6
    part: Part = "a"

    def __post_init__(self) -> None:
        if self.strength not in STRENGTHS:
            known = ", ".join(STRENGTHS)
            raise UserError(f"unknown strength {self.strength!r}. Choose one of {known}.")
        if self.part not in SYNTHETIC_SETS.values():
            raise UserError(f"unknown part {self.part!r} of the synthetic set. Choose a or b.")
        if self.seed < 0:
            raise UserError(f"seed {self.seed} is negative. Choose 0 or more.")
        if not 2 <= self.cameras <= MAX_CAMERAS:
            raise UserError(f"cameras={self.cameras} is not possible. Choose 2 to {MAX_CAMERAS}.")
        if self.train_ids < 1 or self.test_ids < 1 or self.distractors < 0:
            raise UserError(
                f"{self.train_ids} training and {self.test_ids} test identities with "
                f"{self.distractors} distractors make no data set. Choose at least 1, 1 and 0."
            )

    @property
    def people(self) -> int:
        return self.train_ids + self.test_ids + self.distractors

    def record(self) -> dict[str, Any]:
        """What `synthetic.json` holds: these settings and the version of the drawing code."""
        return {"drawing": DRAWING, **asdict(self)}


def read_record(path: Path) -> dict[str, Any]:
    """The record in a file.

    Raises:
        UserError: it is not one.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UserError(f"{path} is damaged. Delete its folder and draw the set again.")
    return found


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """In words, where one record is not the other."""
    return [
        f"{name} {found.get(name)!r} instead of {value!r}"
        for name, value in wanted.items()
        if found.get(name) != value
    ]
