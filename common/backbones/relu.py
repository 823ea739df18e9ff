"""ReLUs whose gradient a compiler can form from what batch norm keeps anyway."""

from typing import Any

import torch
from torch import Tensor, nn


class ReLU(nn.ReLU):
    """max(0, x); in a compiled network the gradient asks for the sign of x, not of the result.

    The result is kept for the convolution that follows, so torch's own gradient reads it a second
    and a third time to find its zeros. The sign of x follows from the map that batch norm
    normalized, which the passes of its gradient read in any case.
    """

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            y: Tensor = _BySignOfInput.apply(x)
            return y
        return super().forward(x)


class _BySignOfInput(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.relu()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.where(x <= 0, 0, g)  # of NaN the gradient, as in torch


def use_own_relus(network: nn.Module) -> None:
    """Replace every ReLU of torch inside the network, in place."""
    for name, child in network.named_children():
        if type(child) is nn.ReLU:
            setattr(network, name, ReLU(child.inplace))
        else:
            use_own_relus(child)
