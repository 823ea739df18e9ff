"""What every method must fulfil, whatever it computes."""

import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from common import training
from common.optimizer import make_optimizer
from common.progress import restore
from common.run import RunDir
from common.saver import Saver
from common.schedules import StepDecay
from common.team import start_team
from common.training import train
from common.types import Retrieval
from methods import METHODS
from methods.small_runs import run_small, small_data, small_job, small_recipe

pytestmark = pytest.mark.usefixtures("one_thread")
MAPS = Path("/proc/self/maps")
KEYS = {
    "spcl": [("", ""), ("synthetic-b", ""), ("synthetic-b", "clean")],
    "clustercontrast": [("", ""), ("", "hard"), ("", "infomap"), ("", "no-cameras")],
    "hhcl": [("", "")],
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
def test_a_resumed_run_ends_bit_equal_to_an_uninterrupted_one(
    finished, data, tmp_path, name, monkeypatch
):
    folder, whole = finished(name)
    recipe = small_recipe(RECIPES[name])
    with monkeypatch.context() as patch:  # as on a GPU, while the rest writes as on a CPU
        patch.setattr(training, "Saver", lambda run, beside: Saver(run, beside=True))
        run_small(replace(recipe, epochs=1), tmp_path / "run", data)
    resumed = run_small(recipe, tmp_path / "run", data, resume=True)
    equal_states(whole.state_dict(), resumed.state_dict())
    equal_states(dict(whole.memory.named_buffers()), dict(resumed.memory.named_buffers()))
    one, two = RunDir(folder).load("last.pt"), RunDir(tmp_path / "run").load("last.pt")
    assert torch.equal(one["labels"], two["labels"])
    assert one["progress"]["best"] == two["progress"]["best"]


@pytest.mark.skipif(not MAPS.exists(), reason="the system does not list what is mapped")
def test_a_resumed_run_lets_go_of_the_checkpoint_whose_place_the_next_one_takes(finished, data):
    folder, _ = finished("dccc")
    method, job = small_job(small_recipe(RECIPES["dccc"]), folder, data)
    optimizer = make_optimizer(method)
    restore(method, optimizer, job)
    assert str(folder) not in MAPS.read_text()
    assert optimizer.state_dict()["state"]


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


def test_the_best_is_the_better_network_of_the_first_best_test_after_training(
    data, tmp_path, monkeypatch
):
    recipe = small_recipe(RECIPES["dccc"])
    recipe = replace(recipe, sampling=replace(recipe.sampling, iterations=1))
    method, job = small_job(replace(recipe, epochs=3, eval_every=2), tmp_path, data)
    maps = iter([0.9, 0.1, 0.2, 0.5, 0.5, 0.4])  # student, teacher; before, epochs 1 and 2
    teachers = []

    def scored(*given, team):
        teachers.append({name: t.clone() for name, t in method.teacher.state_dict().items()})
        return Retrieval(next(maps), np.ones(10), 1)

    monkeypatch.setattr("common.training.evaluate_dataset", scored)
    progress = train(method, job)

    tested = (progress.start, progress.best, progress.last)
    assert [(scores["epoch"], scores["network"], scores["map"]) for scores in tested] == [
        (-1, "student", 0.9),
        (1, "teacher", 0.5),
        (2, "student", 0.5),
    ]
    best = job.run.load("best.pt")
    assert (best["epoch"], best["network"]) == (1, "teacher")
    equal_states(best["encoder"], teachers[3])


def adam(parameters, settings):
    """One step after another, as defined; weight decay is added to the gradient (Kingma and Ba)."""
    first, second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    values = [p.detach().clone() for p in parameters]
    for step in count(1):
        rates, gradients = yield values
        for i, (rate, gradient) in enumerate(zip(rates, gradients, strict=True)):
            g = gradient + settings.weight_decay * values[i]
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g**2
            size = (second[i] / (1 - 0.999**step)).sqrt() + 1e-8
            values[i] = values[i] - rate * first[i] / (1 - 0.9**step) / size


def test_every_iteration_is_a_step_of_adam_on_the_sum_of_the_losses_at_the_epoch_s_rate(
    data, tmp_path
):
    recipe = small_recipe(RECIPES["multiqueue"])  # its temperature has a rate of its own
    recipe = replace(recipe, lr_factor=StepDecay(1, 0.5), epochs=3, weight_decay=0.1)
    method, job = small_job(recipe, tmp_path, data)
    (extra,) = method.extra_parameters()
    learnt = [p for p in method.encoder.parameters() if p.requires_grad]
    rates = [recipe.lr] * len(learnt) + [extra.lr]
    learnt += extra.parameters
    expected = adam(learnt, recipe)
    wanted, steps, compute = next(expected), [], method.training_step

    def watched(batch, source=None):
        nonlocal wanted
        assert method.encoder.training
        for parameter, value in zip(learnt, wanted, strict=True):
            torch.testing.assert_close(parameter.detach(), value, rtol=0, atol=1e-6)
        found = compute(batch, source)
        (loss,) = found.losses.values()
        found = replace(found, losses={"once": loss, "twice": 2 * loss})
        gradients = torch.autograd.grad(3 * loss, learnt, retain_graph=True)
        factor = recipe.lr_factor(len(steps) // recipe.sampling.iterations)
        wanted = expected.send(([factor * rate for rate in rates], gradients))
        steps.append(factor)
        return found

    method.training_step, job.test = watched, None
    train(method, job)
    assert steps == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]


def test_an_epoch_tells_every_iteration_the_means_of_its_losses_and_what_a_method_watches(
    data, tmp_path
):
    method, job = small_job(replace(small_recipe(RECIPES["hhcl"]), epochs=1), tmp_path, data)
    compute, losses, heard = method.training_step, [], []

    def watched(batch, source=None):
        step = compute(batch, source)
        losses.append([float(loss.detach()) for loss in step.losses.values()])
        return step

    method.training_step, job.test, job.observer = watched, None, heard.append
    method.watched = lambda: {"temperature": 0.05}
    train(method, job)
    (event,) = [event for event in heard if event["event"] == "epoch"]
    assert list(event["losses"].values()) == pytest.approx(np.mean(losses, axis=0).tolist())
    assert event["temperature"] == 0.05
    done = [(e["done"], e["total"]) for e in heard if e.get("what") == "training"]
    assert done == [(1, 3), (2, 3), (3, 3)]


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


def run_program(text, folder, names, processes):
    """All runs in one team of processes; their names as the program has them."""
    program = folder / "program.py"
    program.write_text(text)
    keys = ["/".join((r.method, r.source, r.variant)) for r in (RECIPES[n] for n in names)]
    assert start_team(processes, [sys.executable, str(program), str(folder), *keys]) is None
    return keys


def run_team(folder, names, processes):
    """Final states by rank of all runs."""
    keys = run_program(PROGRAM, folder, names, processes)
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
            assert one["losses"] == pytest.approx(two["losses"], rel=1e-4)


PRETENDED = """
import sys, torch
from dataclasses import replace
from pathlib import Path
from common import training
from common.saver import Saver
from common.tests.pretended_gpu import pretended_gpu
from common.team import join_team, leave_team
from methods.small_runs import run_small, small_data, small_recipe
from methods import METHODS

def minimize(step, optimizer, learnable, team):  # pretending ends where backward begins
    for parameter in learnable:
        parameter.grad = torch.zeros_like(parameter)
    team.average_gradients(learnable)
    optimizer.step()

def saver(run, beside):
    assert beside, "the epochs of a GPU wait for their checkpoints"
    return Saver(run, beside)

torch.set_num_threads(1)
training.minimize, training.Saver = minimize, saver
team = join_team("cpu")
for key in sys.argv[2:]:
    name, source, variant = key.split("/")
    recipe = small_recipe(METHODS[name].find("synthetic", source, variant))
    with pretended_gpu() as device:
        folder = Path(sys.argv[1]) / key.replace("/", "-")
        run_small(recipe, folder, small_data(), team=replace(team, device=device))
leave_team(team)
"""


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="a real one cannot be pretended")
def test_processes_with_a_gpu_each_exchange_what_lies_there_alone(tmp_path):
    run_program(PRETENDED, tmp_path, MAIN, 2)
    assert len(list(tmp_path.glob("*/best.pt"))) == len(MAIN)
