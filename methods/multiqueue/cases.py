"""How the stored cases of MultiQueue are run, through the hooks that training calls."""

from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer

from common.optimizer import make_optimizer
from common.recipe import Recipe
from common.reference import Case, Check, close, close_gradient, equal
from common.replay import replay_step, replayed, stored_batch, stored_recipe, total
from common.types import PseudoLabels, TrainData
from methods.multiqueue.method import MultiQueue
from methods.multiqueue.recipes import RECIPES, MultiQueueSettings


class _Replayed(MultiQueue):
    """MultiQueue that compares with the slots that the released code drew."""

    drawn: torch.Tensor

    def draw_slots(self) -> torch.Tensor:
        return self.drawn


def run_queue(case: Case) -> list[Check]:
    """Start of the queues, then steps: loss, gradients, temperature, pointers, queues."""
    a, features = case.arrays, case.tensor("features")
    method = _method(case.meta, len(features), features.shape[1])
    method.begin_epoch(0, features, PseudoLabels(a["labels"]))
    optimizer = make_optimizer(method)
    checks = [close("queues at start", method.memory.queues, _slots(a["queue_init"], method), 1e-6)]
    for s in range(case.count("inputs_")):
        checks += _step(method, optimizer, case, s)
    last = _slots(a["queue_final"], method)
    return [*checks, close("queues at end", method.memory.queues, last, 1e-6)]


def _step(method: _Replayed, optimizer: Optimizer, case: Case, s: int) -> list[Check]:
    """One iteration with its optimizer's step, which moves the temperature where it is learnt."""
    a, targets = case.arrays, case.arrays[f"targets_{s}"]
    batch = stored_batch(case.tensor(f"inputs_{s}"), indices=targets, labels=targets)
    before = _temperature("temperature before", method.temperature, a[f"temp_before_{s}"])
    # The terms of T's gradient are similarities, rounded to 6e-8, over the square of T.
    rounding = max(1e-6, 6e-8 / method.temperature.item() ** 2)
    method.drawn = case.tensor(f"draw_{s}")
    method.temperature.requires_grad_(True)  # its gradient is stored also where it is fixed
    optimizer.zero_grad()
    step = replay_step(method, batch)
    gradient = method.temperature.grad
    if method.settings.learn_temperature:
        optimizer.step()
    method.temperature.grad = None
    queues = method.memory.queues
    probe = queues[:, :, : a[f"queue_probe_{s}"].shape[2]]
    return [
        before,
        close("loss", total(step), a[f"loss_{s}"], 2e-7, relative=1e-5),
        close_gradient("gradient", batch.views[0].grad, a[f"grad_{s}"], 1e-7),
        close_gradient("temperature gradient", gradient, a[f"grad_temp_{s}"], rounding),
        _temperature("temperature after", method.temperature, a[f"temp_after_{s}"]),
        equal("pointers", method.memory.pointer, a[f"pointer_{s}"]),
        close("queue entries", probe, a[f"queue_probe_{s}"], 1e-6),
        close("queue norms", queues.norm(dim=2), a[f"queue_norm_{s}"], 1e-6),
    ]


def _temperature(name: str, ours: torch.Tensor, theirs: np.ndarray) -> Check:
    """Compare temperatures: 2e-8, or a unit in the last place where that is more."""
    return close(name, ours, theirs, max(2e-8, float(np.spacing(np.float32(theirs)).max())))


def _slots(stored: np.ndarray, method: MultiQueue) -> np.ndarray:
    """(C, Q, D) of queues that a case may store as (C, D) where all slots of each are equal."""
    rows = stored if stored.ndim == 3 else stored[:, None]
    return np.broadcast_to(rows, method.memory.queues.shape)


def run_temperature(case: Case) -> list[Check]:
    """The optimizer's steps on the temperature for a given sequence of gradients."""
    meta = {
        "queue_length": 1,
        "temperature_init": case.meta["init"],
        "trainable_temperature": True,
        "lr": case.meta["lr"],
        "temperature_lr_factor": 1.0,
        "weight_decay": case.meta["weight_decay"],
    }
    method = _method(meta, 1, 1)
    optimizer = make_optimizer(method)
    optimizer.param_groups[-1].update(betas=case.meta["betas"], eps=case.meta["eps"])
    found = []
    for gradient in case.arrays["grad"]:
        method.temperature.grad = torch.tensor(gradient, dtype=torch.float32)
        optimizer.step()
        found.append(float(method.temperature.detach()))
    return [close("temperature", np.array(found), case.arrays["temperature"], 1e-7)]


def run_schedule(case: Case) -> list[Check]:
    """Rates of the encoder and of the temperature."""
    recipe, a = stored_recipe(RECIPES, case.meta), case.arrays
    factor = np.array([recipe.lr_factor(e) for e in range(len(a["lr"]))])
    share = case.meta.get("temperature_lr_factor", recipe.settings.temperature_rate)
    own = recipe.lr * share
    return [
        close("lr", recipe.lr * factor, a["lr"], 0.0, relative=1e-9),
        close("lr of the temperature", own * factor, a["lr_temperature"], 0.0, relative=1e-9),
    ]


CASES = {
    "multiqueue_q": run_queue,
    "multiqueue_temperature": run_temperature,
    "multiqueue_schedule": run_schedule,
}


def _method(meta: dict[str, Any], images: int, features: int) -> _Replayed:
    settings = MultiQueueSettings(
        queue_length=meta["queue_length"],
        temperature=meta["temperature_init"],
        learn_temperature=meta["trainable_temperature"],
        temperature_rate=meta["temperature_lr_factor"],
        temperature_floor=0.0,  # the released code has none
    )
    recipe = Recipe(
        "multiqueue", "case", settings, lr=meta["lr"], weight_decay=meta["weight_decay"]
    )
    data = TrainData(images, np.zeros(images, np.int64))
    return replayed(_Replayed, recipe, features, data)
