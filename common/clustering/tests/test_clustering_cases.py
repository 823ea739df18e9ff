"""The stored cases of the released clustering code."""

from pathlib import Path

import pytest

from common.clustering import compiled
from common.clustering.cases import run_jaccard
from common.reference import load_case

CASES = sorted((Path(__file__).parents[2] / "tests" / "reference").glob("common_jaccard_*.npz"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
@pytest.mark.parametrize("form", ["compiled", "tensor"])
def test_ranks_distances_and_labels_match_the_released_code(path, form, monkeypatch):
    monkeypatch.setattr(compiled, "AVAILABLE", compiled.AVAILABLE and form == "compiled")
    for check in run_jaccard(load_case(path)):
        assert check.passed, check
