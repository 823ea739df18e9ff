"""What every method must fulfil, whatever it computes."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from common.run import RunDir
from common.training import train
from methods import METHODS
from methods.small_runs import run_small, small_data, small_job, small_recipe

KEYS = {
    "spcl": [("", ""), ("synthetic-b", ""), ("synthetic-b", "clean"), ("", "plus")],
    "clustercontrast": [("", ""), ("", "hard"), ("", "infomap"), ("", "no-cameras")],
    "hhcl": [("", ""), ("", "supervised")],
    "hdcpd": [("", ""), ("synthetic-b", ""), ("", "cluster-contrast")],
    "dccc": [("", ""), ("", "plain-loss")],
    "dsgl": [("", ""), ("", "msmt")],
    "multiqueue": [("", ""), ("", "fixed-temperature")],
}
RECIPES = {
    "-".join(filter(None, (name, source, variant))): METHODS[name].find(
        "synthetic", source, variant
    )
    for name, keys in KEYS.items()
    for source, variant in keys
}
MAIN = [name for name in RECIPES if name in METHODS or name.endswith("synthetic-b")]


@pytest.fixture(scope="module")
def data():
    return small_data()


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """Run folders and methods of uninterrupted runs, made once each."""
    made = {}

    def run(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("runs") / name
            made[name] = (folder, run_small(small_recipe(RECIPES[name]), folder, data))
        return made[name]

    return run


def equal_states(one, other):
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, other[key]), key
        else:
            assert value == other[key], key


@pytest.mark.parametrize("name", RECIPES)
def test_a_small_run_ends_with_checkpoint_log_and_scores(finished, name):
    folder, method = finished(name)
    state = RunDir(folder).load("last.pt")
    events = RunDir(folder).events()
    assert state["progress"]["epoch"] == 1
    assert [e["epoch"] for e in events if e["event"] == "epoch"] == [0, 1]
    assert {e["network"] for e in events if e["event"] == "test"} == set(method.evaluated())
    assert 0 < state["progress"]["best"]["map"] <= 1
    assert all(np.isfinite(list(e["losses"].values())).all() for e in events if "losses" in e)


@pytest.mark.parametrize("name", MAIN)
def test_a_resumed_run_ends_bit_equal_to_an_uninterrupted_one(finished, data, tmp_path, name):
    folder, whole = finished(name)
    recipe = small_recipe(RECIPES[name])
    run_small(replace(recipe, epochs=1), tmp_path / "run", data)
    resumed = run_small(recipe, tmp_path / "run", data, resume=True)
    equal_states(whole.state_dict(), resumed.state_dict())
    equal_states(dict(whole.memory.named_buffers()), dict(resumed.memory.named_buffers()))
    one, two = RunDir(folder).load("last.pt"), RunDir(tmp_path / "run").load("last.pt")
    assert torch.equal(one["labels"], two["labels"])
    assert one["progress"]["best"] == two["progress"]["best"]


def test_dropout_draws_from_the_run_s_own_stream_alone(data, tmp_path):
    recipe = small_recipe(RECIPES["hdcpd-synthetic-b"])  # two domains and a teacher
    recipe = replace(recipe, encoder=replace(recipe.encoder, dropout=0.3))
    before = torch.random.get_rng_state()
    whole = run_small(recipe, tmp_path / "whole", data)
    assert torch.equal(torch.random.get_rng_state(), before)
    run_small(replace(recipe, epochs=1), tmp_path / "parts", data)
    torch.manual_seed(7)
    resumed = run_small(recipe, tmp_path / "parts", data, resume=True)
    equal_states(whole.state_dict(), resumed.state_dict())


@pytest.mark.parametrize("name", MAIN)
def test_the_state_survives_a_round_trip(finished, data, tmp_path, name):
    _, method = finished(name)
    other, _ = small_job(replace(small_recipe(RECIPES[name]), seed=7), tmp_path / "x", data)
    torch.save(method.state_dict(), tmp_path / "state.pt")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    equal_states(method.state_dict(), other.state_dict())


@pytest.mark.parametrize("name", MAIN)
def test_data_without_cameras_works(tmp_path, name):
    recipe = replace(small_recipe(RECIPES[name]), epochs=1)
    method, job = small_job(recipe, tmp_path / "run", small_data(cams=1))
    job.test = None  # one camera leaves nothing to score
    assert train(method, job).epoch == 0


@pytest.mark.parametrize("name", MAIN)
def test_training_does_not_read_the_target_s_identities(finished, data, tmp_path, name):
    shuffled = replace(data.dataset.train, pids=data.dataset.train.pids[::-1].copy())
    other = replace(data, dataset=replace(data.dataset, train=shuffled))
    method = run_small(small_recipe(RECIPES[name]), tmp_path / "run", other)
    equal_states(finished(name)[1].state_dict(), method.state_dict())


PROGRAM = """
import sys, torch
from pathlib import Path
from common.team import join_team, leave_team
from methods.small_runs import run_small, small_data, small_recipe
from methods import METHODS
torch.set_num_threads(1)
folder = Path(sys.argv[1])
for key in sys.argv[2:]:
    name, source, variant = key.split("/")
    recipe = METHODS[name].find("synthetic", source, variant)
    team = join_team("cpu")
    run = key.replace("/", "-")
    method = run_small(small_recipe(recipe), folder / run, small_data(), team=team)
    state = {k: v for k, v in method.state_dict().items() if isinstance(v, torch.Tensor)}
    memory = dict(method.memory.named_buffers())
    torch.save({"state": state, "memory": memory}, folder / f"{run}-{team.rank}.pt")
