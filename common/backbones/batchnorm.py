"""Batch norm per chunk of the batch and per domain, as data parallelism over several GPUs did it.

The published runs spread a batch over G GPUs: every batch norm saw B / G consecutive images at
a time, and only the first GPU's update of the running statistics survived. Here one process
does the same. Rows are interleaved once, at the entrance of the network, so that row r belongs
to group r mod G; then the G groups of a layer with C channels are a *view* of the same memory
with B / G rows and G * C channels, and one call normalizes all of them without a copy.

Where maps lie channels-last that is no view. There the groups stay consecutive rows, each a piece
of memory of its own, and are normalized one after the other; in a compiled network all at once, by
plain arithmetic that the compiler fuses with what comes before and after.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.types import Domain


@dataclass
class Grouping:
    """How the rows of a training batch are grouped; one object, shared by an encoder's layers.

    Args:
        chunks: G, consecutive parts of the batch that are normalized apart.
        domains: whose batch norm the rows pass, in turn: row r is of domain r mod len(domains).
        consecutive: leave the rows in order instead, all of the first domain before the second.
    """

    chunks: int = 1
    domains: tuple[Domain, ...] = ("target",)
    consecutive: bool = False


def interleave(batches: Sequence[Tensor], chunks: int) -> Tensor:
    """Join D batches (one per domain) of B = G * n rows so that row r is of group r mod (G * D).

    A single batch that G does not divide stays as it is: the layers then split it, slower,
    into chunks of ceil(B / G) rows.

    Returns:
        (n * G * D, ...): first row of chunk 0 of each domain, first row of chunk 1, ...
    """
    if len(batches) == 1 and (chunks == 1 or len(batches[0]) % chunks):
        return batches[0]
    parts = torch.stack([batch.unflatten(0, (chunks, -1)) for batch in batches], dim=2)
    return parts.transpose(0, 1).flatten(0, 2)


def deinterleave(rows: Tensor, chunks: int, domains: int = 1) -> tuple[Tensor, ...]:
    """Inverse of `interleave`: the D batches in their original order."""
    if domains == 1 and (chunks == 1 or len(rows) % chunks):
        return (rows,)
    parts = rows.unflatten(0, (-1, chunks, domains)).transpose(0, 1)
    return parts.flatten(0, 1).unbind(1)


class BatchNorm(nn.Module):
    """Batch norm of (B, C) or (B, C, H, W) whose groups are normalized apart in training.

        y = (x - mean_g) / sqrt(var_g + eps) * weight + bias          g the row's group
        running <- (1 - momentum) * running + momentum * (statistics of group 0)

    The variance is biased in the first line, unbiased in the running statistics. Groups are
    those of `interleave`. Evaluation uses the running statistics. With one chunk this is
    torch's layer, without its counter of batches, which a fixed momentum never reads.

    Args:
        num_features: C.
        eps, momentum: torch's defaults, used by every network here.
        grouping: shared with the other layers of the network.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        grouping: Grouping | None = None,
    ) -> None:
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.grouping = grouping or Grouping()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x: Tensor) -> Tensor:
        return normalize_groups(x, [self], self.grouping)


class DomainBatchNorm(nn.Module):
    """A pair of batch norms, for source and target rows; both start as copies of `original`.

    All parameters of the pair learn, also a bias that was frozen in the original: so did the
    released code of the two-domain methods, whose numbers come from it.
    """

    def __init__(self, original: BatchNorm) -> None:
        super().__init__()
        self.grouping = original.grouping
        self.source = deepcopy(original).requires_grad_()
        self.target = deepcopy(original).requires_grad_()

    def forward(self, x: Tensor) -> Tensor:
        norms = [
            self.source if domain == "source" else self.target for domain in self.grouping.domains
        ]
        return normalize_groups(x, norms, self.grouping)


def split_domains(network: nn.Module) -> None:
    """Replace every `BatchNorm` inside the network by a `DomainBatchNorm`, in place."""
    for name, child in network.named_children():
        if isinstance(child, BatchNorm):
            setattr(network, name, DomainBatchNorm(child))
        elif not isinstance(child, DomainBatchNorm):
            split_domains(child)


def keep_domain(network: nn.Module, domain: Domain) -> None:
    """Replace every `DomainBatchNorm` inside the network by one domain's batch norm, in place."""
    for name, child in network.named_children():
        if isinstance(child, DomainBatchNorm):
            setattr(network, name, child.source if domain == "source" else child.target)
        else:
            keep_domain(child, domain)


