"""Masks that do not depend on how many processes share a batch."""

import copy

import torch

from common.backbones.dropout import Dropout
from common.team import Team


def dropped(rows, *, rank=0, size=1, seed=3):
    module = Dropout(0.5)
    module.draw_from(torch.Generator().manual_seed(seed), Team(rank, size))
    return [module(rows) for _ in range(2)]


def test_the_processes_drop_together_what_one_would():
    for one, *parts in zip(
        dropped(torch.ones(8, 16)),
        *(dropped(torch.ones(2, 16), rank=rank, size=4) for rank in range(4)),
        strict=True,
    ):
        assert torch.equal(torch.cat(parts), one)


def test_every_batch_gets_another_mask_and_what_is_kept_has_unit_length():
    rows = torch.arange(1.0, 65.0).expand(64, 64)

    first, second = dropped(rows)

    assert not torch.equal(first, second)
    assert 0.45 < (first == 0).float().mean() < 0.55
    torch.testing.assert_close(first, torch.nn.functional.normalize(rows * (first != 0)))


def test_a_copy_may_draw_from_the_same_generator():
    generator = torch.Generator().manual_seed(1)
    student = Dropout(0.5)
    teacher = copy.deepcopy(student)
    for module in (student, teacher):
        module.draw_from(generator, Team())

    assert not torch.equal(student(torch.ones(8, 8)), teacher(torch.ones(8, 8)))


def test_without_probability_or_in_evaluation_rows_pass_as_they_are():
    rows = torch.randn(4, 4)

    assert Dropout(0.0)(rows) is rows
    assert Dropout(0.5).eval()(rows) is rows
