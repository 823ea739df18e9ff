"""Every stored case of the authors' code is a test: `pytest methods/dccc` runs those of DCCC."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from common.reference import kind_of, load_case
from methods import METHODS


class StoredCase(pytest.Item):
    """The hooks that training calls meet a case."""

    def runtest(self) -> None:
        kinds = METHODS[self.path.parents[2].name].cases
        kind = kind_of(self.name, kinds)
        assert kind, "no kind has this name"
        checks = kinds[kind](load_case(self.path))
        assert checks, "nothing was compared"
        assert [check for check in checks if not check.passed] == []


class CaseFile(pytest.File):
    """A file of `methods/<name>/tests/reference`."""

    def collect(self) -> Iterator[StoredCase]:
        yield StoredCase.from_parent(self, name=self.path.stem)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> CaseFile | None:
    """A case as a test, wherever pytest comes across its file."""
    stored = file_path.suffix == ".npz" and file_path.parent.name == "reference"
    return CaseFile.from_parent(parent, path=file_path) if stored else None
