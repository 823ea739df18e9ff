"""A sweep as it is written on the command line, and the runs that it makes."""

import json
from types import SimpleNamespace

import pytest

import tools.reproduce
from common.errors import TrainingStopped, UserError
from common.team import Team
from methods import METHODS
from tools.options import RunOptions
from tools.sweep import planned, sweep_values


def test_a_sweep_is_a_run_for_each_value():
    assert sweep_values("") == [[]]
    assert sweep_values("settings.queue_length=4, 16") == [
        ["settings.queue_length=4"],
        ["settings.queue_length=16"],
    ]
    kinds = "clustering.eps=LinearEps(start=0.6, step=0.01), 0.5"
    assert [len(sweep_values(text)) for text in (kinds, "clustering=Dbscan(),InfoMap()")] == [2, 2]


@pytest.mark.parametrize("sweep", ["lr", "lr=", "lr=0.1", "lr=0.1,"])
def test_a_sweep_without_several_values_is_a_mistake(sweep):
    with pytest.raises(UserError):
        sweep_values(sweep)


def test_a_run_is_called_by_what_sets_it_apart_from_the_others():
    base = METHODS["hhcl"].find("synthetic")
    seeds, both, named_once = (
        planned(base, [], sweep, seeds)
        for sweep, seeds in (("", 2), ("epochs=3,4", 2), ("seed=5,6", 1))
    )
    assert seeds.title(1) == "run 2 of 2: seed 2"
    assert both.title(2) == "run 3 of 4: epochs 4, seed 1"
    assert named_once.title(1) == "run 2 of 2: seed 6"


@pytest.mark.parametrize(("own", "rank"), [(False, 0), (True, 1)])
def test_every_seed_of_a_value_is_a_run_of_its_own_and_the_first_process_alone_tells_of_it(
    monkeypatch, tmp_path, own, rank
):
    runs, heard = [], []
    monkeypatch.setattr(tools.reproduce, "join_team", lambda device: Team(rank))
    found = SimpleNamespace(dataset=None)
    monkeypatch.setattr(tools.reproduce, "find_dataset", lambda *given: found)
    monkeypatch.setattr(tools.reproduce, "same_for_all", lambda *given: None)
    monkeypatch.setattr(tools.reproduce, "require_consistent", lambda *given: None)
    monkeypatch.setattr(tools.reproduce, "run_recipe", lambda recipe, *given: runs.append(recipe))
    run = tools.reproduce.train if own else tools.reproduce.reproduce
    run(
        "hhcl",
        tmp_path if own else "synthetic",
        changes=["seed=5", "encoder.weights=random"],
        sweep="epochs=1,2",
        seeds=2,
        options=RunOptions(runs_root=tmp_path, device="cpu"),
        observer=heard.append,
    )
    assert (heard == []) == (rank == 1)
    assert [(run.epochs, run.seed) for run in runs] == [(1, 5), (1, 6), (2, 5), (2, 6)]


def test_a_run_that_cannot_go_on_holds_up_no_other_and_fails_the_command(call, monkeypatch):
    def run(recipe, *given):
        if recipe.epochs == 2:
            raise TrainingStopped("epoch 1: too few clusters")
        return {"last": None, "clusters": [3], "outliers": [4]}

    monkeypatch.setattr(tools.reproduce, "find_dataset", lambda *given: SimpleNamespace(dataset=1))
    monkeypatch.setattr(tools.reproduce, "require_consistent", lambda *given: None)
    monkeypatch.setattr(tools.reproduce, "run_recipe", run)
    several = ("reproduce", "hhcl", "synthetic", "--sweep", "epochs=2,1", "--device", "cpu")

    called = call(*several)
    assert called.code == 2
    assert "\nrun 1 of 2: epochs 2, seed 1\nwarning: epoch 1: too few" in called.out
    assert [line.split() for line in called.out.splitlines() if line.strip()[:1] in ("1", "2")] == [
        ["2", "1", "of", "1", "stopped"],
        ["1", "3", "4"],
    ]
    assert "1 of 2 runs stopped before their end" in called.err

    found = json.loads(call(*several, "--json").out)
    assert found[0]["stopped"] == "epoch 1: too few clusters"
    assert found[0].keys() == {"stopped", "settings", "seed"}
    assert "stopped" not in found[1]

    alone = call("reproduce", "hhcl", "synthetic", "--set", "epochs=2", "--device", "cpu")
    assert (alone.code, alone.err.count("too few clusters"), "runs stopped" in alone.err) == (
        2, 1, False,
    )  # fmt: skip
    assert "run 1 of 1" not in alone.out


def test_a_bad_value_of_a_sweep_is_found_before_the_first_run(call, monkeypatch):
    monkeypatch.setattr(tools.reproduce, "find_dataset", pytest.fail)
    called = call("reproduce", "hhcl", "synthetic", "--sweep", "epochs=1,many")
    assert called.code == 2
    assert "epochs=many" in called.err


def test_a_part_of_a_schedule_that_was_set_may_be_swept(call, monkeypatch):
    def reached(*args):
        raise UserError("reached")

    monkeypatch.setattr(tools.reproduce, "find_dataset", reached)
    kind = "clustering.eps=LinearEps(start=0.6)"
    called = call(
        "reproduce", "hhcl", "synthetic", "--set", kind, "--sweep", "clustering.eps.start=0.5,0.6"
    )
    assert "reached" in called.err
