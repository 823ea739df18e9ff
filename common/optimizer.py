"""The optimizer of every method: Adam, its rates, and one step of it."""

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from common.backbones.weights import require_fit
from common.method import Method
from common.team import Team
from common.types import Step


def make_optimizer(method: Method) -> Adam:
    """Adam with coupled weight decay on all trainable tensors; groups keep their base rate.

    Precision "fast" takes the fused form: all tensors in one pass, rounded otherwise. Otherwise
    torch chooses, which False would forbid: on a GPU ten operations on lists of tensors, in place
    of nine on every tensor.
    """
    recipe = method.recipe
    encoder = [p for p in method.encoder.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": encoder, "lr": recipe.lr, "weight_decay": recipe.weight_decay}
    ]
    for extra in method.extra_parameters():
        groups.append(
            {"params": extra.parameters, "lr": extra.lr, "weight_decay": extra.weight_decay}
        )
    for group in groups:
        group["base_lr"] = group["lr"]
    return Adam(groups, betas=(0.9, 0.999), eps=1e-8, fused=recipe.precision == "fast" or None)


def restore_moments(optimizer: Optimizer, stored: dict[str, Any], path: Path) -> None:
    """Go on with the moments of a checkpoint; rates and the like stay the recipe's.

    Args:
        stored: the `state_dict` of such an optimizer.
        path: of the checkpoint, to be named.

    Raises:
        UserError: moments of other tensors.
        AttributeError, LookupError, TypeError: values of another kind.
    """
    moments = copy.deepcopy(stored["state"])  # else the optimizer keeps the file's
    if not moments:  # an epoch has steps
        raise LookupError("no moments of the optimizer")
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    expected: dict[str, Tensor] = {}
    for n, parameter in enumerate(parameters):
        if n in moments:  # none of a tensor that took no gradient
            shapes = {"step": torch.empty(()), "exp_avg": parameter, "exp_avg_sq": parameter}
            expected |= {f"optimizer.{n}.{kind}": like for kind, like in shapes.items()}
    given = {f"optimizer.{n}.{kind}": t for n, of in moments.items() for kind, t in of.items()}
    require_fit(path, given, expected)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})


def set_rate(optimizer: Optimizer, factor: float) -> None:
    """Every group: its own base rate times the factor of the epoch."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def minimize(step: Step, optimizer: Optimizer, learnable: list[Tensor], team: Team) -> None:
    """One step of the optimizer on the sum of the losses, gradients averaged over the ranks."""
    torch.stack(list(step.losses.values())).sum().backward()
    team.average_gradients(learnable)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)  # a replayed graph may write the next ones there
