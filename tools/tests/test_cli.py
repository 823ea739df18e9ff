"""The command line as a whole: help, start-up, errors, JSON, Ctrl-C."""

import json
import re
import shlex
import subprocess
import sys

import pytest
import torch
import typer
from typer.testing import CliRunner

import tools.launch
import tools.reproduce
import tools.verify
from common.errors import UserError
from tools.cli import app

HHCL = ("reproduce", "hhcl", "synthetic")
COMMANDS = ("reproduce", "train", "resume", "test", "verify", "recipes", "table", "report")
COMMANDS += ("bench", "doctor", "data list", "data check", "data prepare", "data synth")


def python(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def found_command(name):
    command = typer.main.get_command(app)
    for word in name.split():
        command = command.commands[word]
    return command


def leaves(command, path=()):
    """Full names of all commands below a group."""
    if not hasattr(command, "commands"):
        return {" ".join(path)}
    return {leaf for n, c in command.commands.items() for leaf in leaves(c, (*path, n))}


def test_these_are_all_commands():
    assert leaves(typer.main.get_command(app)) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example_that_parses(name):
    shown = CliRunner().invoke(app, [*name.split(), "--help"])
    assert shown.exit_code == 0
    command = found_command(name)
    example = command.epilog.removeprefix("Example: ")
    assert " ".join(example.split()) in " ".join(shown.output.split())
    words = shlex.split(example)
    assert words[: 1 + len(name.split())] == ["tools", *name.split()]
    context = command.make_context(name, words[1 + len(name.split()) :])
    assert context.params


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_prints_json_and_explains_its_options(name):
    command = found_command(name)
    assert "json" in {parameter.name for parameter in command.params}
    assert command.help
    assert all(getattr(parameter, "help", "x") for parameter in command.params)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("test hhcl market1501 --weights nowhere", "no weights. Name a run that has completed an"),
        ("bench evaluation --set device=gpu", "'gpu' is no device"),
    ],
)
def test_the_setting_in_the_help_of_set_is_one_that_the_command_takes(call, command, said):
    (option,) = (p for p in found_command(command.split()[0]).params if "--set" in p.opts)
    (change,) = re.findall(r"e\.g\. (\S+=[\w.]+)", option.help)
    assert said in call(*command.split(), "--set", change).err


def test_a_user_s_error_is_one_red_sentence_and_exit_code_2(call):
    shown = call("data", "check", "marekt1501")
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.startswith("error: unknown data set 'marekt1501'")
    assert shown.err.count("\n") == 1


def test_the_sentence_is_red_on_a_terminal(call, monkeypatch):
    shown = {}
    monkeypatch.setattr(typer, "secho", lambda text, **style: shown.update(style, text=text))
    assert call("recipes", "hhlc").code == 2
    assert shown["fg"] == "red"
    assert shown["err"] is True


def test_a_broken_assumption_keeps_its_traceback(monkeypatch):
    def broken(*args, **kwargs):
        raise ValueError("inside")

    monkeypatch.setattr(tools.verify, "verify", broken)
    assert isinstance(CliRunner().invoke(app, ["verify"]).exception, ValueError)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("reproduce", "hhcl", "market"), "market1501"),
        (("reproduce", "hhcl", "my/crops"), "`tools train hhcl --data my/crops`"),
        ((*HHCL, "--variant", "x"), "There are runs with no option, --variant supervised."),
        ((*HHCL, "--set", "setings.momentum=1"), "settings"),
        ((*HHCL, "--set", "momentum"), "NAME=VALUE"),
        ((*HHCL, "--set", "encoder.arch=resnet51"), "'resnet50'?"),
        ((*HHCL, "--weights-init", "nowhere.pth"), "no weight file"),
        ((*HHCL, "--sweep", "lr"), "two or more values"),
        ((*HHCL, "--sweep", "lr=0.1,0.2,0.10"), "a value twice"),
        ((*HHCL, "--sweep", "lr=1,2", "--set", "lr=3"), "lr is given 3 and 1. Leave one of them"),
        ((*HHCL, "--sweep", "seed=1,2", "--seeds", "2"), "Leave --seeds out"),
        ((*HHCL, "--name", "../../esc"), "a plain file name"),
        ((*HHCL, "--name", "/abs/path"), "a plain file name"),
        (("train", "hhcl", "--data", "crops", "--name", "n" * 300), "at most 200 bytes"),
        (("resume", "nowhere"), "Name a folder that a run has written"),
        (("report", "nowhere"), "nowhere is not a run folder"),
        (("table", "nowhere"), "nowhere"),
        (("recipes", "hhcl", "veri"), "market1501"),
        (("bench", "nosuch"), "evaluation"),
        (("bench", "evaluation", "--set", "size=1"), "queries"),
        (("bench", "evaluation", "--set", "queries=many"), "whole number"),
        (("data", "check", "nosuch"), "market1501"),
        (("verify", "--reference", "nowhere"), "nowhere"),
    ],
)
def test_mistakes_are_told_before_any_work(call, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    for extra in ((), ("--json",)):
        called = call(*arguments, *extra)
        assert (called.code, called.out) == (2, "")
        assert said in called.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command", ["test hhcl synthetic --device cpu --weights nowhere", "report begun"]
)
def test_trained_weights_compute_in_float32_as_they_did_in_training(
    call, tmp_path, monkeypatch, command
):
    monkeypatch.chdir(tmp_path)
    recorded_run(tmp_path / "begun")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert command.split()[-1] in call(*command.split()).err
    assert not torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--nosuch",), "No such option: --nosuch."),
        (("reproduc",), "No such command 'reproduc'. Did you mean 'reproduce'?"),
        (("reproduce",), "Missing argument 'method'."),
        (("reproduce", "hhcl", "market1501", "--seeds", "0"), "Invalid value for '--seeds'"),
    ],
)
def test_a_command_that_cannot_be_read_is_told_like_any_mistake(call, arguments, said):
    called = call(*arguments)
    assert (called.code, called.out, called.err.count("\n")) == (2, "", 1)
    assert called.err.startswith(f"error: {said}")
    assert called.err.endswith(" With --help, a command says what it takes.\n")


