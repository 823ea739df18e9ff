"""The hooks of a method. A method is a memory bank, a loss and a table of settings.

The loop in `training.py` calls these hooks and knows nothing else of a method. The defaults
are those of plain cluster contrast: cluster freshly extracted features with the recipe's
clustering, see one view of every image, move the memory after the step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from torch import Tensor, nn

from common.backbones.encoder import Encoder
from common.clustering import cluster
from common.recipe import Recipe
from common.streams import Stream, Streams
from common.teacher import follow_, make_teacher, teacher_momentum
from common.team import Team
from common.types import Batch, Extract, MemoryUpdate, PseudoLabels, Step, TrainData


@dataclass(frozen=True)
class ParameterGroup:
    """Learnable tensors with a base rate of their own; the schedule multiplies it too."""

    parameters: list[nn.Parameter]
    lr: float
    weight_decay: float


class Memory(Protocol):
    """A memory bank: state in buffers, moved by what an iteration saw."""

    def update(self, seen: MemoryUpdate) -> None:
        """Move the rows that the iteration's images name, in place."""


class Method(nn.Module):
    """Encoder, recipe and, in the subclasses, a memory and perhaps a mean teacher.

    What must survive a stop lives in parameters, persistent buffers or `get_extra_state`;
    what lasts one epoch lives in non-persistent buffers and is rebuilt by `begin_epoch`.

    Args:
        encoder: the student network.
        recipe: every setting of the run.
        data: image count, cameras, and the identities of a source domain.
        team: the processes of the run.
        streams: the run's generators; a method draws from `streams["method"]` only.
    """

    memory: Memory
    teacher: Encoder
    has_teacher: ClassVar[bool] = False  # with a mean teacher, which sees a second view
    has_partners: ClassVar[bool] = False  # the encoder learns from a second view as well

    def __init__(
        self, encoder: Encoder, recipe: Recipe, data: TrainData, team: Team, streams: Streams
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.recipe = recipe
        self.data = data
        self.team = team
        self.stream: Stream = streams["method"]
        if self.has_teacher:
            self.teacher = make_teacher(encoder)
        self.set_up()

    @property
    def settings(self) -> Any:
        """The method's own settings: an instance of its specification's class."""
        return self.recipe.settings

    # once per run -----------------------------------------------------------------------

    def set_up(self) -> None:
        """Make what lasts the whole run besides the networks: a memory, learnable scalars."""

    def begin_training(self, extract: Extract) -> None:
        """Before epoch 0 of a fresh run; not called on resume."""

    # once per epoch ---------------------------------------------------------------------

    def clustering_features(self, extract: Extract) -> Tensor:
        """(N, D) features of the target images to cluster."""
        return extract("target")

    def assign(self, features: Tensor, epoch: int) -> PseudoLabels:
        """Pseudo-labels of the epoch; called on all ranks, which must come to the same result.

        `cluster` and `cluster_at` see to that where they are given the team. In a supervised run
        the labels are the true identities.
        """
        if self.data.target_pids is not None:
            return PseudoLabels(self.data.target_pids)
        return cluster(features, self.recipe.clustering, epoch, self.data.cams, self.team)

    def begin_epoch(self, epoch: int, features: Tensor, pseudo: PseudoLabels) -> None:
        """Build or relabel the memory; the features are the method's from now on."""
        raise NotImplementedError(f"{type(self).__name__} must build its memory")

    # once per iteration -----------------------------------------------------------------

    def training_step(self, batch: Batch, source: Batch | None = None) -> Step:
        """Losses of this rank's share and what the memory gets to see of it."""
        raise NotImplementedError(f"{type(self).__name__} must compute its losses")

    def after_step(self, seen: MemoryUpdate, iteration: int) -> None:
        """After the optimizer's step; `iteration` counts from the start of the run."""
        self.memory.update(seen)

    def follow(self, iteration: int, start: int, *, buffers: bool = False) -> None:
        """Let the teacher follow the student after a step; for `after_step` to call.

        Args:
            iteration: as in `after_step`.
            start: the step at which it becomes a copy of the student; see `teacher_momentum`.
            buffers: average batch-norm running statistics too.
        """
        follow_(self.teacher, self.encoder, teacher_momentum(iteration, start), buffers)

    # declarations, read by the loop ------------------------------------------------------

    def view_indices(self, indices: np.ndarray, stream: Stream) -> np.ndarray:
        """(B,) image indices to (B, V): which image each view shows.

        Called for the whole batch on every rank, and ahead of the training steps, hence with a
        stream of its own.
        """
        return np.repeat(indices[:, None], 2 if self.has_teacher else 1, axis=1)

    def extra_parameters(self) -> list[ParameterGroup]:
        """Learnable tensors besides the encoder's."""
        return []

    def watched(self) -> dict[str, float]:
        """Numbers of the method's own worth a place in every epoch's log line."""
        return {}

    def evaluated(self) -> dict[str, Encoder]:
        """Networks to test; the better one counts as the epoch's result."""
        if self.has_teacher:
            return {"student": self.encoder, "teacher": self.teacher}
        return {"encoder": self.encoder}


Build = Callable[[Encoder, Recipe, TrainData, Team, Streams], Method]
"""A `Method` class, or a function of the same arguments that picks one."""
