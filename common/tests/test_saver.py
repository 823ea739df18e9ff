"""Checkpoints that are written while the run goes on."""

from threading import Event

import pytest
import torch

from common.errors import UserError
from common.run import RunDir
from common.saver import Saver


class SlowRun(RunDir):
    """Writes nothing before it may, and names what it wrote; one file cannot be written."""

    def __init__(self, path):
        super().__init__(path)
        self.may, self.written = Event(), []

    def save(self, name, state):
        assert self.may.wait(10)
        if name == "broken.pt":
            raise UserError("no space")
        super().save(name, state)
        self.written.append(name)


def test_a_file_written_beside_the_run_holds_what_was_there_when_it_was_asked_for(tmp_path):
    run, weights, losses = SlowRun(tmp_path), torch.zeros(3), [1.0]
    state = {"model": {"weights": weights, "step": (weights[0], "adam")}, "losses": losses}
    with Saver(run, beside=True) as saver:
        saver.write({"last.pt": state})
        weights.fill_(7)
        losses.append(2.0)
        assert not run.written  # the run has gone on
        run.may.set()
    found = run.load("last.pt")
    assert found["model"]["weights"].tolist() == [0, 0, 0]
    assert found["model"]["step"] == (0, "adam")
    assert found["losses"] == [1.0]


@pytest.mark.parametrize("beside", [False, True])
def test_files_are_written_in_the_order_in_which_they_were_given(tmp_path, beside):
    run = SlowRun(tmp_path)
    run.may.set()
    with Saver(run, beside) as saver:
        saver.write({"last.pt": {}, "best.pt": {}})
        saver.write({"a.pt": {}})
    assert run.written == ["last.pt", "best.pt", "a.pt"]


def written_until(run, *writes, stop=None):
    """Write each of these beside a run, which then may stop for a reason of its own."""
    with Saver(run, beside=True) as saver:
        for files in writes:
            saver.write(files)
            run.may.set()
        if stop:
            raise stop


@pytest.mark.parametrize("more", [[], [{"last.pt": {"epoch": 2}}]])
def test_what_could_not_be_written_is_told_at_the_next_write_or_the_end(tmp_path, more):
    run = SlowRun(tmp_path)
    with pytest.raises(UserError, match="no space"):
        written_until(run, {"last.pt": {"epoch": 1}, "broken.pt": {}, "best.pt": {}}, *more)
    assert run.written == ["last.pt"]
    assert run.load("last.pt")["epoch"] == 1


def test_a_run_that_stops_keeps_what_is_being_written(tmp_path):
    run = SlowRun(tmp_path)
    with pytest.raises(ZeroDivisionError):
        written_until(run, {"last.pt": {"epoch": 3}}, stop=ZeroDivisionError())
    assert run.load("last.pt")["epoch"] == 3


def test_a_failed_file_is_told_even_where_the_run_stops_for_another_reason(tmp_path):
    with pytest.raises(UserError, match="no space"):
        written_until(SlowRun(tmp_path), {"broken.pt": {}}, stop=ZeroDivisionError())
