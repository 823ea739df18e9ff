"""Pooling and batch norm against stored values of the authors' code."""

from pathlib import Path

import pytest

from common.backbones.cases import CASES
from common.reference import load_case

REFERENCE = Path(__file__).parents[2] / "tests" / "reference"
STORED = [(kind, path) for kind in CASES for path in sorted(REFERENCE.glob(f"{kind}*.npz"))]


@pytest.mark.parametrize(("kind", "path"), STORED, ids=[path.stem for _, path in STORED])
def test_case_is_reproduced(kind, path):
    checks = CASES[kind](load_case(path))

    assert checks
    assert [check for check in checks if not check.passed] == []
