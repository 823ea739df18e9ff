"""The stored cases of the released clustering code, without the compiled kernels."""

from pathlib import Path

import pytest

from common.clustering import compiled
from common.clustering.cases import run_jaccard
from common.reference import load_case

CASES = sorted((Path(__file__).parents[2] / "tests" / "reference").glob("common_jaccard_*.npz"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_tensors_alone_match_the_released_code_too(path, monkeypatch):
    monkeypatch.setattr(compiled, "AVAILABLE", False)
    for check in run_jaccard(load_case(path)):
        assert check.passed, check