def normalize_groups(x: Tensor, norms: Sequence[BatchNorm], grouping: Grouping) -> Tensor:
    """Normalize grouped rows: G chunks, and in each the D domains' norms in turn.

    Args:
        x: (B, C, ...) with B a multiple of G * D; for D = 1 any B.
        norms: D layers of equal size; in training their running statistics follow chunk 0.
        grouping: its chunks are of no effect in evaluation, where no statistics are taken.
    """
    first = norms[0]
    chunks = grouping.chunks if first.training else 1
    groups = chunks * len(norms)
    if groups == 1:
        return _batch_norm(x, first, first.running_mean, first.running_var)
    if grouping.consecutive or len(x) % groups:
        return _consecutive_groups(x, norms, chunks)
    weight = torch.cat([norm.weight for norm in norms]).repeat(chunks)
    bias = torch.cat([norm.bias for norm in norms]).repeat(chunks)
    grouped = x.reshape(len(x) // groups, groups * x.shape[1], *x.shape[2:])
    if not first.training:
        mean = torch.cat([norm.running_mean for norm in norms])
        var = torch.cat([norm.running_var for norm in norms])
        return F.batch_norm(grouped, mean, var, weight, bias, eps=first.eps).reshape(x.shape)
    # Momentum 1 leaves the plain statistics of every group in these two.
    mean = first.running_mean.new_zeros(len(weight))
    var = first.running_var.new_zeros(len(weight))
    y = F.batch_norm(grouped, mean, var, weight, bias, True, 1.0, first.eps)
    for d, norm in enumerate(norms):
        own = slice(d * x.shape[1], (d + 1) * x.shape[1])
        norm.running_mean.lerp_(mean[own], norm.momentum)
        norm.running_var.lerp_(var[own], norm.momentum)
    return y.reshape(x.shape)


def _consecutive_groups(x: Tensor, norms: Sequence[BatchNorm], chunks: int) -> Tensor:
    """Each domain's chunks of ceil(B / G) rows, the last one smaller, one after the other."""
    if len(x) % len(norms) or (len(norms) > 1 and len(x) // len(norms) % chunks):
        raise ValueError(f"{len(x)} rows of {len(norms)} domains do not fill {chunks} equal chunks")
    are_maps = x.ndim == 4
    if torch.compiler.is_compiling() and norms[0].training and are_maps and len(x) % chunks == 0:
        return _groups_at_once(x, norms, chunks)
    if are_maps and norms[0].training and _can_be_in_turn(x):
        parameters = [norm.weight for norm in norms] + [norm.bias for norm in norms]
        return _GroupsInTurn.apply(x, norms, chunks, *parameters)
    parts = []
    for norm, rows in zip(norms, x.chunk(len(norms)), strict=True):
        head, *rest = rows.chunk(chunks)
        parts.append(_batch_norm(head, norm, norm.running_mean, norm.running_var))
        parts += [_batch_norm(part, norm, None, None) for part in rest]
    return torch.cat(parts)


def _can_be_in_turn(x: Tensor) -> bool:
    """Torch's `out=` is right for dense maps alone, and does not refuse groups of one number."""
    dense = x.is_contiguous(memory_format=torch.channels_last)
    return x.device.type == "cpu" and dense and x[0, 0].numel() > 1


class _GroupsInTurn(torch.autograd.Function):
    """Groups of maps on a CPU, each written to its place in the result.

    By torch's kernels and with the bits of the form for other devices, but without the copy of
    every map by which that joins its parts. Only `out=` can do so, which autograd does not follow.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, norms: Sequence[BatchNorm], chunks: int, *parameters: Tensor
    ) -> Tensor:
        """`parameters`, the weights and then the biases of the norms, are named for autograd."""
        y = torch.empty_like(x)
        statistics: list[Tensor] = []
        for norm, rows, places in zip(norms, x.chunk(len(norms)), y.chunk(len(norms)), strict=True):
            running: tuple[Tensor | None, ...] = (norm.running_mean, norm.running_var)
            for part, place in zip(rows.chunk(chunks), places.chunk(chunks), strict=True):
                mean, inverse = norm.weight.new_empty(0), norm.weight.new_empty(0)
                given = (part, norm.weight, norm.bias, *running, True, norm.momentum, norm.eps)
                torch.ops.aten.native_batch_norm.out(
                    *given, out=place, save_mean=mean, save_invstd=inverse
                )
                running = (None, None)  # the first group's alone are kept
                statistics += [mean, inverse]
        ctx.save_for_backward(x, *parameters[: len(norms)], *statistics)
        ctx.domains, ctx.chunks, ctx.eps = len(norms), chunks, norms[0].eps
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, *saved = ctx.saved_tensors
        weights, statistics = saved[: ctx.domains], iter(saved[ctx.domains :])
        of_x, of_weights, of_biases = [], [], []
        for weight, rows, gs in zip(
            weights, x.chunk(ctx.domains), g.chunk(ctx.domains), strict=True
        ):
            found = []
            for part, of_y in zip(rows.chunk(ctx.chunks), gs.chunk(ctx.chunks), strict=True):
                given = (of_y, part, weight, None, None, next(statistics), next(statistics))
                wanted = [True, True, True]
                found.append(
                    torch.ops.aten.native_batch_norm_backward(*given, True, ctx.eps, wanted)
                )
            of_x += [one[0] for one in found]
            # The last group first, as autograd adds them.
            of_weights.append(sum(one[1] for one in reversed(found)))
            of_biases.append(sum(one[2] for one in reversed(found)))
        return torch.cat(of_x), None, None, *of_weights, *of_biases


def _groups_at_once(x: Tensor, norms: Sequence[BatchNorm], chunks: int) -> Tensor:
    """The same for maps in equal chunks in training, in operations that a compiler can fuse."""
    weight = torch.stack([norm.weight for norm in norms])
    bias = torch.stack([norm.bias for norm in norms])
    count = x.numel() // (chunks * weight.numel())
    with torch.no_grad():
        mean, var = _group_statistics(x, chunks * len(norms))
        inverse = torch.rsqrt(var + norms[0].eps)
        for d, norm in enumerate(norms):
            first = d * chunks  # the domain's group 0
            norm.running_mean.lerp_(mean[first], norm.momentum)
            norm.running_var.lerp_(var[first] * (count / (count - 1)), norm.momentum)
    return _NormalizedGroups.apply(x, weight, bias, mean, inverse)


class _NormalizedGroups(torch.autograd.Function):
    """(x - m) / s * w + b for (B, C, H, W) by groups of rows, and its gradient in closed form.

        dL/dx = w / s * (g - mean(g) - (x - m) * mean(g * (x - m)) / s^2)     s^2 = var + eps

    m and 1 / s, (G, C), are given, but their change with x is in the gradient: two sums and one
    pass. Derived from `_group_statistics` it would take more sums, and float32 maps in between.
    w and b, (D, C), are those of the domains, of G / D groups each.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, inverse: Tensor
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, inverse)
        y = (x - _rows(mean, x)) * _rows(_scale(weight, inverse), x) + _rows(bias, x)
        # Returned here, a conversion to the same format makes torch 2.11 compile zero gradients.
        return y if y.dtype == x.dtype else y.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        size = x.numel() // mean.numel()
        centered = x - _rows(mean, x)
        total = _group_totals(g, len(mean))
        along = _group_totals(g * centered, len(mean))
        change = g - _rows(total / size, x) - centered * _rows(along * inverse**2 / size, x)
        of_x = (_rows(_scale(weight, inverse), x) * change).to(x.dtype)
        of_weight = _by_domain(along * inverse, weight).sum(dim=1)
        return of_x, of_weight, _by_domain(total, weight).sum(dim=1), None, None


def _group_totals(x: Tensor, groups: int) -> Tensor:
    """(G, C) float32 sums over rows and positions of equal groups of consecutive rows."""
    return x.sum(dim=(2, 3), dtype=torch.float32).unflatten(0, (groups, -1)).sum(dim=1)


def _group_statistics(x: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Mean and biased variance (G, C) of equal groups of consecutive rows of (B, C, H, W).

    Over the positions of each row first, then over the rows of a group: many short sums side by
    side, and no map leaves its layout. Of a row two sums in one pass, where torch's own form
    divides at every number; less the number u in its middle, so that little cancels:

        mean = u + mean(x - u),   var = mean((x - u)^2) - mean(x - u)^2
    """
    middle = x[:, :, x.shape[2] // 2, x.shape[3] // 2].float()
    away = x - middle[:, :, None, None]
    first = away.mean(dim=(2, 3))
    within = ((away * away).mean(dim=(2, 3)) - first * first).clamp(min=0)
    means = (middle + first).unflatten(0, (groups, -1))
    between, mean = torch.var_mean(means, dim=1, correction=0)
    return mean, within.unflatten(0, (groups, -1)).mean(dim=1) + between


def _by_domain(values: Tensor, weight: Tensor) -> Tensor:
    """(G, C) values of groups by the D domains of (D, C) weights: (D, G / D, C)."""
    return values.unflatten(0, (len(weight), -1))


def _scale(weight: Tensor, inverse: Tensor) -> Tensor:
    """w / s, (G, C)."""
    return (weight[:, None] * _by_domain(inverse, weight)).flatten(0, 1)


def _rows(values: Tensor, x: Tensor) -> Tensor:
    """Values of groups or domains, (G, C), for every row of (B, C, H, W): (B, C, 1, 1)."""
    each = values[:, None].expand(-1, len(x) // len(values), -1)
    return each.reshape(*x.shape[:2], 1, 1)


def _batch_norm(x: Tensor, norm: BatchNorm, mean: Tensor | None, var: Tensor | None) -> Tensor:
    return F.batch_norm(
        x, mean, var, norm.weight, norm.bias, norm.training, norm.momentum, norm.eps
    )
