"""Which networks of a run are compiled."""

from dataclasses import replace

import pytest
import torch

from common.streams import Streams
from common.team import Team
from methods import METHODS
from methods.small_runs import small_data, small_recipe
from tools import assemble


@pytest.fixture
def built(monkeypatch):
    """Build a method as on a machine where compiling pays; what was asked and reset is kept."""
    asked, resets = [], []
    monkeypatch.setattr(assemble, "compiling_pays", lambda device, steps: asked.append(steps) or 1)
    monkeypatch.setattr(torch.compiler, "reset", lambda: resets.append(len(asked)))

    def build(name, precision):
        recipe = next(r for r in METHODS[name].recipes if r.dataset == "synthetic")
        recipe = replace(small_recipe(recipe), precision=precision)
        dataset = small_data().dataset
        return assemble.build_method(recipe, dataset, None, Team(), Streams(1)), recipe

    build.asked, build.resets = asked, resets
    return build


def test_a_fast_run_compiles_student_and_teacher_for_the_steps_of_its_recipe(built):
    method, recipe = built("dccc", "fast")
    assert all(encoder.compiled for encoder in method.evaluated().values())
    assert built.asked == [recipe.epochs * recipe.sampling.iterations]


def test_an_exact_run_compiles_nothing(built):
    method, _ = built("hhcl", "exact")
    assert not method.encoder.compiled
    assert built.asked == built.resets == []


def test_every_compiled_run_drops_the_graphs_of_the_one_before(built):
    for _ in range(2):
        built("hhcl", "fast")
    assert built.resets == [1, 2]
