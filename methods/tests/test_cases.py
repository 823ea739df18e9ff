"""Stored cases of the authors' code; each is a test by itself, see `conftest.py`."""

from pathlib import Path

import pytest

from common.reference import kind_of
from methods import METHODS
from methods.build import BUILDS
from methods.cases import CASES

FOLDER = Path(__file__).parents[1]


def test_every_method_has_its_class_and_all_cases_a_method():
    assert list(METHODS) == list(BUILDS)
    assert set(CASES) <= set(METHODS)


@pytest.mark.parametrize("name", CASES)
def test_every_kind_has_stored_cases_and_every_case_a_kind(name):
    kinds = CASES[name]
    stored = [path.stem for path in (FOLDER / name / "tests" / "reference").glob("*.npz")]
    assert {kind_of(case, kinds) for case in stored} == set(kinds)
