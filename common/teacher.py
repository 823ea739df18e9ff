"""Mean teacher: a frozen copy of the encoder that follows it (Tarvainen and Valpola, 2017)."""

import copy

import torch
from torch import Tensor, nn

from common.backbones.batchnorm import BatchNorm
from common.backbones.encoder import Encoder

CEILING = 0.999  # of the teacher's share that is kept


def make_teacher(encoder: Encoder) -> Encoder:
    """A copy of the encoder whose parameters take no gradient.

    The teacher runs in training mode on its own view, so its batch-norm statistics are its own.
    """
    teacher = copy.deepcopy(encoder)
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    return teacher


def hold_statistics(teacher: nn.Module) -> None:
    """Keep the teacher's own view from moving its batch-norm statistics: `follow_` alone does.

    A tenth of every batch would enter them beside a thousandth of the student's, which would then
    make up 1 % of them.
    """
    for part in teacher.modules():
        if isinstance(part, BatchNorm):
            part.momentum = 0.0


def teacher_momentum(step: int, start: int) -> float:
    """Share of the teacher that is kept at a global step (counted from 0).

        a_k = 0.999                               k <  start
        a_k = min(1 - 1 / (k - start + 1), 0.999)  k >= start

    At k = start the teacher becomes a copy of the student, then the uniform average of the
    student since, then an exponential one. The early exception is an artefact of the released
    code of HDCPD (start 49, with Cluster Contrast 99) and DCCC (99); the published runs had it.
    """
    if step < start:
        return CEILING
    return min(1 - 1 / (step - start + 1), CEILING)


@torch.no_grad()
def follow_(teacher: nn.Module, student: nn.Module, momentum: float, buffers: bool = False) -> None:
    """teacher <- momentum * teacher + (1 - momentum) * student, in place.

    Args:
        buffers: average batch-norm running statistics too, of a teacher whose own are held
            (`hold_statistics`); the released codes of HDCPD and DCCC leave the teacher its own.
    """
    mine: list[Tensor] = list(teacher.parameters())
    theirs: list[Tensor] = list(student.parameters())
    if buffers:
        mine += [b for b in teacher.buffers() if b.is_floating_point()]
        theirs += [b for b in student.buffers() if b.is_floating_point()]
    if not mine:  # torch's operations on lists take no empty one
        return
    torch._foreach_mul_(mine, momentum)
    torch._foreach_add_(mine, theirs, alpha=1 - momentum)
