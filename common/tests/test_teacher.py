"""The mean teacher follows the parameters alone, by the published schedule."""

import torch
from torch import nn

from common.teacher import follow_, make_teacher, teacher_momentum


def network(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_the_teacher_becomes_the_student_at_its_start_and_then_the_average():
    momenta = [teacher_momentum(k, start=49) for k in (0, 48, 49, 50, 51, 2000)]
    assert momenta == [0.999, 0.999, 0.0, 0.5, 1 - 1 / 3, 0.999]


def test_following_averages_parameters_and_leaves_statistics():
    teacher, student = make_teacher(network(1)), network(2)
    student[1].running_mean.fill_(5.0)
    expected = 0.9 * teacher[0].weight + 0.1 * student[0].weight
    follow_(teacher, student, 0.9)
    torch.testing.assert_close(teacher[0].weight, expected)
    assert torch.equal(teacher[1].running_mean, torch.zeros(4))
    follow_(teacher, student, 0.9, buffers=True)
    torch.testing.assert_close(teacher[1].running_mean, torch.full((4,), 0.5))


def test_the_teacher_takes_no_gradient():
    assert not any(p.requires_grad for p in make_teacher(network(1)).parameters())
