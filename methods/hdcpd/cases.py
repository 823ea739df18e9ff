"""How the stored cases of HDCPD are run, through the hooks that training calls."""

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.recipe import Recipe
from common.reference import Case, Check, close, close_gradient, equal
from common.replay import rates, replayed, stored_batch
from common.teacher import follow_, teacher_momentum
from common.types import Batch, PseudoLabels, TrainData
from methods.hdcpd.method import HDCPD, HDCPDClusters
from methods.hdcpd.recipes import CLUSTERS, MARKET1501, MARKET1501_CC, HDCPDSettings

LOSS = {"tolerance": 1e-5, "relative": 1e-5}


def run_one_domain(case: Case) -> list[Check]:
    """Labels, start of the memory, then steps: both losses, each one's gradient, memory."""
    a = case.arrays
    method = _instances(case, len(a["features"]), HDCPDSettings())
    features = F.normalize(case.tensor("features"), dim=1)
    method.begin_training(lambda domain: features)
    checks = _started(method, case, "dbscan_labels")
    for k in range(case.count("index_")):
        batch = _batch(case, ("student", "teacher"), k, a[f"index_{k}"], a[f"index_{k}"] * 0)
        step = method.training_step(batch)
        gradients = {name: _gradient(step.losses[name], batch) for name in step.losses}
        method.after_step(step.update, k)
        checks += [
            close("contrast", step.losses["contrast"], a[f"loss_h_{k}"], **LOSS),
            close("distillation", step.losses["distill"], a[f"loss_m_{k}"], **LOSS),
            close_gradient("gradient of contrast", gradients["contrast"], a[f"grad_h_{k}"]),
            close_gradient("gradient of distillation", gradients["distill"], a[f"grad_m_{k}"]),
        ]
        if f"rows_{k}" in a:
            rows = method.memory.bank[a[f"rows_{k}"]]
            checks.append(close("memory", rows, a[f"memory_rows_{k}"], 1e-6))
    return [*checks, _end(method, case)]


def run_two_domains(case: Case) -> list[Check]:
    """The same with a source domain, in the released order and in the clean one."""
    return [
        *_two_domains(case, "released", "grad_s_{}"),
        *_two_domains(case, "clean", "grad_s_premem_{}"),
    ]


def _two_domains(case: Case, order: Literal["released", "clean"], key: str) -> list[Check]:
    a = case.arrays
    method = _instances(case, len(a["target_features"]), HDCPDSettings(order=order))
    features = {
        "target": F.normalize(case.tensor("target_features"), dim=1),
        "source": case.tensor("source_features"),
    }
    method.begin_training(lambda domain: features[domain])
    checks = _started(method, case, "target_dbscan_labels")
    names = {"contrast": "t", "distill": "mt", "source contrast": "s", "source distill": "ms"}
    for k in range(case.count("index_")):
        index, pids = a[f"index_{k}"], a[f"pid_{k}"]
        target = _batch(case, ("student_t", "teacher_t"), k, index, index * 0)
        source = _batch(case, ("student_s", "teacher_s"), k, pids * 0, pids)
        step = method.training_step(target, source)
        torch.stack(list(step.losses.values())).sum().backward()
        method.after_step(step.update, k)
        checks += [
            close(name, step.losses[name], a[f"loss_{short}_{k}"], **LOSS)
            for name, short in names.items()
        ]
        checks += [
            close_gradient("target gradient", target.views[0].grad, a[f"grad_t_{k}"]),
            close_gradient(f"source gradient, {order}", source.views[0].grad, a[key.format(k)]),
        ]
    return [*checks, _end(method, case)]


def run_clusters(case: Case) -> list[Check]:
    """With Cluster Contrast: both softmax axes, both updates."""
    checks = []
    for axis in ("cluster", "batch"):
        method = _clusters(case, replace(CLUSTERS, distill_axis=axis))
        checks.append(close("memory at start", method.memory.rows, case.arrays["memory0"], 1e-6))
        checks += _cluster_steps(method, case, axis)
    method = _clusters(case, replace(CLUSTERS, update="mean"))
    for k in range(case.count("label_")):
        label = case.arrays[f"label_{k}"]
        batch = _batch(case, ("student", "teacher"), k, label, label)
        step = method.training_step(batch)
        method.after_step(step.update, k)
        memory = case.arrays[f"memory_plain_{k}"]
        checks += [
            close("contrast", step.losses["contrast"], case.arrays[f"loss_h_plain_{k}"], **LOSS),
            close("memory, mean update", method.memory.rows, memory, 1e-6),
        ]
    return checks


