"""How far a run is, and the checkpoint from which it goes on exactly."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from common.backbones.weights import require_fit
from common.errors import UserError, shortened
from common.job import Job
from common.method import Method
from common.optimizer import restore_moments
from common.recipe import Recipe
from common.recipe_text import flatten, from_json, to_json
from common.records import PROGRESS, misfit
from common.saver import Saver
from common.types import PseudoLabels

Scores = dict[str, Any]


@dataclass
class Progress:
    """How far a run is: what goes into `result.json` and the checkpoint beside the weights."""

    epoch: int = -1  # last completed one
    start: Scores | None = None
    last: Scores | None = None
    best: Scores | None = None
    steps: int = 0  # iterations of all epochs
    seconds: dict[str, float] = field(default_factory=dict)
    clusters: list[int] = field(default_factory=list)
    outliers: list[int] = field(default_factory=list)

    @contextmanager
    def spending(self, part: str, epoch: dict[str, float]) -> Iterator[None]:
        """Book the seconds within under `part`: of the whole run, and of this epoch."""
        since = time.perf_counter()
        yield
        epoch[part] = time.perf_counter() - since
        self.seconds[part] = self.seconds.get(part, 0.0) + epoch[part]

    def remaining(self, epochs: int) -> float:
        """Seconds that the rest of `epochs` epochs takes, if it goes on like this."""
        done = self.epoch + 1
        return sum(self.seconds.values()) / done * (epochs - done)


def save(
    saver: Saver,
    method: Method,
    job: Job,
    optimizer: Optimizer,
    progress: Progress,
    pseudo: PseudoLabels,
) -> None:
    """The checkpoint from which the run continues exactly, then the best network; rank 0's."""
    if not job.team.first:
        return
    state = {
        **_identity(method),
        "recipe": to_json(method.recipe),
        "progress": {**vars(progress)},
        "model": method.state_dict(),
        "optimizer": optimizer.state_dict(),
        "streams": job.streams.state_dict(),
        "labels": torch.from_numpy(pseudo.labels),
    }
    saver.write({"last.pt": state, **_best(method, progress)})


def _best(method: Method, progress: Progress) -> dict[str, dict[str, Any]]:
    """The network with the best scores as a file, where these are of the last epoch.

    It comes after the checkpoint: an epoch that is not in it is run again, and on a GPU may end
    otherwise. A run that is stopped between the two makes it from the checkpoint.
    """
    best = progress.best
    if best is None or best["epoch"] != progress.epoch:
        return {}
    network = method.evaluated()[best["network"]]
    return {"best.pt": {"encoder": network.state_dict(), **_identity(method), **best}}


def restore(method: Method, optimizer: Optimizer, job: Job) -> Progress:
    """Load the last checkpoint into method, optimizer and streams; no file holds a later epoch.

    Raises:
        UserError: the checkpoint belongs to another method, architecture or recipe, or is not
            whole.
    """
    state = job.team.together(lambda: job.run.load("last.pt"))
    for name, expected in _identity(method).items():
        if state.get(name) != expected:
            raise UserError(
                f"last.pt holds {name} {state.get(name)!r}, the recipe says {expected!r}: "
                "the folder's files do not belong together. Put a copy back, or start a new run."
            )
    with job.run.reading("last.pt"):
        if "recipe" in state:  # not in the checkpoints of earlier versions
            _require_recipe(state["recipe"], method.recipe)
        expected, model = tensors_of(method.state_dict()), state["model"]
        require_fit(job.run.path / "last.pt", tensors_of(model), expected)
        method.load_state_dict(model)
        restore_moments(optimizer, state["optimizer"], job.run.path / "last.pt")
        job.streams.load_state_dict(state["streams"])
        progress = progress_of(state)
    if job.team.first:
        job.run.rewind_log(progress.epoch)
        for name, best in _best(method, progress).items():
            job.run.save(name, best)
    return progress


def progress_of(state: dict[str, Any]) -> Progress:
    """How far the run of a checkpoint was.

    Raises:
        LookupError, ValueError: it is not said.
    """
    stored = state["progress"]
    if wrong := misfit(stored, PROGRESS, "progress"):
        raise ValueError(wrong)
    return Progress(**stored)


def _require_recipe(stored: str, recipe: Recipe) -> None:
    """Refuse other settings than those of the epochs before: the result would name one set alone.

    There may be more `epochs`: nothing that an epoch computes depends on their number.

    Raises:
        UserError: the first that differ.
    """
    before = from_json(stored, type(recipe.settings))
    then = flatten(replace(before, epochs=max(before.epochs, recipe.epochs)))
    now = flatten(recipe)
    differing = [
        f"{name}={now.get(name, '-')} instead of {then.get(name, '-')}"
        for name in {**now, **then}
        if now.get(name) != then.get(name)
    ]
    if differing:
        raise UserError(
            f"recipe.json is not the one that last.pt was trained with: {shortened(differing, 3)}. "
            "Put a copy back, or start a new run."
        )


def tensors_of(state: dict[str, Any]) -> dict[str, Tensor]:
    """A state without what a method keeps beside its tensors."""
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def _identity(method: Method) -> dict[str, Any]:
    return {"method": method.recipe.method, "arch": method.recipe.encoder.arch}
