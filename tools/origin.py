"""Where a run's data came from, stored with the run so that it can be found again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.data.check import leave_out
from common.data.datasets import fingerprint, load_dataset, load_folder
from common.errors import UserError
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


def load_again(record: dict[str, Any]) -> Dataset:
    """The data set of a run's record.

    Raises:
        UserError: it is gone, or holds other images than then.
    """
    dataset = leave_out(Origin(**record["origin"]).load(), tuple(record["dropped"]))
    now, then = fingerprint(dataset), record["fingerprint"]
    if now != then:
        raise UserError(
            f"{record['name']} at {dataset.root} is not what the run was started with "
            f"(fingerprint {now}, then {then}). Restore the images, or start a new run."
        )
    return dataset
