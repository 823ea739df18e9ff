"""Runs killed at random instants end bit-equal to a run that was left alone, on one or several
processes and machines. What need not be killed runs in this process, which saves a start."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from common.data.check import leave_out
from common.data.datasets import fingerprint, load_dataset
from common.run import RunDir
from common.team import ALONE
from tools.cli import main
from tools.environment import surroundings
from tools.layout import shell_command
from tools.lookup import paper_recipe
from tools.origin import Moved, load_again
from tools.synth import synth

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = (
    "epochs=4",
    "lr=0.0001",  # so small that rounding grows slowly
    "bn_chunks=2",
    "sampling.iterations=6",
    "sampling.batch_size=32",
    "sampling.instances=4",
    "clustering.k1=10",
    "clustering.k2=3",
    "clustering.eps=0.6",
    "clustering.min_samples=3",
)
COMMAND = [sys.executable, "-m", "tools"]
TWO = ["--gpus", "2", "--device", "cpu"]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def reproduce(data, runs, name, **changes):
    return [*COMMAND, *arguments_of(data, runs, name, **changes)]


def arguments_of(data, runs, name, **changes):
    """The command of a small run; `changes` by the last part of a setting's name."""
    arguments = ["reproduce", "hhcl", "synthetic", "--data-root", str(data), "--no-report"]
    arguments += ["--runs-root", str(runs), "--name", name]
    settings = dict(change.split("=") for change in SMALL)
    settings |= {name: changes.get(name.split(".")[-1], value) for name, value in settings.items()}
    return [*arguments, *(f"--set={name}={value}" for name, value in settings.items())]


def resume(run):
    return [*COMMAND, "resume", str(run), "--no-report"]


def start(command):
    return subprocess.Popen(
        command,
        env=ONE_THREAD,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=heed_interrupts,
    )


