"""How the stored cases of Cluster Contrast are run, through the hooks that training calls."""

from typing import Literal

import numpy as np

from common.backbones.cases import run_bnchunks
from common.clustering.cases import run_infomap
from common.data.cases import run_sampler_replay
from common.memory import class_means
from common.recipe import Recipe
from common.reference import Case, Check, close, close_gradient, equal
from common.replay import rates, replay_step, replayed, stored_batch, stored_recipe, total
from common.types import PseudoLabels, TrainData
from methods.clustercontrast.method import ClusterContrast
from methods.clustercontrast.recipes import RECIPES, ClusterContrastSettings


def run_mean(case: Case) -> list[Check]:
    """A memory that every image of the batch moves in turn."""
    return _run_memory(case, "mean")


def run_hard(case: Case) -> list[Check]:
    """A memory that the hardest image of each cluster moves."""
    return _run_memory(case, "hard")


def _run_memory(case: Case, update: Literal["mean", "hard"]) -> list[Check]:
    """Start of the memory, then consecutive steps: loss, gradient, memory."""
    a, features = case.arrays, case.tensor("features")
    means = class_means(features, a["labels"], len(a["centroid_mean"]))
    settings = ClusterContrastSettings(
        update=update,
        momentum=case.meta["momentum"],
        temperature=case.meta["temperature"],
    )
    data = TrainData(len(features), np.zeros(len(features), np.int64))
    recipe = Recipe("clustercontrast", "case", settings)
    method = replayed(ClusterContrast, recipe, features.shape[1], data)
    method.begin_epoch(0, features, PseudoLabels(a["labels"]))
    checks = [
        close("centroid mean", means, a["centroid_mean"], 1e-6),
        close("memory at start", method.memory.rows, a["memory_init"], 1e-6),
    ]
    steps = case.count("inputs_")
    for s in range(steps):
        targets = a[f"targets_{s}"]
        batch = stored_batch(case.tensor(f"inputs_{s}"), indices=targets, labels=targets)
        step = replay_step(method, batch)
        rounding = 3e-7 / (len(targets) * settings.temperature)  # of p, which 1 / (B T) multiplies
        checks += [
            close("loss", total(step), a[f"loss_{s}"], 1e-6, relative=1e-5),
            close_gradient("gradient", batch.views[0].grad, a[f"grad_{s}"], rounding),
            close("memory", method.memory.rows, a[f"memory_{s}"], 2e-6),
        ]
    return checks


def run_schedule(case: Case) -> list[Check]:
    """Rate, temperature and tested epochs."""
    recipe, a = stored_recipe(RECIPES, case.meta), case.arrays
    epochs = range(len(a["lr"]))
    lr = np.array(rates(recipe, epochs))
    temperature = np.full(len(a["temperature"]), recipe.settings.temperature)
    due = np.array([e for e in epochs if recipe.due(e)])
    return [
        close("lr", lr, a["lr"], 0.0, relative=1e-9),
        close("temperature", temperature, a["temperature"], 0.0, relative=1e-9),
        equal("tested epochs", due, a["eval_epochs"]),
    ]


CASES = {
    "clustercontrast_mean": run_mean,
    "clustercontrast_hard": run_hard,
    "clustercontrast_schedule": run_schedule,
    "clustercontrast_infomap": run_infomap,
    "clustercontrast_sampler": run_sampler_replay,
    "clustercontrast_bnchunks": run_bnchunks,
}
