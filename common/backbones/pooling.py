"""From the trunk's feature map (B, C, H, W) to one vector per image."""

import torch
from torch import Tensor, nn

from common.errors import UserError
from common.recipe import Pooling


class AveragePooling(nn.Module):
    """Mean over positions."""

    def forward(self, x: Tensor) -> Tensor:
        return _full(x).mean(dim=(2, 3))


class MaxPooling(nn.Module):
    """Maximum over positions."""

    def forward(self, x: Tensor) -> Tensor:
        return _full(x).amax(dim=(2, 3))


class GeM(nn.Module):
    """Generalized mean (Radenovic et al., 2018, arXiv:1711.02512, eq. 3) with one exponent.

        y = (mean over positions of max(x, eps)^p)^(1/p)

    p = 1 is the average, p to infinity the maximum. p is learnt with the other parameters,
    weight decay included, as in the released codes.
    """

    def __init__(self, p: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor([p]))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        powers = _full(x).clamp(min=self.eps).pow(self.p)
        return powers.mean(dim=(2, 3)).pow(1 / self.p)


class PartPooling(nn.Module):
    """Means over horizontal stripes, from top to bottom, joined to (B, parts * C).

    A height that does not divide gives the upper stripes one row more.
    """

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.parts = parts

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] < self.parts:
            raise UserError(
                f"the feature map has {x.shape[2]} rows, too few for {self.parts} parts. "
                "Choose a smaller encoder.parts or a larger encoder.height."
            )
        stripes = _full(x).tensor_split(self.parts, dim=2)
        return torch.cat([stripe.mean(dim=(2, 3)) for stripe in stripes], dim=1)


def build_pooling(name: Pooling, parts: int) -> tuple[nn.Module, int]:
    """The pooling layer, and how many vectors of C numbers it returns per image.

    Raises:
        UserError: no pooling of that name.
    """
    if name == "parts":
        return PartPooling(parts), parts
    layers = {"avg": AveragePooling, "max": MaxPooling, "gem": GeM}
    if name not in layers:
        raise UserError(f"unknown pooling {name!r}. Known: avg, max, gem, parts.")
    return layers[name](), 1


def _full(x: Tensor) -> Tensor:
    """At least float32, also where autocast made the feature map bfloat16."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