def heed_interrupts():
    """A shell may have started the tests with Ctrl-C ignored, which children inherit."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finish(command):
    process = start(command)
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    synth(root, "synthetic", strength="easy", ids=16, workers=1)
    return root


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    """The folder of a run that was left alone."""
    runs = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["tools", *arguments_of(data, runs, "run")])
        patch.setitem(sys.modules, "tools.write_report", None)  # no page, nothing loaded for it
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code in (None, 0)
    return runs / "run"


def killed_and_resumed(data, runs, kills, seconds, seed):
    """Kill the run that often at instants from its start to beyond its end, then let it finish."""
    rng = random.Random(seed)
    run = runs / "run"
    for _ in range(kills):
        known = (run / "recipe.json").is_file()
        process = start(resume(run) if known else reproduce(data, runs, "run"))
        time.sleep(rng.uniform(0.3, 1.0) * seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    if not (run / "result.json").is_file():
        known = (run / "recipe.json").is_file()
        finish(resume(run) if known else reproduce(data, runs, "run"))
    return run


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def assert_equal_runs(one, other):
    a, b = RunDir(one).load("last.pt"), RunDir(other).load("last.pt")
    for part in ("model", "optimizer", "labels", "streams"):
        assert same(a[part], b[part]), part
    for part in ("start", "last", "best", "clusters", "outliers"):
        assert a["progress"][part] == b["progress"][part], part
    losses = [
        [e["losses"] for e in RunDir(r).events() if e["event"] == "epoch"] for r in (one, other)
    ]
    assert losses[0] == losses[1]


def test_a_kill_changes_nothing(data, undisturbed, tmp_path, call):
    process = start(reproduce(data, tmp_path, "run"))
    wait_for_checkpoint(process, tmp_path / "run")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "run" / "result.json").exists()
    assert call("resume", tmp_path / "run", "--no-report").code == 0
    assert_equal_runs(undisturbed, tmp_path / "run")


@pytest.mark.slow
def test_twenty_kills_change_nothing(data, undisturbed, tmp_path):
    since = time.perf_counter()
    finish(reproduce(data, tmp_path, "alone"))
    seconds = time.perf_counter() - since
    run = killed_and_resumed(data, tmp_path, kills=20, seconds=seconds, seed=2)
    for alone in (undisturbed, tmp_path / "alone"):
        assert_equal_runs(alone, run)


def test_a_finished_run_is_not_resumed(undisturbed, call):
    done = call("resume", undisturbed)
    assert done.code == 2
    assert "is finished" in done.err


@pytest.mark.slow
def test_a_run_in_use_is_not_resumed_and_says_how_to_go_on_when_interrupted(data, tmp_path, call):
    process = long_run(data, tmp_path)
    done = call("resume", tmp_path / "run")
    assert done.code == 2
    assert "another process trains in" in done.err
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "tools resume" in said
    assert "Traceback" not in said
    assert RunDir(tmp_path / "run").load("last.pt")["progress"]["epoch"] >= 0


@pytest.fixture
def copy(undisturbed, tmp_path):
    """`copy(record)`: an unfinished copy of the run after its record was changed by a function."""

    def changed(change):
        run = tmp_path / "run"
        run.mkdir()
        for name in ("recipe.json", "last.pt", "environment.json"):
            (run / name).write_bytes((undisturbed / name).read_bytes())
        record = RunDir(run).read_json("environment.json")
        change(record)
        RunDir(run).write_json("environment.json", record)
        return run

    return changed


def test_a_run_that_goes_on_elsewhere_says_so_and_records_it(copy, call):
    def elsewhere(record):
        record["device"], record["versions"]["torch"] = "another device", "0.4.1"

    run = copy(elsewhere)
    said = " ".join(call("resume", run, "--no-report").out.split())
    assert "device another device, now cpu" in said
    assert f"torch 0.4.1, now {torch.__version__.partition('+')[0]}" in said

    record = RunDir(run).read_json("result.json")["environment"]
    (again,) = record["resumptions"]
    assert again["device"].startswith("cpu")
    assert f"device another device, now {again['device']}" in again["changed"]
    assert (record["device"], record["versions"]["torch"]) == ("another device", "0.4.1")


def test_a_run_that_goes_on_where_it_was_started_says_nothing_of_it(copy, call):
    here = surroundings(paper_recipe("hhcl", "synthetic"), images=1, team=ALONE)
    run = copy(lambda record: record.update(here))
    said = " ".join(call("resume", run, "--no-report").out.split())
    assert "there have been changes" not in said
    assert "batch norm sees" not in said


def test_a_resume_says_and_records_how_the_processes_make_it_differ_from_the_recipe(copy, call):
    chunks = "batch norm sees 16 images at a time"
    run = copy(lambda record: record.update(deviations=[]))  # as if fewer processes had begun
    assert chunks in " ".join(call("resume", run, "--no-report").out.split())
    (again,) = RunDir(run).read_json("environment.json")["resumptions"]
    assert any(sentence.startswith(chunks) for sentence in again["deviations"])


def test_a_recipe_that_does_not_fit_the_processes_stops_a_resume(copy, call):
    run = copy(lambda record: None)
    recipe = RunDir(run).read_json("recipe.json")
    RunDir(run).write_json("recipe.json", {**recipe, "bn_chunks": 7})
    done = call("resume", run)
    assert done.code == 2
    assert "is not a multiple of bn_chunks=7. Change one of them." in done.err
    assert RunDir(run).read_json("environment.json")["resumptions"] == []


def test_images_that_changed_stop_a_resume(copy, call):
    run = copy(lambda record: record["dataset"].update(fingerprint="0" * 12))
    done = call("resume", run)
    assert done.code == 2
    assert "not what the run was started with" in done.err.replace("\n", " ")


def test_data_that_have_moved_are_named_and_found_again_by_the_next_command(
    copy, data, tmp_path, call
):
    images = tmp_path / "moved" / "synthetic"
    images.parent.mkdir()
    shutil.copytree(data / "synthetic", images)
    bad = next((images / "bounding_box_train").glob("*.jpg"))

    def gone(record):
        target = record["dataset"]
        target["root"] = target["root"].replace(str(data), "/gone")
        target["origin"]["root"] = "/gone"

    run = copy(gone)
    done = call("resume", run, "--no-report")
    said = "The run's data were in /gone. If they have moved, say where with --data-root FOLDER."
    assert (done.code, said in done.err, "$REID_DATA" in done.err) == (2, True, False)
    wrong = call("resume", run, "--no-report", "--data", images)
    assert "with --data-root" in wrong.err
    assert call("resume", run, "--no-report", "--data-root", images.parent).code == 0
    record = RunDir(run).read_json("environment.json")["dataset"]
    assert (record["root"], record["origin"]["root"]) == (str(images), str(images.parent))

    (run / "result.json").unlink()
    bad.write_bytes(b"")
    done = call("resume", run, "--no-report")
    assert (done.code, "fingerprint" in done.err) == (2, True)


def test_bad_images_that_were_left_out_are_left_out_where_the_data_lie_now(copy, data, tmp_path):
    images = tmp_path / "synthetic"
    shutil.copytree(data / "synthetic", images)
    known = load_dataset("synthetic", tmp_path)
    kept = leave_out(known, [known.train.paths[3]])

    def dropped(record):
        name = Path(known.train.paths[3]).relative_to(images)
        record["dataset"].update(
            root="/gone/synthetic",
            dropped=[f"/gone/synthetic/{name}"],
            fingerprint=fingerprint(kept),
        )

    found = load_again(RunDir(copy(dropped)), "dataset", Moved(data_root=tmp_path))
    assert list(found.train.paths) == list(kept.train.paths)


def long_run(data, runs):
    """A process that trains for hours and has completed an epoch."""
    process = start(reproduce(data, runs, "run", epochs=400))
    wait_for_checkpoint(process, runs / "run")
    return process


def wait_for_checkpoint(process, run):
    """Until the process has completed an epoch."""
    deadline = time.time() + 240
    while not (run / "last.pt").is_file():
        assert process.poll() is None, process.stdout.read()
        assert time.time() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def two_machines(data, tmp_path_factory):
    """The run folder of two machines with an address of their own and one process each."""
    runs = tmp_path_factory.mktemp("machines")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    torchrun += ["--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}"]
    torchrun += [f"--log-dir={runs / 'logs'}"]
    tools = ["-m", "tools", *arguments_of(data, runs, "run"), "--device", "cpu"]
    agents = [
        start([*torchrun, f"--local-addr={address}", *tools])
        for address in ("127.0.0.1", "127.0.0.2")
    ]
    said = [agent.communicate(timeout=240)[0] for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0], said
    assert sum("run folder" in text for text in said) == 1  # the first process speaks for all
    return runs / "run"


@pytest.mark.slow
def test_two_machines_give_the_result_of_one_process(undisturbed, two_machines):
    one, two = (RunDir(run).events() for run in (undisturbed, two_machines))
    assert len(one) == len(two)
    for ours, theirs in zip(one, two, strict=True):
        if ours["epoch"] > 1:
            break  # by then rounding may have moved an image across the radius of a cluster
        if ours["event"] == "epoch":
            assert ours["losses"] == pytest.approx(theirs["losses"], rel=2e-3)
            assert (ours["clusters"], ours["outliers"]) == (theirs["clusters"], theirs["outliers"])
        if ours["event"] == "test":
            assert ours["map"] == pytest.approx(theirs["map"], abs=1e-3)


@pytest.mark.slow
def test_a_lost_process_ends_the_run_with_a_word_and_nothing_is_lost(data, two_machines, tmp_path):
    process = start([*reproduce(data, tmp_path, "run"), *TWO])
    wait_for_checkpoint(process, tmp_path / "run")
    ranks = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
    )
    os.kill(max(map(int, ranks.stdout.split())), signal.SIGKILL)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    last = said.splitlines()[-1]
    assert "process 1 of 2 was killed by signal 9 (SIGKILL)" in last
    assert shell_command("resume", tmp_path / "run", "--gpus", "2", "--device", "cpu") in last
    assert "Traceback" not in said
    assert RunDir(tmp_path / "run").load("last.pt")["progress"]["epoch"] < 3
    finish([*COMMAND, "resume", str(tmp_path / "run"), "--no-report", *TWO])
    assert_equal_runs(two_machines, tmp_path / "run")


@pytest.mark.slow
def test_a_mistake_that_shows_in_several_processes_is_told_once(data, tmp_path):
    process = start([*reproduce(data, tmp_path, "run", min_samples=300), *TWO])
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 2
    assert said.count("gave 0 clusters") == 1
    assert said.splitlines()[-1].startswith("error: epoch 1: the clustering (eps 0.6) ")
    assert "Traceback" not in said
