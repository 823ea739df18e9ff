"""Which classes and which rows HDCPD's distillation sums over."""

import numpy as np
import pytest
import torch

from common.recipe import Recipe
from common.replay import replayed
from common.team import Team
from common.types import PseudoLabels, TrainData
from methods.hdcpd.method import HDCPD, HDCPDClusters
from methods.hdcpd.recipes import HDCPDSettings

IMAGES, CLUSTERS, DIM = 16, 6, 8


def made(program, settings):
    data = TrainData(IMAGES, np.zeros(IMAGES, np.int64))
    return replayed(program, Recipe("hdcpd", "case", settings), DIM, data)


def test_classes_of_two_images_or_more_count():
    method = made(HDCPD, HDCPDSettings())
    labels = np.concatenate([np.repeat([0, 1, 2, 3], (2, 1, 3, 1)), np.full(IMAGES - 7, 4)])
    method.begin_epoch(0, method.memory.target, PseudoLabels(labels))
    assert method.several.tolist() == [0, 2, 4]


@pytest.mark.parametrize("axis", ["cluster", "batch"])
def test_the_whole_batch_counts_whatever_the_number_of_processes(axis, monkeypatch):
    method = made(HDCPDClusters, HDCPDSettings(memory="clusters", distill_weight=2.0))
    g = torch.Generator().manual_seed(2)
    student, teacher = torch.randn(2, IMAGES, CLUSTERS, generator=g)

    def gathered(team, rows):
        own = team.share(np.arange(IMAGES))
        return next(whole for whole in (student, teacher) if torch.equal(whole[own], rows))

    def term(team):
        method.team, own = team, team.share(np.arange(IMAGES))
        logits = student[own].clone().requires_grad_()
        loss = method.distilled(logits, teacher[own], axis)
        return float(loss.detach()), torch.autograd.grad(loss, logits)[0]

    monkeypatch.setattr(Team, "gather_rows", gathered)
    value, gradient = term(Team())
    values, gradients = zip(term(Team(0, 2)), term(Team(1, 2)), strict=True)
    assert np.mean(values) == pytest.approx(value)
    torch.testing.assert_close(torch.cat(gradients) / 2, gradient)
