"""The shared parts against stored values of the authors' released code."""

from dataclasses import replace
from pathlib import Path

import pytest

from common.backbones.cases import CASES as OF_BACKBONES
from common.clustering.cases import CASES as OF_CLUSTERING
from common.data.cases import CASES as OF_DATA
from common.evaluator.cases import CASES as OF_EVALUATOR
from common.reference import kind_of, load_case

RUNNERS = OF_BACKBONES | OF_CLUSTERING | OF_DATA | OF_EVALUATOR
FOLDER = Path(__file__).parent / "reference"
STORED = [(kind, path) for kind in RUNNERS for path in sorted(FOLDER.glob(f"{kind}*.npz"))]


def test_every_kind_has_stored_cases_and_every_case_a_kind():
    assert {kind for kind, _ in STORED} == set(RUNNERS)
    assert {path for _, path in STORED} == set(FOLDER.glob("*.npz"))


@pytest.mark.parametrize(("kind", "path"), STORED, ids=[path.stem for _, path in STORED])
def test_the_released_code_and_ours_agree(kind, path):
    checks = RUNNERS[kind](load_case(path))
    assert checks
    assert [check for check in checks if not check.passed] == []


@pytest.mark.parametrize(
    ("name", "constants"),
    [
        ("common_jaccard_k20_1", {"min_samples"}),
        ("common_gem", {"eps"}),
        ("common_erasing", {"probability", "sl", "sh", "r1"}),
        ("common_dsbn", {"eps", "momentum", "trainable"}),
    ],
)
def test_a_case_need_not_name_the_constants_of_all_released_codes(name, constants):
    case = load_case(FOLDER / f"{name}.npz")
    assert constants <= case.meta.keys()
    bare = replace(case, meta={key: case.meta[key] for key in case.meta.keys() - constants})
    assert [c for c in RUNNERS[kind_of(name, RUNNERS)](bare) if not c.passed] == []


def test_gradients_of_a_norm_may_differ_by_the_rounding_of_their_size():
    case = load_case(FOLDER / "common_virtual_gpu_bn.npz")
    scaled = {key: 1e3 * case.arrays[key] for key in case.arrays if key.startswith(("up", "grad"))}
    checks = RUNNERS["common_virtual_gpu_bn"](replace(case, arrays={**case.arrays, **scaled}))
    assert [check for check in checks if not check.passed] == []
