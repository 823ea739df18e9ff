"""The optimizer of a run that goes on: its own moments, and the recipe's rates."""

import pytest
import torch
from torch.optim import Adam

from common.errors import UserError
from common.optimizer import restore_moments


def optimizer(rate=0.1, rows=2):
    """Adam after a step on one tensor; another one took no gradient."""
    weight = torch.nn.Parameter(torch.ones(rows, 3))
    weight.sum().backward()
    adam = Adam([weight, torch.nn.Parameter(torch.ones(1))], lr=rate)
    adam.step()
    return adam


def test_moments_are_the_checkpoint_s_and_rates_the_recipe_s():
    stored = optimizer(rate=0.5).state_dict()
    stored["state"][0]["exp_avg"] += 1
    resumed = optimizer(rate=0.1)
    restore_moments(resumed, stored, "last.pt")
    (moments,) = resumed.state.values()
    assert torch.equal(moments["exp_avg"], stored["state"][0]["exp_avg"])
    assert moments["exp_avg"] is not stored["state"][0]["exp_avg"]
    assert resumed.param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        ({"exp_avg": torch.zeros(1)}, r"of another shape: optimizer.0.exp_avg \(1,\) instead of"),
        ({"exp_avg_sq": torch.full((2, 3), torch.nan)}, "not finite: optimizer.0.exp_avg_sq"),
        ({"velocity": torch.zeros(1)}, "unexpected: optimizer.0.velocity"),
    ],
)
def test_moments_that_do_not_fit_are_refused_by_name(moment, said):
    stored = optimizer().state_dict()
    stored["state"][0] |= moment
    with pytest.raises(UserError, match=said):
        restore_moments(optimizer(), stored, "last.pt")


@pytest.mark.parametrize("state", ["?", {}, {0: "?"}, {0: {"step": "?"}}])
def test_what_are_no_moments_is_told_as_a_wrong_value(state):
    with pytest.raises((AttributeError, LookupError, TypeError)):
        restore_moments(optimizer(), {"state": state}, "last.pt")
