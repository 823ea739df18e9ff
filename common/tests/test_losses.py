"""The shared losses against their definitions, at sizes that tell the constants apart."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from common.losses import (
    contrast_loss,
    guarded_cross_entropy,
    smooth_cross_entropy,
    smoothed_classes,
)

BATCH = 7


def case(classes, seed):
    g = torch.Generator().manual_seed(seed)
    logits = 5 * torch.randn(BATCH, classes, generator=g).double()
    return logits, torch.randint(classes, (BATCH,), generator=g)


def smoothed_target(logits, label, epsilon):
    """A fiftieth of the classes, the likeliest ones, share epsilon; all do where that is one."""
    classes = len(logits)
    target = torch.zeros(classes).double()
    target[label] += 1 - epsilon
    if classes < 100:
        return target + epsilon / classes
    share = classes // 50
    target[logits.argsort(descending=True)[:share]] += epsilon / share
    return target


@pytest.mark.parametrize("classes", [2, 40, 59, 99, 100, 110, 119, 149, 150, 199, 520])
@pytest.mark.parametrize("epsilon", [0.1, 0.35])
def test_smoothing_gives_epsilon_to_the_likeliest_fiftieth_of_the_classes(classes, epsilon):
    logits, labels = case(classes, seed=classes)
    logits.requires_grad_()
    targets = [smoothed_target(row, y, epsilon) for row, y in zip(logits, labels, strict=True)]
    expected = F.cross_entropy(logits, torch.stack(targets))
    found = smooth_cross_entropy(logits, labels, epsilon=epsilon)
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad(found, logits, retain_graph=True)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, logits)[0])


def test_a_share_begins_at_fifty_classes():
    assert [smoothed_classes(c) for c in (49, 50, 99, 100, 149, 150)] == [0, 1, 1, 2, 2, 3]


def test_without_epsilon_it_is_the_cross_entropy():
    logits, labels = case(120, seed=1)
    expected = F.cross_entropy(logits, labels)
    assert torch.equal(smooth_cross_entropy(logits, labels, epsilon=0), expected)


@pytest.mark.parametrize("temperature", [0.05, 0.6])
def test_contrast_is_the_negative_log_share_of_the_own_row(temperature):
    g = torch.Generator().manual_seed(4)
    z, rows = (F.normalize(torch.randn(n, 8, generator=g).double(), dim=1) for n in (6, 5))
    labels = torch.tensor([0, 4, 4, 2, 1, 0])
    e = (z @ rows.T / temperature).exp()
    expected = -(e[torch.arange(6), labels] / e.sum(dim=1)).log().mean()
    torch.testing.assert_close(contrast_loss(z, rows, labels, temperature=temperature), expected)


@pytest.mark.parametrize("scale", [1.0, 20.0, 80.0])
def test_the_guarded_cross_entropy_is_the_written_formula(scale):
    g = torch.Generator().manual_seed(2)
    scores = scale * torch.randn(9, 6, generator=g).double()
    labels = torch.randint(6, (9,), generator=g)
    e = scores.exp()
    p = e.gather(1, labels[:, None])[:, 0] / (e.sum(dim=1) + 1e-6)
    expected = -(p + 1e-6).log().mean()
    torch.testing.assert_close(guarded_cross_entropy(scores, labels), expected)


def test_the_guarded_cross_entropy_saturates():
    scores = torch.tensor([[0.0, 100.0]])  # exp(100) is no float32 number
    loss, least = (guarded_cross_entropy(scores, torch.tensor([y])) for y in (0, 1))
    assert float(loss) == pytest.approx(-np.log(1e-6), abs=1e-3)
    assert float(least) == pytest.approx(0, abs=2e-6)


@pytest.mark.parametrize("level", [0.0, -6.0, -12.0])
def test_both_small_constants_count_where_all_scores_are_low(level):
    """exp(-12) is 6e-6, the size of the constants."""
    scores = torch.tensor([[level, level - 1, level + 0.5]]).double()
    e = scores.exp()
    expected = -(e[0, 1] / (e.sum() + 1e-6) + 1e-6).log()
    found = guarded_cross_entropy(scores, torch.tensor([1]))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)