leave_team(team)
"""


ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


def run_team(folder, names, processes):
    """All runs in one team of processes, as torchrun would start it."""
    program = folder / "program.py"
    program.write_text(PROGRAM)
    keys = ["/".join((r.method, r.source, r.variant)) for r in (RECIPES[n] for n in names)]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={processes}", str(program), str(folder), *keys]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=ONE_THREAD)
    assert done.returncode == 0, done.stderr[-3000:]
    return {
        name: [
            torch.load(folder / f"{key.replace('/', '-')}-{rank}.pt", weights_only=True)
            for rank in range(processes)
        ]
        for name, key in zip(names, keys, strict=True)
    }


@pytest.fixture(scope="module")
def teams(tmp_path_factory):
    """Run folders and final states by rank, of several runs in one team, made once each."""
    made = {}

    def run(processes, names):
        if (processes, names) not in made:
            folder = tmp_path_factory.mktemp("teams")
            made[processes, names] = folder, run_team(folder, names, processes)
        return made[processes, names]

    return run


TEAMS = [
    *(pytest.param(2, tuple(MAIN), name, id=f"2-{name}") for name in MAIN),
    *(
        pytest.param(4, tuple(RECIPES), name, id=f"4-{name}", marks=pytest.mark.slow)
        for name in RECIPES
    ),
]


@pytest.mark.parametrize(("processes", "names", "name"), TEAMS)
def test_all_processes_hold_the_same_memory_and_weights(teams, processes, names, name):
    first, *others = teams(processes, names)[1][name]
    weights = [k for k in first["state"] if "running_" not in k]
    for other in others:
        equal_states(first["memory"], other["memory"])
        equal_states(*({k: r["state"][k] for k in weights} for r in (first, other)))


@pytest.mark.parametrize(("processes", "names", "name"), TEAMS)
def test_several_processes_give_the_losses_and_labels_of_one(
    teams, finished, processes, names, name
):
    recipe = RECIPES[name]
    key = "-".join((recipe.method, recipe.source, recipe.variant))
    several, single = RunDir(teams(processes, names)[0] / key), RunDir(finished(name)[0])
    assert torch.equal(several.load("last.pt")["labels"], single.load("last.pt")["labels"])
    for one, two in zip(several.events(), single.events(), strict=True):
        if one["event"] == "epoch":
            assert one["losses"] == pytest.approx(two["losses"], rel=2e-3)
