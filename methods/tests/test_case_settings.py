"""Settings of a stored case reach the method that replays it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import methods
from common.errors import UserError
from common.reference import load_case
from common.replay import stored_recipe
from methods import METHODS
from methods.cases import CASES
from methods.dccc.cases import run_memory
from methods.dsgl.cases import run_steps
from methods.multiqueue.cases import run_queue, run_temperature

FOLDER = Path(methods.__path__[0])


def test_smoothing_named_by_a_case_of_dsgl_changes_its_cluster_loss():
    case = load_case(FOLDER / "dsgl" / "tests" / "reference" / "dsgl_dlhybrid.npz")
    smoothed = replace(case, meta={**case.meta, "smooth": 0.1})

    failed = {check.name for check in run_steps(smoothed) if not check.passed}

    assert failed == {"contrast", "loss", "gradient"}


@pytest.mark.parametrize("method", ["hhcl", "dsgl"])
def test_a_case_of_schedules_may_name_other_constants_than_the_papers(method):
    kind = f"{method}_schedule"
    case = load_case(FOLDER / method / "tests" / "reference" / f"{kind}.npz")
    other = {"eps": 0.55, "momentum": 0.2, "temperature": 0.07}
    arrays = {name: np.full_like(case.arrays[name], value) for name, value in other.items()}
    arrays["lr"] = 2e-4 * 0.5 ** (np.arange(len(case.arrays["lr"])) // 7)
    other |= {"base_lr": 2e-4, "step_size": 7, "gamma": 0.5}
    named = replace(case, meta=case.meta | other, arrays=case.arrays | arrays)

    assert [check for check in CASES[method][kind](named) if not check.passed] == []


def test_a_case_of_schedules_means_the_plain_recipe_of_its_data_set_or_of_market():
    recipes = METHODS["spcl"].recipes[::-1]  # those with a source or a variant first

    plain, named = stored_recipe(recipes, {}), stored_recipe(recipes, {"dataset": "personx"})

    assert [(r.dataset, r.source, r.variant) for r in (plain, named)] == [
        ("market1501", "", ""),
        ("personx", "", ""),
    ]
    with pytest.raises(UserError, match="there is no recipe for nowhere"):
        stored_recipe(recipes, {"dataset": "nowhere"})


def test_source_identities_of_a_case_of_spcl_may_leave_out_numbers():
    case = load_case(FOLDER / "spcl" / "tests" / "reference" / "spcl_memory_uda.npz")
    raw = replace(case, arrays=case.arrays | {"source_pids": 3 * case.arrays["source_pids"] + 2})

    assert [check for check in CASES["spcl"]["spcl_memory"](raw) if not check.passed] == []


@pytest.mark.parametrize(
    ("kind", "constants"),
    [
        ("spcl_schedule", {"gamma"}),
        ("clustercontrast_schedule", {"gamma"}),
        ("hhcl_label_smooth", {"epsilon", "num_classes"}),
    ],
)
def test_a_case_need_not_name_the_constants_of_the_released_code(kind, constants):
    method = kind.partition("_")[0]
    case = load_case(FOLDER / method / "tests" / "reference" / f"{kind}.npz")
    bare = replace(case, meta={key: case.meta[key] for key in case.meta.keys() - constants})

    assert [check for check in CASES[method][kind](bare) if not check.passed] == []


def test_the_optimizer_that_a_case_of_multiqueue_names_moves_its_temperature():
    case = load_case(FOLDER / "multiqueue/tests/reference/multiqueue_temperature.npz")
    for other in ({"betas": [0.5, 0.9]}, {"eps": 1.0}):
        assert not run_temperature(replace(case, meta={**case.meta, **other}))[0].passed


def test_a_case_of_multiqueue_is_compared_in_the_slots_it_holds_whatever_drew_them():
    case = load_case(FOLDER / "multiqueue/tests/reference/multiqueue_q6_fixedtemp.npz")
    meta = {name: value for name, value in case.meta.items() if name != "python_random_seed"}
    others = {"draw_2": (case.arrays["draw_2"] + 1) % 6}

    def failed(arrays):
        checks = run_queue(replace(case, arrays=case.arrays | arrays, meta=meta))
        return {check.name for check in checks if not check.passed}

    assert failed({}) == set()
    assert failed(others) == {"loss", "gradient", "temperature gradient"}


@pytest.mark.parametrize(("named", "passed"), [(2e-4, True), (2.2e-4, False)])
def test_weights_of_a_small_temperature_may_differ_by_their_rounding_alone(named, passed):
    case = load_case(FOLDER / "dccc/tests/reference/dccc_wgm_market.npz")
    rows, labels = case.arrays["memory0"].astype(np.float64), case.arrays["label_0"]
    near = (rows[labels] + 0.01 * case.arrays["student_0"]).astype(np.float32)
    z = near.astype(np.float64) / np.linalg.norm(near.astype(np.float64), axis=1, keepdims=True)
    for c in np.unique(labels):
        mine = z[labels == c]
        scores = -mine @ rows[c] / 2e-4
        weights = np.exp(scores - scores.max())
        moved = 0.1 * rows[c] + 0.9 * weights @ mine / weights.sum()
        rows[c] = moved / np.linalg.norm(moved)
    steps = {key: a for key, a in case.arrays.items() if key not in ("student_1", "student_2")}
    small = replace(
        case,
        arrays=steps | {"student_0": near, "wgm_memory_0": rows},
        meta=case.meta | {"tau_w": named},
    )

    (memory,) = [check for check in run_memory(small) if check.name == "wgm memory"]

    assert memory.passed == passed
