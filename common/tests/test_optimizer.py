"""The optimizer of a run, and of one that goes on: its own moments, and the recipe's rates."""

from types import SimpleNamespace

import pytest
import torch
from torch.optim import Adam

from common.errors import UserError
from common.optimizer import make_optimizer, restore_moments


def optimizer(rate=0.1, rows=2):
    """Adam after a step on one tensor; another one took no gradient."""
    weight = torch.nn.Parameter(torch.ones(rows, 3))
    weight.sum().backward()
    adam = Adam([weight, torch.nn.Parameter(torch.ones(1))], lr=rate)
    adam.step()
    return adam


@pytest.mark.parametrize(("precision", "fused"), [("exact", None), ("fast", True)])
def test_a_fast_run_takes_the_fused_form_and_torch_chooses_otherwise(precision, fused):
    recipe = SimpleNamespace(lr=0.1, weight_decay=0.0, precision=precision)
    encoder = torch.nn.Linear(2, 2)
    method = SimpleNamespace(recipe=recipe, encoder=encoder, extra_parameters=list)
    assert make_optimizer(method).defaults["fused"] is fused


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
