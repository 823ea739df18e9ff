"""Run a method's hooks on stored network outputs: how reference cases reach the training code."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.method import Build, Method
from common.recipe import Recipe
from common.streams import Streams
from common.team import Team
from common.types import Batch, Step, TrainData


class StoredOutputs(nn.Module):
    """Stands where the encoder stands; its "images" are network outputs, normalized here.

    Args:
        num_features: D.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, outputs: Tensor) -> Tensor:
        return F.normalize(outputs, dim=1)

    def forward_domains(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return self(source), self(target)


def replayed(
    build: Build, recipe: Recipe, num_features: int, data: TrainData, seed: int = 1
) -> Method:
    """A method whose encoder passes stored outputs through."""
    encoder: Any = StoredOutputs(num_features)
    return build(encoder, recipe, data, Team(), Streams(seed))


def stored_batch(*views: Tensor, indices: Any, labels: Any) -> Batch:
    """A batch of stored outputs; the views come to require gradients."""
    images, classes = (np.asarray(values, np.int64) for values in (indices, labels))
    shown = tuple(view.clone().requires_grad_() for view in views)
    return Batch(shown, torch.from_numpy(images), torch.from_numpy(classes), images, classes)


def replay_step(
    method: Method, batch: Batch, source: Batch | None = None, iteration: int = 0
) -> Step:
    """One iteration without an optimizer: losses, gradients on the views, memory update."""
    step = method.training_step(batch, source)
    torch.stack(list(step.losses.values())).sum().backward()
    method.after_step(step.update, iteration)
    return step


def total(step: Step) -> Tensor:
    """The loss that training minimizes."""
    return torch.stack([loss.detach() for loss in step.losses.values()]).sum()
