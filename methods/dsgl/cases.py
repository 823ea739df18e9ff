"""How the stored cases of DSGL are run, through the hooks that training calls."""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F

from common.recipe import Recipe
from common.reference import Case, Check, close, close_gradient, equal
from common.replay import radii, rates, replayed, stored_batch, stored_recipe, total
from common.types import PseudoLabels, TrainData
from methods.dsgl.disentangle import Groups, guided_prototypes
from methods.dsgl.method import DSGL
from methods.dsgl.recipes import RECIPES, DSGLSettings

LOSS = {"tolerance": 2e-6, "relative": 1e-5}


def run_steps(case: Case) -> list[Check]:
    """Start of an epoch, then steps: every loss term, both gradients, memory, instances."""
    a, features = case.arrays, case.tensor("features")
    method = _method(case, "mean" if case.meta["variant"] == "msmt" else "hard")
    method.begin_epoch(0, features, PseudoLabels(a["pseudo_labels"]))
    every = PseudoLabels(a["pseudo_labels"]).outliers_as_clusters().labels
    checks = [
        close("memory at start", _rows(method), a["memory_init"], 1e-6),
        equal("nuisance labels", method.nuisance, a["irrelevant_labels"]),
        equal("labels of all images", every, a["index_labels"]),
    ]
    for s in range(len(a["x"])):
        checks += _step(method, case, s)
    instances = method.instances.features
    return [*checks, close("instances at end", instances, a["instance_memory_final"], 1e-6)]


def _step(method: DSGL, case: Case, s: int) -> list[Check]:
    a = case.arrays
    views = (case.tensor("x")[s], case.tensor("x_pos")[s])
    batch = stored_batch(*views, indices=a["batch_index"][s], labels=a["targets"][s])
    checks = [
        equal("nuisance of the batch", method.nuisance[batch.all_indices], a["irrelevant"][s]),
        equal(
            "cluster of the partner", a["pseudo_labels"][a["positive_index"][s]], a["targets"][s]
        ),
    ]
    z = F.normalize(batch.views[0].detach(), dim=1)
    seen = batch.seen(z)
    before = method.disentangled(z, batch.labels, method.groups_of(seen, 0))
    step = method.training_step(batch)
    both = method.groups_of(seen, 0), method.groups_of(seen, 1)
    after = method.disentangled(z, batch.labels, both[0])
    if s == 0:
        for groups, key in zip(both, ("kl_proto_first", "kl_proto_second"), strict=True):
            checks.append(close(key, method.entropy_prototypes(groups), a[key], 1e-6))
    torch.stack(list(step.losses.values())).sum().backward()
    method.after_step(step.update, s)
    return [
        *checks,
        close("contrast", step.losses["contrast"], a["loss_cls"][s], **LOSS),
        close("disentangled, before", before, a["loss_dis_a"][s], **LOSS),
        close("disentangled, after", after, a["loss_dis_b"][s], **LOSS),
        close("relative entropy", step.losses["entropy"], a["loss_kl"][s], **LOSS),
        close("loss", total(step), a["loss"][s], **LOSS),
        close_gradient("gradient", batch.views[0].grad, a["grad_x"][s], 2e-6),
        close_gradient("gradient of the partner", batch.views[1].grad, a["grad_x_pos"][s], 2e-6),
        close("memory", _rows(method), a["memory"][s], 1e-6),
    ]


def run_disentangle(case: Case) -> list[Check]:
    """The disentangled loss twice on one batch, with anchors that have no group at all."""
    a, features = case.arrays, case.tensor("features")
    method = _method(case, "hard")
    method.begin_epoch(0, features, PseudoLabels(a["pseudo_labels"]))
    method.set_nuisance(a["irrelevant_labels"])
    method.memory.mean.copy_(case.tensor("cluster_memory"))
    batch = stored_batch(case.tensor("x"), indices=a["batch_index"], labels=a["targets"])
    groups = method.groups[0].of_batch(batch.all_labels, a["irrelevant"], method.instances.features)
    checks = _groups(method, case, groups)
    for call in range(len(a["loss"])):
        batch.views[0].grad = None
        z = method.encoder(batch.views[0])
        seen = batch.seen(z)
        loss = method.disentangled(z, batch.labels, method.groups_of(seen, 0))
        loss.backward()
        method.instances.write(seen.indices, seen.embeddings)
        checks += [
            close(f"loss, call {call}", loss, a["loss"][call], **LOSS),
            close_gradient(f"gradient, call {call}", batch.views[0].grad, a["grad_x"][call], 2e-6),
        ]
    return checks


def _groups(method: DSGL, case: Case, groups: Groups) -> list[Check]:
    """Positive groups, negative groups and guided prototypes before the first call."""
    a, centroids = case.arrays, method.memory.mean
    positives, means = groups.positives(centroids), groups.means()
    negatives = groups.negatives()
    none = np.logical_not(negatives.any(axis=1))
    first = torch.zeros(a["negative_first"].shape)
    for i in range(len(first)):
        found = means[negatives[i]] if not none[i] else centroids[groups.r[i], None]
        first[i, : len(found)] = found
    share = method.settings.disentangle_share
    guided = guided_prototypes(centroids, groups.y, positives, share)
    return [
        close("positive groups", positives, a["positive_group"], 1e-6),
        equal("negative groups", negatives.sum(axis=1) + none, a["negative_count"]),
        close("first negative groups", first, a["negative_first"], 1e-6),
        close("guided prototypes", guided, a["guided_prototypes"], 1e-6),
    ]


def run_schedule(case: Case) -> list[Check]:
    """Rate, eps, temperature, momentum, weights of the losses (none here) and tests by epoch."""
    recipe, a = stored_recipe(RECIPES, case.meta), case.arrays
    epochs = range(len(a["lr"]))
    s = recipe.settings
    ours = {
        "lr": rates(recipe, epochs),
        "eps": radii(recipe, epochs),
        "temperature": [case.meta.get("temperature", s.contrast_temperature) for _ in epochs],
        "momentum": [s.momentum for _ in epochs],
        **{f"weight_{loss}": [1.0 for _ in epochs] for loss in ("cls", "dis", "kl")},
    }
    checks = [close(n, np.array(v), a[n], 0.0, relative=1e-9) for n, v in ours.items()]
    return [*checks, equal("evaluated epochs", [recipe.due(e) for e in epochs], a["evaluate"])]


CASES = {
    "dsgl_dlhybrid": run_steps,
    "dsgl_disentangle": run_disentangle,
    "dsgl_schedule": run_schedule,
}


def _method(case: Case, half: Literal["hard", "mean"]) -> DSGL:
    meta, t = case.meta, case.meta["temperature"]
    settings = DSGLSettings(
        cls_half=half,
        momentum=meta.get("momentum", DSGLSettings.momentum),
        contrast_temperature=t,
        disentangle_temperature=t,
        entropy_temperature=t,
        disentangle_share=meta["tau_disentangle"],
        positive_share=meta.get("tau_kl_pos", DSGLSettings.positive_share),
        negative_share=meta.get("tau_kl_neg", DSGLSettings.negative_share),
        smooth=0.1 if meta.get("smooth") else 0.0,  # as HHCL's switch, which ignores its value
    )
    images, features = case.arrays["features"].shape
    data = TrainData(images, np.zeros(images, np.int64))
    return replayed(DSGL, Recipe("dsgl", "case", settings), features, data)


def _rows(method: DSGL) -> torch.Tensor:
    return torch.cat([method.memory.hard, method.memory.mean])
