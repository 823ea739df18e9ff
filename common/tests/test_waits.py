"""The recorder of waits sees what waits, and nothing else."""

import numpy as np
import pytest
import torch

from common.tests.waits import waits
from common.transfer import on_device

X = torch.tensor([3, 1, 2])
Y = torch.arange(12.0).view(3, 4)
CPU = torch.device("cpu")

WAITING = {
    "item": lambda: X[0].item(),
    "number": lambda: int(X.max()) + 1,
    "truth": lambda: 1 if (X > 1).any() else 0,
    "list": lambda: X.tolist(),
    "place in a list": lambda: "abcd"[X[0]],
    "text": lambda: f"{Y.sum():.2f}",
    "array": lambda: X.numpy(),
    "array by NumPy": lambda: np.asarray(X),
    "copy to the host": lambda: X.cpu(),
    "copy to a named device": lambda: X.to("cpu"),
    "copy to a device": lambda: X.to(CPU, torch.float32),
    "tensor of numbers": lambda: torch.tensor([1, 2], device="cpu"),
    "tensor of an array": lambda: torch.as_tensor(np.ones(2), device=CPU),
    "mask": lambda: Y[X > 1],
    "written mask": lambda: Y.clone().index_put_((X > 1,), Y[:2].clone()),
    "index from the host": lambda: Y[np.array([0, 1])],
    "written index from the host": lambda: Y.clone().__setitem__((slice(None), [0, 1]), 1.0),
    "where": lambda: torch.where(X > 1),
    "nonzero": lambda: X.nonzero(),
    "unique": lambda: torch.unique(X, return_inverse=True),
    "consecutive": lambda: torch.unique_consecutive(X),
    "unique rows": lambda: torch.unique(Y, dim=0),
    "counts": lambda: torch.bincount(X),
    "selected": lambda: torch.masked_select(X, X > 1),
    "repeated": lambda: X.repeat_interleave(X),
    "compared": lambda: torch.equal(X, X),
    "in a gradient": lambda: Asking.apply(torch.ones(2, requires_grad=True)).sum().backward(),
}
FREE = {
    "index": lambda: Y[X - 1],
    "written index": lambda: Y.clone().index_put_((X - 1,), Y),
    "slice": lambda: Y[1:, 0],
    "chosen": lambda: torch.where(X > 1, X, 0),
    "kind of number": lambda: X.to(torch.float32),
    "asynchronous copy": lambda: X.to(CPU, non_blocking=True),
    "host values on the device": lambda: on_device(np.arange(3), CPU),
    "repeated to a known size": lambda: X.repeat_interleave(X, output_size=6),
    "order": lambda: torch.argsort(X, stable=True),
    "sum by row": lambda: Y.index_add(0, X - 1, Y),
    "gradient": lambda: torch.ones(2, requires_grad=True).square().sum().backward(),
}


class Asking(torch.autograd.Function):
    """The identity; its gradient reads a value."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * gradient[0].item()


@pytest.mark.parametrize("name", WAITING)
def test_what_waits_is_recorded_with_its_place(name):
    with waits() as found:
        WAITING[name]()
    assert len(found) >= 1
    assert all("common/tests/test_waits.py" in entry for entry in found)


@pytest.mark.parametrize("name", FREE)
def test_what_does_not_wait_is_not_recorded(name):
    with waits() as found:
        FREE[name]()
    assert found == []