def _cluster_steps(method: HDCPDClusters, case: Case, axis: str) -> list[Check]:
    a, checks = case.arrays, []
    for k in range(case.count("label_")):
        label = a[f"label_{k}"]
        batch = _batch(case, ("student", "teacher"), k, label, label)
        step = method.training_step(batch)
        contrast, distill = (_gradient(step.losses[n], batch) for n in ("contrast", "distill"))
        method.after_step(step.update, k)
        checks += [
            close("contrast", step.losses["contrast"], a[f"loss_h_{k}"], **LOSS),
            close(f"{axis} axis", step.losses["distill"], a[f"loss_m_{axis}axis_{k}"], **LOSS),
            close_gradient("gradient of contrast", contrast, a[f"grad_h_{k}"]),
            close_gradient(f"gradient, {axis} axis", distill, a[f"grad_m_{axis}axis_{k}"]),
            close("memory, hard update", method.memory.rows, a[f"memory_hard_{k}"], 1e-6),
        ]
    return checks


def run_schedules(case: Case) -> list[Check]:
    """Rates, the teacher's share by step, and its path behind a given student."""
    a, checks = case.arrays, []
    for name, recipe in (("usl", MARKET1501), ("cc", MARKET1501_CC)):
        theirs = a[f"lr_{name}"]
        lr = np.array(rates(recipe, range(len(theirs))))
        checks.append(close(f"lr {name}", lr, theirs, 0.0, relative=1e-9))
    for name, recipe in (("hdcpd", MARKET1501), ("cc", MARKET1501_CC)):
        start = recipe.settings.teacher_start
        theirs = a[f"ema_alpha_{name}"]
        share = np.array([teacher_momentum(k, start) for k in range(len(theirs))])
        checks.append(close(f"share of the teacher, {name}", share, theirs, 1e-9))
        path = _teacher_path(case.tensor(f"teacher0_{name}"), case.tensor(f"student_{name}"), start)
        checks.append(close(f"teacher, {name}", path, a[f"teacher_{name}"], 1e-6, 1e-6))
    return checks


CASES = {
    "hdcpd_hybrid_usl": run_one_domain,
    "hdcpd_hybrid_uda": run_two_domains,
    "hdcpd_cc": run_clusters,
    "hdcpd_schedules": run_schedules,
}


class _Flat(nn.Module):
    """All parameters of a network in one row."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values.clone())


def _teacher_path(teacher: Tensor, students: Tensor, start: int) -> Tensor:
    follower, path = _Flat(teacher), []
    for k, student in enumerate(students):
        follow_(follower, _Flat(student), teacher_momentum(k, start))
        path.append(follower.values.detach().clone())
    return torch.stack(path)


def _instances(case: Case, images: int, settings: HDCPDSettings) -> HDCPD:
    settings = replace(settings, momentum=case.meta["momentum"], temperature=case.meta["temp"])
    pids = case.arrays.get("source_pids")
    count = 0 if pids is None else int(pids.max()) + 1
    data = TrainData(images, np.zeros(images, np.int64), pids, count)
    recipe = Recipe("hdcpd", "case", _same_temperature(settings, case))
    return replayed(HDCPD, recipe, case.arrays["memory0"].shape[1], data)


def _clusters(case: Case, settings: HDCPDSettings) -> HDCPDClusters:
    settings = replace(settings, momentum=case.meta["momentum"], temperature=case.meta["temp"])
    features = case.tensor("features")
    data = TrainData(len(features), np.zeros(len(features), np.int64))
    recipe = Recipe("hdcpd", "case", _same_temperature(settings, case))
    method = replayed(HDCPDClusters, recipe, features.shape[1], data)
    method.begin_epoch(0, features, PseudoLabels(case.arrays["dbscan_labels"]))
    return method


def _same_temperature(settings: HDCPDSettings, case: Case) -> HDCPDSettings:
    t = case.meta["temp"]
    return replace(settings, student_temperature=t, teacher_temperature=t)


def _started(method: HDCPD, case: Case, key: str) -> list[Check]:
    pseudo = PseudoLabels(case.arrays[key]).outliers_as_clusters()
    method.begin_epoch(0, method.memory.target, pseudo)
    return [
        close("memory at start", method.memory.bank, case.arrays["memory0"], 1e-6),
        equal("labels", method.memory.labels, case.arrays["labels"]),
    ]


def _batch(
    case: Case, views: tuple[str, str], k: int, indices: np.ndarray, labels: np.ndarray
) -> Batch:
    tensors = (case.tensor(f"{view}_{k}") for view in views)
    return stored_batch(*tensors, indices=indices, labels=labels)


def _gradient(loss: Tensor, batch: Batch) -> Tensor:
    return torch.autograd.grad(loss, batch.views[0], retain_graph=True)[0]


def _end(method: HDCPD, case: Case) -> Check:
    numbers = (int(key[6:]) for key in case.arrays if key[:6] == "memory" and key[6:].isdigit())
    last = f"memory{max(numbers)}"
    return close("memory at end", method.memory.bank, case.arrays[last], 1e-6)
