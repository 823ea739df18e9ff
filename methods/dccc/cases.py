"""How the stored cases of DCCC are run, through the hooks that training calls."""

from typing import Any

import numpy as np
import torch

from common.recipe import Recipe
from common.reference import Case, Check, close, close_gradient
from common.replay import replayed, stored_batch
from common.schedules import (
    Constant,
    ExponentialEps,
    LinearEps,
    LogEps,
    Schedule,
    StepDecay,
    Warmup,
)
from common.teacher import teacher_momentum
from common.types import PseudoLabels, TrainData
from methods.dccc.loss import soft_contrast_loss
from methods.dccc.method import DCCC
from methods.dccc.recipes import DCCCSettings


def run_memory(case: Case) -> list[Check]:
    """The start of the memory, then steps of every mode: losses, gradients, memory."""
    checks = []
    for mode in case.meta["modes"]:
        method = _method(case, mode)
        if "features" in case.arrays:
            features = case.tensor("features")
            method.begin_epoch(0, features, PseudoLabels(case.arrays["dbscan_labels"]))
            checks.append(
                close("memory at start", method.memory.rows, case.arrays["memory0"], 1e-6)
            )
        else:
            start = case.tensor("memory0")
            method.begin_epoch(0, start, PseudoLabels(np.arange(len(start))))
            method.memory.rows.copy_(start)
        for k in range(case.count("student_")):
            checks += _step(method, case, mode, k)
    return checks


def _step(method: DCCC, case: Case, mode: str, k: int) -> list[Check]:
    """Half of each loss is asked for, so that both are formed; they are compared at full weight."""
    a, label = case.arrays, case.arrays[f"label_{k}"]
    views = (case.tensor(f"student_{k}"), case.tensor(f"teacher_{k}"))
    batch = stored_batch(*views, indices=label, labels=label)
    step = method.training_step(batch)
    checks = []
    for name, short in (("contrast", "c"), ("soft", "s")):
        full = step.losses[name] / 0.5
        checks.append(close(f"{mode} {name}", full, a[f"{mode}_loss_{short}_{k}"], 1e-5))
        if (key := f"{mode}_grad_{short}_{k}") in a:
            gradient = torch.autograd.grad(full, batch.views[0], retain_graph=True)[0]
            checks.append(close_gradient(f"{mode} gradient of {name}", gradient, a[key]))
    method.after_step(step.update, k)
    # Exponents of the weights are similarities, rounded to 6e-8, over tau_w.
    allowed = max(2e-6, 6e-8 / case.meta["tau_w"]) if mode == "wgm" else 2e-6
    return [*checks, close(f"{mode} memory", method.memory.rows, a[f"{mode}_memory_{k}"], allowed)]


def run_losses(case: Case) -> list[Check]:
    """The soft loss alone. The file's other losses are called by no released command."""
    checks = []
    labels, teacher = case.tensor("labels"), case.tensor("teacher_logits")
    for name, smooth in (("soft_ce", 1.0), ("soft_ce_smooth", case.meta["epsilon"])):
        logits = case.tensor("logits").requires_grad_()
        loss = soft_contrast_loss(logits, teacher, labels, smooth=smooth)
        loss.backward()
        checks += [
            close(name, loss, case.arrays[f"loss_{name}"], 1e-5),
            close_gradient(f"gradient of {name}", logits.grad, case.arrays[f"grad_{name}"]),
        ]
    return checks


def run_schedules(case: Case) -> list[Check]:
    """Every schedule of eps and rate, and the teacher's share by step."""
    a, meta = case.arrays, case.meta
    checks = []
    for i, entry in enumerate(meta["eps"]):
        eps = _values(_eps(entry), len(a[f"eps_{i}"]))
        checks.append(close(f"eps {entry['scheduler']}", eps, a[f"eps_{i}"], 1e-9))
    for i, entry in enumerate(meta["lr_warmup"]):
        schedule = Warmup(
            entry["warmup_epochs"],
            entry["warmup_factor"],
            tuple(entry["milestones"]),
            entry["gamma"],
        )
        lr = entry["base"] * _values(schedule, len(a[f"lr_warmup_{i}"]))
        checks.append(close("lr, warm-up", lr, a[f"lr_warmup_{i}"], 1e-9))
    step = meta["lr_step"]
    lr = step["base"] * _values(StepDecay(step["step_size"], step["gamma"]), len(a["lr_step"]))
    start = DCCCSettings().teacher_start
    share = np.array([teacher_momentum(k, start) for k in range(len(a["ema_alpha"]))])
    return [
        *checks,
        close("lr, steps", lr, a["lr_step"], 1e-9),
        close("share of the teacher", share, a["ema_alpha"], 1e-9),
    ]


CASES = {
    "dccc_wgm": run_memory,
    "dccc_modes": run_memory,
    "dccc_losses": run_losses,
    "dccc_schedules": run_schedules,
}


def _method(case: Case, mode: str) -> DCCC:
    meta = case.meta
    settings = DCCCSettings(
        update=mode,  # type: ignore[arg-type]
        update_temperature=meta["tau_w"],
        momentum=meta["momentum"],
        temperature=meta["temp"],
        soft_weight=0.5,
        smooth=meta["smooth"],
    )
    rows, features = case.arrays["memory0"].shape
    data = TrainData(rows, np.zeros(rows, np.int64))
    return replayed(DCCC, Recipe("dccc", "case", settings), features, data)


def _eps(entry: dict[str, Any]) -> Schedule:
    start = entry["eps"]
    match entry["scheduler"]:
        case "expo":
            return ExponentialEps(start)
        case "linear":
            return LinearEps(start)
        case "step":
            return LinearEps(start, step=0.006 * entry["eps_step"], every=entry["eps_step"])
        case "log":
            return LogEps(start, epochs=entry["epochs"])
        case _:  # the released program takes any other name for "fix"
            return Constant(start)


def _values(schedule: Schedule, epochs: int) -> np.ndarray:
    return np.array([schedule(e) for e in range(epochs)])