@pytest.mark.parametrize("group", [(), ("data",)])
def test_without_a_command_the_help_is_shown_and_nothing_else(call, group):
    called = call(*group)
    assert (called.code, called.err) == (2, "")
    assert "check" in called.out or "reproduce" in called.out


@pytest.mark.parametrize(
    "arguments",
    [("recipes",), ("recipes", "spcl"), ("table",), ("doctor",), ("bench",), ("data", "list")],
)
def test_json_is_one_document_and_nothing_else(call, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    called = call(*arguments, "--json")
    assert called.code == 0
    assert json.loads(called.out, parse_constant=pytest.fail)
    assert called.err == ""
    assert call(*arguments).code == 0


def fake_run(result, events=(), *, error=None):
    """A stand-in for the work of a run."""

    def run(*args, observer, **options):
        for event in events:
            observer(event)
        print("a library talks")
        if error:
            raise error
        return result

    return run


RESULT = {"method": "hhcl", "clusters": [3], "loss": float("nan")}


@pytest.mark.parametrize("command", [("reproduce", "hhcl", "synthetic"), ("train", "hhcl")])
@pytest.mark.parametrize(("seeds", "shown"), [(1, dict), (2, list)])
def test_json_is_the_result_or_a_list_of_one_per_seed(call, monkeypatch, command, seeds, shown):
    run = fake_run([RESULT] * seeds, [{"event": "stage", "text": "working"}])
    monkeypatch.setattr(tools.reproduce, command[0], run)
    monkeypatch.setattr("tools.cli.runs_table", lambda results, seeds, sweep: "")
    data = ("--data", "x") if command[0] == "train" else ()
    called = call(*command, *data, "--seeds", seeds, "--json")
    found = json.loads(called.out, parse_constant=pytest.fail)
    assert isinstance(found, shown)
    assert "a library talks" in called.err
    assert "working" not in called.out + called.err


@pytest.mark.parametrize("command", [("reproduce", "hhcl", "synthetic"), ("train", "hhcl")])
def test_a_root_that_cannot_hold_run_folders_is_found_first(call, tmp_path, monkeypatch, command):
    monkeypatch.setattr(tools.reproduce, "find_dataset", pytest.fail)
    (tmp_path / "runs").write_text("a file")
    data = ("--data", tmp_path) if command[0] == "train" else ()
    for root in (tmp_path / "runs", tmp_path / "runs" / "deeper"):
        called = call(*command, *data, "--runs-root", root, "--dry-run")
        assert called.code == 2
        assert f"no run folder can be made in {root}: Not a directory" in called.err


def test_warnings_go_to_standard_error_with_json(call, monkeypatch):
    run = fake_run([RESULT], [{"event": "warning", "text": "careful"}])
    monkeypatch.setattr(tools.reproduce, "train", run)
    called = call("train", "hhcl", "--data", "x", "--json")
    assert json.loads(called.out) == {**RESULT, "loss": None}
    assert "warning: careful" in called.err


def test_options_and_changes_reach_the_run(call, monkeypatch):
    seen = {}

    def run(*args, **options):
        seen.update(options)
        return [RESULT]

    monkeypatch.setattr(tools.reproduce, "reproduce", run)
    call(
        *("reproduce", "spcl", "market1501", "--source", "msmt17", "--variant", "ibn", "--json"),
        *("--set", "epochs=3", "--set", "lr=1", "--precision", "fast", "--weights-init", "w.pth"),
        *("--data-root", "d", "--runs-root", "r", "--name", "n", "--strict", "--skip-bad-images"),
        *("--device", "cpu", "--images", "disk", "--workers", "0", "--no-report", "--dry-run"),
    )
    assert (seen["source"], seen["variant"], seen["dry_run"]) == ("msmt17", "ibn", True)
    short = ["precision=fast", "encoder.weights=w.pth"]
    assert seen["changes"] == ["epochs=3", "lr=1", *short]
    options = {name: str(value) for name, value in vars(seen["options"]).items()}
    assert options.items() >= {
        "data_root": "d", "runs_root": "r", "name": "n", "strict": "True", "device": "cpu",
        "skip_bad_images": "True", "images": "disk", "workers": "0", "report": "False",
    }.items()  # fmt: skip


def test_the_data_root_comes_from_the_environment_where_no_option_names_it(call, monkeypatch):
    seen = {}

    def run(*args, **options):
        seen.update(options)
        return [RESULT]

    monkeypatch.setattr(tools.reproduce, "reproduce", run)
    monkeypatch.setenv("REID_DATA", "elsewhere")
    call("reproduce", "hhcl", "market1501", "--json")
    assert str(seen["options"].data_root) == "elsewhere"
    call("reproduce", "hhcl", "market1501", "--json", "--data-root", "here")
    assert str(seen["options"].data_root) == "here"


def test_ctrl_c_says_how_to_go_on_and_ends_with_130(call, monkeypatch):
    events = [{"event": "run", "path": "runs/mine"}]
    run = fake_run(None, events, error=KeyboardInterrupt())
    monkeypatch.setattr(tools.reproduce, "reproduce", run)
    for extra in ((), ("--json",)):
        called = call("reproduce", "hhcl", "synthetic", *extra)
        assert called.code == 130
        assert "tools resume runs/mine" in called.err
        assert "Traceback" not in called.err


def recorded_run(path):
    """A folder that a run has begun to write."""
    path.mkdir(parents=True)
    (path / "recipe.json").write_text("{}")


def test_ctrl_c_in_resume_names_the_run_that_was_resumed(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recorded_run(tmp_path / "runs/mine")
    monkeypatch.setattr(tools.reproduce, "resume", fake_run(None, error=KeyboardInterrupt()))
    assert "tools resume runs/mine" in call("resume", "runs/mine").err


def test_several_gpus_start_the_same_command_in_a_team(call, monkeypatch):
    started = []
    monkeypatch.setattr(tools.launch, "launch", lambda *a: started.append(a) or 3)
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "1")  # by some platforms, which says nothing of a team
    assert call("reproduce", "hhcl", "market1501", "--gpus", "2").code == 3
    assert started == [(2, "auto", ["reproduce", "hhcl", "market1501", "--gpus", "2"])]


def test_a_member_of_a_team_works_and_only_the_first_speaks(call, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    run = fake_run([RESULT], [{"event": "stage", "text": "working"}])
    monkeypatch.setattr(tools.reproduce, "reproduce", run)
    called = call("reproduce", "hhcl", "synthetic", "--gpus", "2", "--json")
    assert (called.code, called.out) == (0, "")


def test_user_errors_leave_the_commands_as_they_are(monkeypatch):
    error = UserError("wrong")
    monkeypatch.setattr(tools.reproduce, "train", fake_run(None, error=error))
    assert CliRunner().invoke(app, ["train", "hhcl", "--data", "x"]).exception is error


def test_python_dash_m_tools_is_the_same_program():
    shown = python("-m", "tools", "--help")
    assert shown.returncode == 0
    assert re.search(r"Usage: \S*.*tools", shown.stdout)


def test_members_of_a_team_let_the_first_tell_a_mistake(call, monkeypatch):
    waited = []
    monkeypatch.setattr("tools.output.time.sleep", waited.append)
    assert call("recipes", "hhlc").code == 2
    assert waited == []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert call("recipes", "hhlc").code == 2
    assert waited
