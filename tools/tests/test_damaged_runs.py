"""Run folders read again: of damaged or exchanged files one sentence, from every command; and
how much of the data a page needs."""

import json
import shutil
from functools import partial

import pytest
import torch

from common.errors import UserError
from common.run import RunDir
from tools import write_report
from tools.options import RunOptions
from tools.report import maps
from tools.reproduce import reproduce
from tools.synth import synth


@pytest.fixture(scope="module")
def finished(tmp_path_factory, one_step):
    """A whole run of one epoch."""
    root = tmp_path_factory.mktemp("finished")
    synth(root, "synthetic", strength="easy", ids=12, cameras=4, workers=1)
    options = RunOptions(data_root=root, runs_root=root / "runs", report=False, workers=0)
    (result,) = reproduce(
        "hhcl", "synthetic", changes=list(one_step), options=options, observer=lambda event: None
    )
    return RunDir(root / "runs" / result["name"])


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it that may be spoiled."""
    return RunDir(shutil.copytree(finished.path, tmp_path / "run"))


@pytest.fixture
def told(call, run, finished):
    """What a command says of the run, as one sentence and exit code 2."""
    data = ("hhcl", "synthetic", "--data-root", finished.path.parents[1])
    commands = {"test": ("test", *data, "--weights", run.path), "report": ("report", run.path)}
    commands["resume"] = ("resume", run.path, "--no-report")

    def said(command):
        done = call(*commands[command])
        assert (done.code, done.err.count("\n")) == (2, 1), done.err
        return done.err

    return said


def changed(run, name, **parts):
    """Write a checkpoint again with other parts; None leaves a part out."""
    state = {**run.load(name), **parts}
    state.pop("format")
    run.save(name, {part: value for part, value in state.items() if value is not None})


@pytest.mark.parametrize("command", ["test", "report"])
def test_a_network_that_lacks_a_tensor_is_refused_by_its_name(run, told, command):
    encoder = run.load("best.pt")["encoder"]
    first = next(iter(encoder))
    changed(run, "best.pt", encoder={n: t for n, t in encoder.items() if n != first})
    assert f"missing: {first}" in told(command)

    changed(run, "best.pt", encoder={**encoder, first: torch.zeros(1)})
    assert f"of another shape: {first}" in told(command)

    changed(run, "best.pt", encoder=None)
    assert "best.pt does not hold what a run writes there" in told(command)


@pytest.mark.parametrize("command", ["resume", "report"])
def test_another_checkpoint_under_the_name_of_the_last_is_refused(run, told, command):
    (run.path / "result.json").unlink()
    shutil.copy(run.path / "best.pt", run.path / "last.pt")
    assert "last.pt does not hold what a run writes there" in told(command)


def test_a_state_that_lacks_a_tensor_is_not_resumed(run, told):
    (run.path / "result.json").unlink()
    model = run.load("last.pt")["model"]
    first = next(iter(model))
    changed(run, "last.pt", model={n: t for n, t in model.items() if n != first})
    assert f"missing: {first}" in told("resume")

    optimizer = run.load("last.pt")["optimizer"]
    optimizer["state"][0]["exp_avg"] = torch.zeros(1)
    changed(run, "last.pt", model=model, optimizer=optimizer)
    assert "of another shape: optimizer.0.exp_avg (1,) instead of" in told("resume")


@pytest.mark.parametrize("content", ['{"method": "hhcl"}', "[]", "{"])
@pytest.mark.parametrize("command", ["resume", "report", "test"])
def test_a_damaged_recipe_is_named(run, told, command, content):
    (run.path / "result.json").unlink()
    (run.path / "recipe.json").write_text(content)
    assert "recipe.json" in told(command)


def test_a_run_that_has_lost_its_last_checkpoint_is_not_begun_anew_over_its_best_one(run, told):
    (run.path / "result.json").unlink()
    (run.path / "last.pt").unlink()
    assert "last.pt is missing, and best.pt shows that there was one." in told("resume")


def test_a_damaged_last_checkpoint_is_told_before_images_are_opened_and_a_continuation_is_recorded(
    run, told
):
    (run.path / "result.json").unlink()
    last, record = run.path / "last.pt", (run.path / "environment.json").read_bytes()
    last.write_bytes(last.read_bytes()[:-200])
    assert "last.pt is damaged" in told("resume")
    assert (run.path / "environment.json").read_bytes() == record


def test_settings_that_were_changed_since_the_epochs_before_are_told_and_not_mixed_with_theirs(
    run, told
):
    recipe = run.read_json("recipe.json")
    (run.path / "result.json").unlink()
    run.write_json("recipe.json", {**recipe, "lr": 0.5, "epochs": 9})  # these may be more
    assert f"trained with: lr=0.5 instead of {recipe['lr']}. Put a" in told("resume")


NAMELESS = {"name": "x", "fingerprint": "y", "origin": {"name": [1], "root": ""}}


@pytest.mark.parametrize("content", ["{}", json.dumps({"dataset": NAMELESS}), "[]", "{"])
@pytest.mark.parametrize("command", ["resume", "report"])
def test_a_damaged_record_is_named(run, told, command, content):
    (run.path / "result.json").unlink()
    (run.path / "environment.json").write_text(content)
    said = told(command)
    assert "environment.json" in said
    assert "Put a copy back, or start a new run." in said


def test_a_torn_result_is_named_by_the_report_and_written_again_by_resume_before_the_page(
    run, told, call, monkeypatch
):
    (run.path / "result.json").write_text("{")
    assert "Delete it and resume the run, which writes it again." in told("report")

    def full(*given, **options):
        raise UserError("no room for the page")

    monkeypatch.setattr(write_report, "write_report", full)
    assert "no room for the page" in call("resume", run.path).err
    assert json.loads((run.path / "result.json").read_text())["clusters"]

    def written(path, *, options, observer):
        return path / "page"

    (run.path / "result.json").unlink()
    monkeypatch.setattr(write_report, "write_report", written)
    said = call("resume", run.path).out
    assert run.read_json("result.json")["report"] == str(run.path / "page")
    assert "\nwriting the report\n" in said
    assert f"\nreport      {run.path / 'page'}\n" in said


@pytest.mark.parametrize(
    ("command", "name", "change", "said"),
    [
        ("report", "result.json", {"clusters": "12"}, "clusters is '12'"),
        ("report", "environment.json", {"changes": 3}, "changes is 3"),
        ("resume", "environment.json", {"versions": []}, "versions is []"),
        ("resume", "recipe.json", {"epochs": "2"}, "TypeError: '2' is no int"),
    ],
)
def test_a_value_of_another_kind_is_told_with_its_file(run, told, command, name, change, said):
    (run.path / name).write_text(json.dumps({**run.read_json(name), **change}))
    if command == "resume":
        (run.path / "result.json").unlink()
    assert f"{name} does not hold what a run writes there ({said})" in told(command)


@pytest.mark.parametrize("command", ["resume", "report"])
def test_a_line_of_the_log_and_a_course_with_other_values_are_told(run, told, command):
    (run.path / "result.json").unlink()
    run.log({"event": "warning", "text": ["?"]})
    assert "log.jsonl does not hold what a run writes there (line" in told(command)

    changed(run, "last.pt", progress={**run.load("last.pt")["progress"], "clusters": None})
    assert "progress.clusters is None" in told(command)


def test_what_the_log_holds_of_an_epoch_that_was_not_saved_is_dropped_on_resuming(run, call):
    (run.path / "result.json").unlink()
    run.log({"event": "warning", "epoch": 1, "text": "in vain"})
    assert call("resume", run.path, "--no-report").code == 0
    assert max(event.get("epoch", -1) for event in run.events()) == 0


@pytest.mark.parametrize("option", ["--variant=supervised", "--set=encoder.pooling=max"])
def test_a_recipe_that_contradicts_the_run_s_own_is_refused(run, call, option):
    done = call("test", "hhcl", "synthetic", "--weights", run.path, option)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "knows its own recipe. Leave --source, --variant and --set out." in done.err


@pytest.fixture
def described(run, finished, monkeypatch):
    """`described()`: what the run's page is made of, and what was told meanwhile."""

    def written():
        shown, heard = [], []
        monkeypatch.setattr(write_report, "write_page", lambda folder, inputs: shown.append(inputs))
        options = RunOptions(data_root=finished.path.parents[1], workers=0)
        write_report.write_report(run.path, options=options, observer=heard.append)
        return shown[0], heard

    return written


def test_of_the_training_images_a_page_extracts_those_of_its_map_alone(run, described, monkeypatch):
    (run.path / "result.json").unlink()
    monkeypatch.setattr(maps, "sample_groups", partial(maps.sample_groups, most=20))
    inputs, heard = described()

    told = list(dict.fromkeys(event["what"] for event in heard))
    assert told == ["reading images", "features", "writing the page"]
    assert inputs.result["name"] == run.path.name, "of a run that has no result yet as well"
    mapped = maps.mapped_images(inputs.labels, inputs.truth)
    assert len(inputs.train_features) == len(mapped) <= 20 < len(inputs.train)
    assert "whole groups" in maps.feature_maps(inputs)


def test_an_outlier_that_is_a_class_of_its_own_belongs_to_no_cluster_on_the_page(run, described):
    labels = torch.arange(len(run.load("last.pt")["labels"]))
    labels[:6] = torch.tensor([0, 0, 0, -1, 7, 7])  # image 7 is the third of cluster 7
    changed(run, "last.pt", labels=labels)

    inputs, _ = described()

    assert inputs.labels.tolist() == [0, 0, 0, -1, 7, 7, -1, 7] + [-1] * (len(labels) - 8)
