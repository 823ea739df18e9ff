"""How a team of processes starts alike, and what is said and returned when it has ended."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

import tools.launch
import tools.reproduce
from common.errors import UserError
from common.team import Team
from tools.launch import launch
from tools.output import RUN_NOTE, note_run, watched


@pytest.fixture
def ended(monkeypatch):
    """`ended(rank, code)`: let the next team end so, with a run folder where one is given."""
    monkeypatch.setenv(RUN_NOTE, "")
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))

    def prepare(outcome, run=None):
        def start(processes, command):
            assert command[:3] == [sys.executable, "-m", "tools"]
            if run:
                note_run(Path(run))
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setattr(tools.launch, "start_team", start)

    return prepare


@pytest.mark.parametrize(
    ("number", "name", "device", "option"),
    [(9, " (SIGKILL)", "cpu", " --device cpu"), (40, "", "cuda", "")],
)
def test_a_killed_process_is_named_with_the_command_that_continues(
    ended, capsys, monkeypatch, number, name, device, option
):
    monkeypatch.setattr(tools.launch, "require_devices", lambda device, processes: None)
    ended((1, -number), run="runs/mine")
    assert launch(4, device, ["reproduce"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"process 1 of 4 was killed by signal {number}{name};" in said
    assert f"`tools resume runs/mine --gpus 4{option}` continues" in said


def test_a_run_folder_need_not_have_a_name_in_utf_8(ended, monkeypatch):
    said = []
    monkeypatch.setattr("typer.secho", lambda text, **style: said.append(text))
    ended((1, -9), run="runs/crops\udcff")
    assert launch(2, "cpu", ["reproduce"]) == 1
    assert "runs/crops\udcff" in said[0]


def test_without_a_run_folder_there_is_nothing_to_resume(ended, capsys):
    ended((0, 1))
    assert launch(2, "cpu", ["test"]) == 1
    said = capsys.readouterr().err
    assert "process 0 of 2 ended with exit code 1" in said
    assert "resume" not in said


@pytest.mark.parametrize(("outcome", "code"), [(None, 0), ((0, 2), 2)])
def test_success_and_mistakes_need_no_further_word(ended, capsys, outcome, code):
    ended(outcome, run="runs/mine")
    assert launch(2, "cpu", ["reproduce"]) == code
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("outcome", [(1, 130), KeyboardInterrupt()])
def test_processes_that_were_told_to_stop_are_told_how_to_go_on_once(
    ended, capsys, monkeypatch, outcome
):
    def stopped(processes, command):
        with pytest.raises(typer.Exit), watched(json=False, run=Path("runs/mine")):
            raise KeyboardInterrupt
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    ended(None)
    monkeypatch.setattr(tools.launch, "start_team", stopped)
    assert launch(2, "cpu", ["reproduce"]) == 130
    said = capsys.readouterr().err
    assert said.startswith("stopped. `tools resume runs/mine --gpus 2 --device cpu` continues")
    assert said.count("stopped.") == 1


def test_processes_that_were_told_to_stop_before_there_was_a_run_say_so(ended, capsys):
    ended(KeyboardInterrupt())
    assert launch(2, "cpu", ["reproduce"]) == 130
    assert capsys.readouterr().err == "stopped.\n"


def test_the_processes_share_the_cores_and_the_cursor_is_shown_when_they_have_ended(
    ended, monkeypatch
):
    threads = []
    terminal = SimpleNamespace(show_cursor=lambda: threads.append(os.environ["OMP_NUM_THREADS"]))
    monkeypatch.setattr(tools.launch, "own_cores", lambda: 7)
    monkeypatch.setattr(tools.launch, "terminal", lambda: terminal)
    for processes, outcome in ((2, None), (9, KeyboardInterrupt())):
        ended(outcome)
        monkeypatch.delenv("OMP_NUM_THREADS")
        launch(processes, "cpu", ["reproduce"])
    assert threads == ["3", "1"]


def test_too_few_gpus_stop_the_command_before_any_process_starts(call, ended, monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    ended(RuntimeError("a process was started"))
    called = call("reproduce", "hhcl", "synthetic", "--gpus", "2")
    assert called.code == 2
    assert "2 processes need a CUDA device each, and this machine has 1" in called.err


def test_settings_are_compared_between_the_machines_and_places_are_not(call, monkeypatch, tmp_path):
    def compared(team, found, what):
        raise UserError(f"{what} {found}")

    monkeypatch.setattr(Team, "require_same", compared)
    for name in ("here", "there"):
        (tmp_path / f"{name}.pth").touch()

    def told(name, *more):
        weights = ("--weights-init", tmp_path / f"{name}.pth")
        return call("train", "hhcl", "--data", tmp_path / name, *weights, *more).err

    assert told("here").startswith("error: the settings of the command are ")
    assert told("here") == told("there") != told("there", "--set", "lr=0.1")
    paper = ("reproduce", "hhcl", "synthetic")
    assert len({call(*paper, *more).err for more in ((), ("--seeds", "2"), ("--dry-run",))}) == 3

    for name, value in {"WORLD_SIZE": "2", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tools.reproduce, "join_team", lambda device: Team())
    missing_here = tmp_path / "run"
    assert call("resume", missing_here).err == "error: the run folder to resume is run\n"
