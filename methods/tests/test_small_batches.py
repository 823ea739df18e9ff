"""Cases of one image a batch: what averages out in a large one, the rounding of float32, shows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import methods
from common.reference import Case, load_case
from methods.clustercontrast.cases import run_mean
from methods.spcl.cases import run_memory

FOLDER = Path(methods.__path__[0])


def test_a_gradient_may_differ_from_the_exact_one_by_the_rounding_of_one_probability():
    g = torch.Generator().manual_seed(13)
    rows = F.normalize(torch.randn(2, 16, generator=g), dim=1)
    outputs = 2 * rows[:1] + torch.randn(1, 16, generator=g) / 4
    exact = outputs.double().requires_grad_()
    z = F.normalize(exact, dim=1)
    loss = F.cross_entropy(z @ rows.double().T / 0.05, torch.tensor([0]))
    loss.backward()
    moved = torch.stack([F.normalize(0.1 * rows[0] + 0.9 * z.detach()[0], dim=0), rows[1]])
    tensors = {"features": rows, "centroid_mean": rows, "memory_init": rows, "inputs_0": outputs}
    tensors |= {"loss_0": loss.detach(), "grad_0": exact.grad, "memory_0": moved}
    arrays = {name: tensor.float().numpy() for name, tensor in tensors.items()}
    labels = torch.arange(2).numpy()
    arrays |= {"labels": labels, "targets_0": labels[:1]}

    checks = run_mean(Case(Path("made.npz"), arrays, {"momentum": 0.1, "temperature": 0.05}))

    assert [check for check in checks if not check.passed] == []


def test_a_small_loss_may_differ_from_the_exact_one_by_the_rounding_of_one_probability():
    case = load_case(FOLDER / "spcl" / "tests" / "reference" / "spcl_memory_usl.npz")
    last = {name: case.arrays[name][2:, 15:16] for name in ("indexes", "inputs", "grad_inputs")}
    exact = np.array([0.014950304373353998])  # of float64
    alone = replace(case, arrays={**case.arrays, **last, "loss": exact})
    for key in ("rows_1", "rows_2"):
        del alone.arrays[key]

    losses = [check for check in run_memory(alone) if check.name == "loss"]

    assert [check.passed for check in losses] == [True]
