"""Calling the command line in this process."""

import sys
from typing import NamedTuple

import pytest

from tools.cli import main


class Called(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def call(monkeypatch, capsys):
    """`call("verify", "hhcl")`: exit code, standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tools", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return Called(0 if code is None else code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def one_step():
    """Changes that make a run of the drawn data one epoch of one step."""
    return (
        "epochs=1",
        "sampling.batch_size=16",
        "sampling.instances=4",
        "sampling.iterations=1",
        "clustering.k1=8",
        "clustering.eps=0.5",
        "clustering.min_samples=2",
    )
