"""The authors' logs that methods store: all of each is drawn beside a run of the same recipe."""

from dataclasses import replace

import pytest

from common.run import RunDir
from methods import METHODS
from methods.small_runs import run_small, small_data, small_recipe
from tools.report import ReportInputs
from tools.report.curves import course


def logs_by_content():
    """One recipe and log for every method and set of quantities that no larger one includes."""
    found = {}
    for name, spec in METHODS.items():
        for recipe in spec.recipes:
            curve = spec.curves.get((recipe.dataset, recipe.source, recipe.variant))
            if curve:
                found.setdefault((name, *sorted(curve)), (recipe, curve))
    return {
        " ".join(key): pair
        for key, pair in found.items()
        if not any(key[0] == other[0] and set(key) < set(other) for other in found)
    }


LOGS = logs_by_content()


def test_every_method_with_curves_has_a_log_that_belongs_to_a_recipe():
    assert {name.split()[0] for name in LOGS} == {n for n, spec in METHODS.items() if spec.curves}


@pytest.mark.parametrize("content", LOGS)
def test_each_quantity_of_a_log_is_one_that_a_run_logs_and_is_drawn(content, tmp_path):
    recipe, curve = LOGS[content]
    recipe, data = replace(small_recipe(recipe), epochs=1), small_data()
    run_small(recipe, tmp_path, data)
    inputs = ReportInputs(
        recipe=recipe,
        events=RunDir(tmp_path).events(),
        result={"reference_curve": curve},
        environment={},
        train=data.dataset.train,
    )

    drawn = course(inputs).count("authors&#x27; log from")

    assert drawn == len(curve)
