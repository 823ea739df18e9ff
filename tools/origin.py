"""Where a run's data came from, stored with the run so that it can be found again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from common.data.check import leave_out
from common.data.datasets import fingerprint, load_dataset, load_folder
from common.errors import UserError
from common.run import RunDir
from common.types import Dataset


@dataclass(frozen=True)
class Origin:
    """A named data set below a data root, or a folder of the user's own.

    Args:
        name: data set's name; "" for an own folder.
        root: the data root, or the own folder.
        cameras: pattern for cameras in the file names of an own folder.
    """

    name: str
    root: str
    cameras: str | None = None

    def load(self) -> Dataset:
        """Read it from disk."""
        if self.name:
            return load_dataset(self.name, Path(self.root))
        return load_folder(Path(self.root), self.cameras)


def load_again(run: RunDir, part: Literal["dataset", "source"]) -> Dataset:
    """The target or the source of a run, from its record.

    Raises:
        UserError: it is gone, or holds other images than then, or the record is damaged.
    """
    record = run.read_json("environment.json")
    with run.reading("environment.json"):
        stored = record[part]
        origin, dropped = Origin(**stored["origin"]), tuple(stored["dropped"])
        name, then = stored["name"], stored["fingerprint"]
    dataset = leave_out(origin.load(), dropped)
    now = fingerprint(dataset)
    if now != then:
        raise UserError(
            f"{name} at {dataset.root} is not what the run was started with "
            f"(fingerprint {now}, then {then}). Restore the images, or start a new run."
        )
    return dataset
