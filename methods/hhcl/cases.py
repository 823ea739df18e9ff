"""How the stored cases of HHCL are run, through the hooks that training calls."""

import numpy as np
import torch

from common.losses import smooth_cross_entropy, smoothed_classes
from common.memory import class_means, hardest_members
from common.prototypes import HybridMemory
from common.recipe import Recipe, Sampling
from common.reference import Case, Check, close, close_gradient, equal
from common.replay import radii, rates, replay_step, replayed, stored_batch, stored_recipe, total
from common.types import Batch, PseudoLabels, TrainData
from methods.hhcl.loss import hybrid_weights
from methods.hhcl.memory import SlotMemory, instance_rows
from methods.hhcl.method import HHCL
from methods.hhcl.recipes import RECIPES, HHCLSettings

SMOOTHING = 0.1  # epsilon of the released smoothing switch, whatever value switches it on


def run_memory(case: Case) -> list[Check]:
    """Start of a memory, then consecutive steps: loss, gradient, memory."""
    method, features = _started(case)
    checks = [
        close(
            "centroid mean",
            class_means(features, case.arrays["pseudo_labels"], len(case.arrays["centroid_mean"])),
            case.arrays["centroid_mean"],
            1e-6,
        ),
        close("memory at start", _rows(method), case.arrays["memory_init"], 1e-6),
    ]
    for s in range(len(case.arrays["x"])):
        checks += _step(method, case, s)
    return checks


def _step(method: HHCL, case: Case, s: int) -> list[Check]:
    a = case.arrays
    batch = stored_batch(case.tensor("x")[s], indices=a["batch_index"][s], labels=a["targets"][s])
    checks = [
        equal("cluster of the images", a["pseudo_labels"][batch.all_indices], a["targets"][s])
    ]
    if "hard_position" in a:
        checks.append(equal("hardest member", _positions(method, batch, a), a["hard_position"][s]))
    step = replay_step(method, batch)
    checks += [
        close("loss", total(step), a["loss"][s], 2e-6, relative=1e-5),
        close_gradient("gradient", batch.views[0].grad, a["grad_x"][s], 2e-6),
        close("memory", _rows(method), a["memory"][s], 1e-6),
    ]
    if "ce_hard" in a:
        weights = hybrid_weights(method.settings.hard_weight, balanced=False)
        for name, weight in zip(("hard", "mean"), weights, strict=True):
            expected = weight * a[f"ce_{name}"][s]
            checks.append(close(f"ce_{name}", step.losses[name], expected, 2e-6, relative=1e-5))
    return checks


def run_label_smooth(case: Case) -> list[Check]:
    """Smoothed cross-entropy and its gradient, for few and for many classes."""
    checks = []
    for j in range(case.count("logits_")):
        logits = case.tensor(f"logits_{j}").requires_grad_()
        loss = smooth_cross_entropy(
            logits, case.tensor(f"targets_{j}"), epsilon=case.meta.get("epsilon", SMOOTHING)
        )
        loss.backward()
        checks += [
            equal(f"classes {j}", smoothed_classes(logits.shape[1]), case.arrays[f"k_{j}"]),
            close(f"loss {j}", loss, case.arrays[f"loss_{j}"], 2e-6, relative=1e-5),
            close_gradient(f"gradient {j}", logits.grad, case.arrays[f"grad_{j}"], 2e-6),
        ]
    return checks


def run_schedule(case: Case) -> list[Check]:
    """Rate, eps, temperature, weights and tests by epoch."""
    recipe = stored_recipe(RECIPES, case.meta)
    epochs = range(len(case.arrays["lr"]))
    weights = hybrid_weights(recipe.settings.hard_weight, balanced=False)
    ours = {
        "lr": rates(recipe, epochs),
        "eps": radii(recipe, epochs),
        "temperature": [recipe.settings.temperature for _ in epochs],
        "momentum": [recipe.settings.momentum for _ in epochs],
        "weight_hard": [weights[0] for _ in epochs],
        "weight_mean": [weights[1] for _ in epochs],
    }
    checks = [
        close(name, np.array(values), case.arrays[name], 1e-15, relative=1e-9)
        for name, values in ours.items()
    ]
    due = np.array([recipe.due(e) for e in epochs])
    return [*checks, equal("evaluated epochs", due, case.arrays["evaluate"])]


CASES = {
    "hhcl_cm": run_memory,
    "hhcl_cmhard": run_memory,
    "hhcl_cmhybrid": run_memory,
    "hhcl_label_smooth": run_label_smooth,
    "hhcl_schedule": run_schedule,
}


def _started(case: Case) -> tuple[HHCL, torch.Tensor]:
    """The method at the start of an epoch, with the case's settings and its drawn slots."""
    meta, features = case.meta, case.tensor("features")
    settings = HHCLSettings(
        memory=meta["mode"],
        momentum=meta["momentum"],
        temperature=meta["temperature"],
        hard_weight=meta["hard_weight"],
        smooth=SMOOTHING if meta.get("smooth") else 0.0,
    )
    sampling = Sampling(case.arrays["x"].shape[1], meta["num_instances"], 1)
    recipe = Recipe("hhcl", "case", settings, sampling=sampling)
    images = len(features)
    data = TrainData(images, np.zeros(images, np.int64))
    method = replayed(HHCL, recipe, features.shape[1], data)
    method.begin_epoch(0, features, PseudoLabels(case.arrays["pseudo_labels"]))
    if isinstance(method.memory, SlotMemory):
        method.memory.instances = instance_rows(features, case.arrays["instance_slots"])
    return method, features


def _rows(method: HHCL) -> torch.Tensor:
    """The memory in the row order of the released code."""
    memory = method.memory
    if isinstance(memory, HybridMemory):
        return torch.cat([memory.hard, memory.mean])
    if isinstance(memory, SlotMemory):
        return torch.cat([memory.centroids, memory.instances.flatten(0, 1)])
    return memory.rows


def _positions(method: HHCL, batch: Batch, arrays: dict[str, np.ndarray]) -> np.ndarray:
    bank = method.memory.hard if isinstance(method.memory, HybridMemory) else _rows(method)
    z = torch.nn.functional.normalize(batch.views[0].detach(), dim=1)
    present, position = hardest_members(bank, batch.all_labels, z)
    found = np.full(arrays["hard_position"].shape[1], -1)
    found[present] = position.numpy()
    return found
