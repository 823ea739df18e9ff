"""Tests use the machine as the command line does, share its cores, and read what it writes."""

import os
from collections.abc import Generator
from importlib.util import find_spec

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Skip what needs a package that is missing; where both are there, nothing is skipped."""
    try:
        return (yield)
    except MissingPackage as missing:
        if find_spec("faiss") and find_spec("infomap"):
            raise
        pytest.skip(str(missing))
