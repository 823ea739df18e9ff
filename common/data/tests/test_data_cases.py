"""Sampling and erasing against values of the authors' released code."""

from pathlib import Path

import pytest

import common
from common.data.cases import CASES
from common.reference import load_case

REFERENCE = Path(common.__file__).parent / "tests" / "reference"
FILES = [(kind, path) for kind in CASES for path in sorted(REFERENCE.glob(f"{kind}*.npz"))]


def test_every_kind_has_stored_cases():
    assert {kind for kind, _ in FILES} == set(CASES)


@pytest.mark.parametrize(("kind", "path"), FILES, ids=lambda value: getattr(value, "stem", value))
def test_the_released_code_and_ours_agree(kind, path):
    checks = CASES[kind](load_case(path))

    assert checks
    assert [check for check in checks if not check.passed] == []
