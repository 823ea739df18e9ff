"""Every stored case of the authors' code, through the hooks that training calls."""

from pathlib import Path

import pytest

from common.reference import load_case
from methods import METHODS

FOLDER = Path(__file__).parents[1]
CASES = [
    (spec, path)
    for spec in METHODS.values()
    for path in sorted((FOLDER / spec.name / "tests" / "reference").glob("*.npz"))
]


def runner(spec, name):
    return spec.cases[max((kind for kind in spec.cases if name.startswith(kind)), key=len)]


@pytest.mark.parametrize(("spec", "path"), CASES, ids=[path.stem for _, path in CASES])
def test_the_stored_case_is_met(spec, path):
    case = load_case(path)
    failed = [check for check in runner(spec, case.name)(case) if not check.passed]
    assert failed == []


def test_every_method_has_stored_cases():
    assert {spec.name for spec, _ in CASES} == {n for n, spec in METHODS.items() if spec.cases}
