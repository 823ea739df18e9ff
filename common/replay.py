"""Run a method's hooks on stored network outputs: how reference cases reach the training code."""

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.backbones.encoder import Encoder
from common.errors import UserError
from common.method import Method
from common.recipe import Dbscan, Recipe
from common.schedules import Constant, StepDecay
from common.streams import Streams
from common.team import Team
from common.types import Batch, Step, TrainData

Replayed = TypeVar("Replayed", bound=Method)


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
    build: Callable[[Encoder, Recipe, TrainData, Team, Streams], Replayed],
    recipe: Recipe,
    num_features: int,
    data: TrainData,
) -> Replayed:
    """A method whose encoder passes stored outputs through."""
    encoder: Any = StoredOutputs(num_features)
    return build(encoder, recipe, data, Team(), Streams(recipe.seed))


def stored_batch(*views: Tensor, indices: Any, labels: Any) -> Batch:
    """A batch of stored outputs; the views come to require gradients."""
    images, classes = (np.asarray(values, np.int64) for values in (indices, labels))
    shown = tuple(view.clone().requires_grad_() for view in views)
    return Batch(shown, torch.from_numpy(images), torch.from_numpy(classes), images, classes)


def replay_step(method: Method, batch: Batch, source: Batch | None = None) -> Step:
    """One iteration without an optimizer: losses, gradients on the views, memory update."""
    step = method.training_step(batch, source)
    torch.stack(list(step.losses.values())).sum().backward()
    method.after_step(step.update, 0)
    return step


def stored_recipe(recipes: Iterable[Recipe], meta: dict[str, Any]) -> Recipe:
    """The paper's recipe for a case of schedules, with whatever else the case names.

    Args:
        meta: `dataset` (Market-1501 unless named), and what differs from its recipe: `base_lr` or
            `lr`, `step_size` and its `gamma`, `epochs`, `eval_step`, `eps`, settings of the method.

    Raises:
        UserError: no recipe for that data set.
    """
    dataset = meta.get("dataset", "market1501")
    plain = (r for r in recipes if r.dataset == dataset and not r.source and not r.variant)
    recipe = next(plain, None)
    if recipe is None:
        raise UserError(f"there is no recipe for {dataset}, whose schedules the case holds")
    rate = meta.get("base_lr", meta.get("lr", recipe.lr))
    decay = recipe.lr_factor
    if "step_size" in meta:
        decay = StepDecay(meta["step_size"], meta.get("gamma", StepDecay.factor))
    epochs, every = meta.get("epochs", recipe.epochs), meta.get("eval_step", recipe.eval_every)
    names = {field.name for field in fields(recipe.settings)} & meta.keys()
    settings = replace(recipe.settings, **{name: meta[name] for name in names})
    clustering = recipe.clustering
    if "eps" in meta and isinstance(clustering, Dbscan):
        clustering = replace(clustering, eps=Constant(meta["eps"]))
    changed = replace(recipe, settings=settings, clustering=clustering)
    return replace(changed, lr=rate, lr_factor=decay, epochs=epochs, eval_every=every)


def rates(recipe: Recipe, epochs: Iterable[int]) -> list[float]:
    """The encoder's learning rate by epoch."""
    return [recipe.lr * recipe.lr_factor(epoch) for epoch in epochs]


def radii(recipe: Recipe, epochs: Iterable[int]) -> list[float]:
    """DBSCAN's eps by epoch."""
    assert isinstance(recipe.clustering, Dbscan)
    return [recipe.clustering.eps(epoch) for epoch in epochs]


def total(step: Step) -> Tensor:
    """The loss that training minimizes."""
    return torch.stack([loss.detach() for loss in step.losses.values()]).sum()
