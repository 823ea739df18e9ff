"""Stored cases of the authors' code; each is a test by itself, see `conftest.py`."""

from pathlib import Path

import pytest

from common.reference import kind_of
from methods import METHODS

FOLDER = Path(__file__).parents[1]


@pytest.mark.parametrize("name", METHODS)
def test_every_kind_has_stored_cases_and_every_case_a_kind(name):
    kinds = METHODS[name].cases
    stored = [path.stem for path in (FOLDER / name / "tests" / "reference").glob("*.npz")]
    assert {kind_of(case, kinds) for case in stored} == set(kinds)
