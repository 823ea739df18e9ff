"""Where a run's data came from, stored with the run so that it can be found again."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from common.data.check import leave_out
from common.data.datasets import fingerprint, load_dataset, load_folder
from common.errors import UserError
from common.recipe import Recipe
from common.recipe_text import from_json
from common.run import RunDir
from common.types import Dataset
from tools.lookup import spec_of


@dataclass(frozen=True)
class Origin:
    """A named data set below a data root, or a folder of the user's own.

    Args:
        name: data set's name; "" for a folder.
        root: the data root, or the folder.
        cameras: pattern for cameras in the file names of a folder.
    """

    name: str
    root: str
    cameras: str | None = None

    def load(self) -> Dataset:
        """Read it from disk."""
        if self.name:
            return load_dataset(self.name, Path(self.root))
        return load_folder(Path(self.root), self.cameras)


@dataclass(frozen=True)
class Moved:
    """Where the data of a run lie now; None where they are still where they were.

    Args:
        data_root: of data sets with a name.
        data: a folder of the user's own.
    """

    data_root: Path | None = None
    data: Path | None = None

    def origin(self, then: Origin) -> Origin:
        """The place now of data that were there then.

        Raises:
            UserError: the option of the other kind of data was given.
        """
        wrong = self.data if then.name else self.data_root
        if wrong is not None:
            kind = f"{then.name}, a data set with a name" if then.name else "a folder of your own"
            raise UserError(f"the run's data are {kind}. Say with {_option(then)} where they are.")
        now = self.data_root if then.name else self.data
        return replace(then, root=str(now.resolve())) if now else then


def stored_recipe(run: RunDir) -> Recipe:
    """The recipe of a run folder; no flag can contradict it.

    Raises:
        UserError: the file is damaged, or a later version's.
    """
    plain = run.read_json("recipe.json")
    with run.reading("recipe.json"):
        return from_json(json.dumps(plain), spec_of(plain["method"]).settings)


def load_again(
    run: RunDir, part: Literal["dataset", "source"], moved: Moved | None = None
) -> Dataset:
    """The target or the source of a run, from its record.

    Raises:
        UserError: it is gone, or holds other images than then, or the record is damaged.
    """
    record = run.read_json("environment.json")
    with run.reading("environment.json"):
        stored = record[part]
        then, name, expected = Origin(**stored["origin"]), stored["name"], stored["fingerprint"]
    origin = (moved or Moved()).origin(then)
    try:
        dataset = origin.load()
    except UserError as error:
        raise UserError(
            f"{error}\nThe run's data were in {then.root}. If they have moved, say where with "
            f"{_option(then)} FOLDER."
        ) from None
    with run.reading("environment.json"):
        dropped = _moved_names(stored, dataset)
    dataset = leave_out(dataset, dropped)
    now = fingerprint(dataset)
    if now != expected:
        raise UserError(
            f"{name} at {dataset.root} is not what the run was started with (fingerprint {now}, "
            f"then {expected}). Restore the images, say with {_option(then)} where they are, or "
            "start a new run."
        )
    return dataset


def record_places(run: RunDir, moved: Moved, datasets: dict[str, Dataset | None]) -> None:
    """Write down where the data of a run lie now, so that its next command finds them.

    Args:
        datasets: "dataset" and "source", as loaded again.
    """
    record = run.read_json("environment.json")
    with run.reading("environment.json"):
        for part, dataset in datasets.items():
            if dataset is not None:
                record[part] = _placed(record[part], moved, dataset)
    run.write_json("environment.json", record)


def _placed(stored: dict[str, Any], moved: Moved, dataset: Dataset) -> dict[str, Any]:
    origin = moved.origin(Origin(**stored["origin"]))
    dropped = _moved_names(stored, dataset)
    return {**stored, "root": dataset.root, "origin": vars(origin), "dropped": dropped}


def _moved_names(stored: dict[str, Any], dataset: Dataset) -> list[str]:
    """The bad images that were left out, below the folder where the data lie now."""
    then, now = Path(stored["root"]), Path(dataset.root)
    return [str(now / Path(path).relative_to(then)) for path in stored["dropped"]]


def _option(origin: Origin) -> str:
    return "--data-root" if origin.name else "--data"
