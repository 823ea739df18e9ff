"""Values that depend on the epoch alone, so that a resumed run needs no state to go on.

Epochs count from 0. A schedule is called with the epoch and returns the value used in it.
"""

import math
from dataclasses import dataclass

from common.ranges import require_range


@dataclass(frozen=True)
class Constant:
    """The same value in every epoch.

    Args:
        value: a factor of the learning rate, or the radius of DBSCAN.
    """

    value: float

    def __call__(self, epoch: int) -> float:
        return self.value

    def __str__(self) -> str:
        return str(self.value)  # as it is set


@dataclass(frozen=True)
class StepDecay:
    """`factor` ** (epoch // every): the learning-rate factor of nearly all papers here.

    Args:
        every: epochs between two steps, >= 1.
        factor: of each step.
    """

    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        require_range(self, "[1, inf)", "every", group="StepDecay")

    def __call__(self, epoch: int) -> float:
        return self.factor ** (epoch // self.every)


@dataclass(frozen=True)
class Warmup:
    """Linear from `start` to 1 over `epochs` epochs, then `decay` at every milestone passed.

    f(e) = start + (1 - start) * e / epochs  for e < epochs,  decay ** #{m : m <= e} afterwards.
    DCCC's rate (He et al., 2023, arXiv:2303.06810): start 0.1 over 10 epochs, no milestone. The
    decay counts during the warm-up as well, as in the released scheduler.

    Args:
        epochs: length of the warm-up, >= 0; none for 0.
        start: factor of epoch 0.
        milestones: epochs from which on one more `decay` counts.
        decay: factor of each milestone.
    """

    epochs: int
    start: float = 0.1
    milestones: tuple[int, ...] = ()
    decay: float = 1.0

    def __post_init__(self) -> None:
        require_range(self, "[0, inf)", "epochs", group="Warmup")

    def __call__(self, epoch: int) -> float:
        ramp = self.start + (1 - self.start) * epoch / self.epochs if epoch < self.epochs else 1.0
        return ramp * self.decay ** sum(milestone <= epoch for milestone in self.milestones)


@dataclass(frozen=True)
class ExponentialEps:
    """`start` * `factor` for every epoch begun, epoch 0 included, while above `floor`.

    With 0.7: 0.693, 0.68607, ... The floor is tested before the step, so the last value lies
    below it. DCCC's default for the DBSCAN radius.

    Args:
        start: radius before the first step.
        factor: of each epoch.
        floor: radius at or below which it stays.
    """

    start: float
    factor: float = 0.99
    floor: float = 0.399

    def __call__(self, epoch: int) -> float:
        value = self.start
        for _ in range(epoch + 1):
            if value <= self.floor:
                break
            value *= self.factor
        return value


@dataclass(frozen=True)
class LinearEps:
    """`start` minus `step` for every `every` epochs begun, the first too, while above `floor`.

    Args:
        start: radius before the first step.
        step: what each step takes away.
        every: epochs between two steps, >= 1.
        floor: radius at or below which it stays.
    """

    start: float
    step: float = 0.005
    every: int = 1
    floor: float = 0.399

    def __post_init__(self) -> None:
        require_range(self, "[1, inf)", "every", group="LinearEps")

    def __call__(self, epoch: int) -> float:
        value = self.start
        for _ in range(epoch // self.every + 1):
            if value <= self.floor:
                break
            value -= self.step
        return value


@dataclass(frozen=True)
class LogEps:
    """`start` * (1 - ln(1 + e * (Euler - 1) / epochs) / 2): from `start` to half of it.

    Args:
        start: radius of epoch 0.
        epochs: after which it is halved, >= 1; it goes on falling.
    """

    start: float
    epochs: int

    def __post_init__(self) -> None:
        require_range(self, "[1, inf)", "epochs", group="LogEps")

    def __call__(self, epoch: int) -> float:
        return self.start * (1 - 0.5 * math.log(1 + epoch * (math.e - 1) / self.epochs))


Schedule = Constant | StepDecay | Warmup | ExponentialEps | LinearEps | LogEps
