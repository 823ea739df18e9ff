"""Tests use the machine as the command line does, share its cores, and read what it writes.

Every stored case of a method's authors' code is a test: `pytest methods/dccc` runs those of DCCC.
"""

import os
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from common.errors import MissingPackage
from tools.process import keep_memory_and_let_threads_sleep

for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS"):  # colours where no terminal is
    os.environ.pop(name, None)

keep_memory_and_let_threads_sleep()


def pytest_configure(config: pytest.Config) -> None:
    """Share the cores among the processes of tests, which inherit this from the first."""
    workers = int(config.getoption("numprocesses", None) or 1)
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // workers, 1)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked `gpu` where there is none."""
    if item.get_closest_marker("gpu"):
        import torch  # here: see `one_thread`

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Skip what needs a package that is missing; where both are there, nothing is skipped."""
    try:
        return (yield)
    except MissingPackage as missing:
        if find_spec("faiss") and find_spec("infomap"):
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def one_thread() -> Generator[None, None, None]:
    """Sums in one order, in this process as in those that it starts.

    Rounding in a few training steps grows to a thousandth.
    """
    import torch  # here, for the first process, where no test runs, can do without

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class StoredCase(pytest.Item):
    """The hooks that training calls meet a case."""

    def runtest(self) -> None:
        # Loads torch: see `one_thread`.
        from common.reference import kind_of, load_case
        from methods.cases import CASES

        kinds = CASES[self.path.parents[2].name]
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
    stored = file_path.match("methods/*/tests/reference/*.npz")
    return CaseFile.from_parent(parent, path=file_path) if stored else None
