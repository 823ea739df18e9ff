"""How the stored cases of SpCL are run, through the hooks that training calls."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from common.recipe import Dbscan, Recipe
from common.reference import Case, Check, close, close_gradient, equal
from common.replay import rates, replay_step, replayed, stored_batch, stored_recipe
from common.schedules import Constant
from common.types import PseudoLabels, TrainData
from methods.spcl.method import SpCL
from methods.spcl.recipes import RECIPES, SpCLSettings
from methods.spcl.reliability import reliability

LOSS = {"tolerance": 1e-6, "relative": 2e-6}  # the first for small losses, rounded in float32


def run_memory(case: Case) -> list[Check]:
    """Start of the memory, labels, then steps: losses, gradients, touched rows."""
    method = _method(case)
    a, two = case.arrays, "source_raw" in case.arrays
    features: dict[str, Tensor] = {
        "target": F.normalize(case.tensor("target_raw" if two else "init_raw"), dim=1),
    }
    if two:
        features["source"] = case.tensor("source_raw")  # only their means count
    method.begin_training(lambda domain: features[domain])
    raw = [a[f"labels_{radius}"] for radius in ("tight", "normal", "loose")]
    labels = method.reliable(*raw)
    first = method.data.num_source_ids
    every = np.concatenate([np.arange(first), first + labels])
    clustered = method.clustering_features(lambda domain: features["target"])
    radii, own = method.clusterings(clustered, 0), method.assign(clustered, 0)
    checks = [
        close("memory at start", method.memory.bank, a["memory_init"], 5e-7),
        equal("clusterings", np.stack([found.labels for found in radii]), np.stack(raw)),
        equal("labels", every, a["labels"]),
        equal("labels from own clustering", first + own.labels, a["labels"][first:]),
    ]
    method.begin_epoch(0, method.memory.target, PseudoLabels(labels))
    steps = case.count("rows_")
    for s in range(steps):
        checks += _two_domain_step(method, case, s) if two else _step(method, case, s)
        rows = a[f"rows_{s}"]
        checks.append(close("memory", method.memory.bank[rows], a[f"memory_rows_{s}"], 5e-7))
    return checks


def _step(method: SpCL, case: Case, s: int) -> list[Check]:
    a = case.arrays
    index = a["indexes"][s]
    batch = stored_batch(case.tensor("inputs")[s], indices=index, labels=index * 0)
    step = replay_step(method, batch)
    return [
        close("loss", step.losses["contrast"], a["loss"][s], **LOSS),
        close_gradient("gradient", batch.views[0].grad, a["grad_inputs"][s]),
    ]


def _two_domain_step(method: SpCL, case: Case, s: int) -> list[Check]:
    a = case.arrays
    index, pids = a["target_indexes"][s], a["source_targets"][s]
    target = stored_batch(case.tensor("target_inputs")[s], indices=index, labels=index * 0)
    source = stored_batch(case.tensor("source_inputs")[s], indices=pids * 0, labels=pids)
    step = replay_step(method, target, source)
    return [
        close("source loss", step.losses["source contrast"], a["loss_source"][s], **LOSS),
        close("target loss", step.losses["contrast"], a["loss_target"][s], **LOSS),
        close_gradient("source gradient", source.views[0].grad, a["grad_source"][s]),
        close_gradient("target gradient", target.views[0].grad, a["grad_target"][s]),
    ]


def run_reliability(case: Case) -> list[Check]:
    """Scores, the frozen threshold and the labels of consecutive epochs."""
    a = case.arrays
    images = len(a["normal_0"])
    recipe = Recipe("spcl", "case", SpCLSettings())
    method = replayed(SpCL, recipe, 1, TrainData(images, np.zeros(images, np.int64)))
    checks = []
    for e in range(case.count("normal_")):
        raw = [a[f"{name}_{e}"] for name in ("tight", "normal", "loose")]
        scores = reliability(*(PseudoLabels(x).outliers_as_clusters().labels for x in raw))
        labels = method.reliable(*raw)
        checks += [
            close("compactness", scores.compactness, a[f"r_comp_{e}"], 1e-7),
            close("independence", scores.independence, a[f"r_indep_{e}"], 1e-7),
            close("class compactness", scores.class_compactness, a[f"cluster_r_comp_{e}"], 1e-7),
            close("class independence", scores.class_independence, a[f"cluster_r_indep_{e}"], 1e-7),
            close("threshold", method.threshold, a["indep_thres"], 1e-7),
            equal("labels", labels, a[f"labels_{e}"]),
        ]
    return checks


def run_schedule(case: Case) -> list[Check]:
    """Rate by epoch."""
    recipe = stored_recipe(RECIPES, case.meta)
    lr = np.array(rates(recipe, case.arrays["epoch"].tolist()))
    return [close("lr", lr, case.arrays["lr"], 0.0, relative=1e-12)]


CASES = {
    "spcl_memory": run_memory,
    "spcl_reliability": run_reliability,
    "spcl_schedule": run_schedule,
}


def _method(case: Case) -> SpCL:
    meta, a = case.meta, case.arrays
    settings = SpCLSettings(
        momentum=meta["momentum"], temperature=meta["temp"], eps_gap=meta["eps_gap"]
    )
    clustering = Dbscan(Constant(meta["eps"]), meta.get("min_samples", 4), meta["k1"], meta["k2"])
    recipe = Recipe("spcl", "case", settings, clustering=clustering)
    pids = a.get("source_pids")
    if pids is not None:  # rows go by increasing identity, also where numbers are left out
        pids = np.unique(pids, return_inverse=True)[1]
    images = len(a["target_raw" if pids is not None else "init_raw"])
    data = TrainData(
        images,
        np.zeros(images, np.int64),
        source_pids=pids,
        num_source_ids=0 if pids is None else int(pids.max()) + 1,
    )
    return replayed(SpCL, recipe, a["memory_init"].shape[1], data)
