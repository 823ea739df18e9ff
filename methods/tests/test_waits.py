"""No iteration of any method waits for the device; an epoch waits when its losses are read."""

import warnings
from collections import Counter
from dataclasses import fields, replace
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from common import training
from common.batches import domain_batches
from common.clustering import cluster, compiled
from common.data.augment import draw_batch
from common.data.cached_images import CachedImages
from common.data.request import Request
from common.evaluator.retrieval import evaluate
from common.optimizer import make_optimizer
from common.recipe import Augment, Dbscan
from common.schedules import Constant
from common.streams import Streams
from common.team import Team
from common.tests.pretended_gpu import pretended_gpu
from common.tests.waits import TO_HOST, waits
from common.types import PseudoLabels
from methods import METHODS
from methods.small_runs import small_data, small_job, small_recipe

ON_THE_HOST = {
    "common/data/sampler.py identity_pass": "batches are planned on the host",
    "common/data/augment.py draw_batch": "so is what chance decides about them",
    "common/data/host_batch.py host_batch": "the form for CPUs alone",
    "common/backbones/dropout.py forward": "masks are drawn there",
}
"""Where tensors lie on the host in a run on a GPU too, and why."""

AT_THE_END = Counter(
    {
        "cpu in common/training.py train_epoch": 1,
        "aten.nonzero in common/training.py _require_finite": 1,
        "tolist in common/training.py train_epoch": 1,
    }
)
"""How the losses of an epoch are read, after its last iteration."""


def variants():
    """Recipes for drawn data that differ in their step, then plain ones with a setting changed."""
    found = {}
    for name, spec in METHODS.items():
        drawn = [recipe for recipe in spec.recipes if recipe.dataset == "synthetic"]
        changed = [
            replace(drawn[0], settings=settings) for settings in other_settings(drawn[0].settings)
        ]
        for recipe in (*drawn, *changed):
            found.setdefault((name, recipe.source, recipe.settings), recipe)
    plain = found["hhcl", "", METHODS["hhcl"].find("synthetic").settings]
    with_dropout = replace(plain, encoder=replace(plain.encoder, dropout=0.3))
    return [*found.values(), with_dropout]


def other_settings(settings):
    """Every other word, every switch turned, and everything that is off at 0 turned on."""
    hints = get_type_hints(type(settings))
    for field in fields(settings):
        hint, now = hints[field.name], getattr(settings, field.name)
        values = get_args(hint) if get_origin(hint) is Literal else ()
        values = (not now,) if hint is bool else values
        values = (0.1,) if hint is float and now == 0 else values
        yield from (replace(settings, **{field.name: v}) for v in values if v != now)


def named(recipe):
    plain, chosen = type(recipe.settings)(), recipe.settings
    names = [field.name for field in fields(plain)]
    changes = [n for n in names if getattr(plain, n) != getattr(chosen, n)]
    said = (f"{name}={getattr(chosen, name)}" for name in changes)
    dropout = "dropout" if recipe.encoder.dropout else ""
    return "-".join(filter(None, (recipe.method, recipe.source, *said, dropout)))


def started(recipe, folder, iterations, team=None):
    """What `train_epoch` is called with at the start of an epoch, labels and features made up."""
    recipe = small_recipe(recipe)
    sampling = replace(recipe.sampling, iterations=iterations)
    # In precision exact torch's Adam counts its steps on the host, which looks like a wait here.
    recipe = replace(recipe, sampling=sampling, precision="fast")
    data = small_data()
    method, job = small_job(recipe, folder, data, team)
    g = torch.Generator().manual_seed(0)
    features = torch.randn(len(data.pixels), method.encoder.num_features, generator=g)
    features = F.normalize(features, dim=1).to(job.team.device)
    method.begin_training(lambda domain: features)
    labels = data.dataset.train.pids
    method.begin_epoch(0, features, PseudoLabels(labels))
    batches = domain_batches(method, job, labels)
    return method, batches, make_optimizer(method), job


@pytest.mark.parametrize("recipe", variants(), ids=named)
def test_no_iteration_waits_for_the_device(recipe, tmp_path):
    epoch = started(recipe, tmp_path, iterations=1)
    with waits() as found:
        training.train_epoch(*epoch, epoch=0)
    there = Counter(entry for entry in found if entry.split(" in ")[1] not in ON_THE_HOST)
    assert there == AT_THE_END


STEPS = [pytest.param(r, marks=() if named(r) == "hdcpd" else pytest.mark.slow) for r in variants()]


@pytest.mark.skipif(torch.cuda.is_available(), reason="the tests for GPUs say it")
@pytest.mark.parametrize("recipe", STEPS, ids=map(named, variants()))
def test_all_that_a_step_touches_lies_on_the_device(recipe, tmp_path):
    with pretended_gpu() as device:
        method, batches, optimizer, job = started(recipe, tmp_path, 1, Team(device=device))
        for iteration, (batch, source) in enumerate(batches):
            step = method.training_step(batch, source)  # pretending ends where backward begins
            for parameter in optimizer.param_groups[0]["params"]:
                parameter.grad = torch.zeros_like(parameter)
            optimizer.step()
            method.after_step(job.team.gather(step.update), iteration)
            assert {loss.device for loss in step.losses.values()} == {device}


@pytest.mark.skipif(torch.cuda.is_available(), reason="the tests for GPUs say it")
def test_labels_and_scores_of_features_on_the_device_are_those_of_the_host():
    samples, g = small_data(per_id=25).dataset.train, torch.Generator().manual_seed(0)
    persons, noise = (torch.randn(count, 32, generator=g) for count in (12, len(samples)))
    features = F.normalize(persons[samples.pids] + 0.6 * noise, dim=1)
    settings, shown = Dbscan(eps=Constant(0.6)), samples.take(slice(0, 20))
    labels = cluster(features, settings, 0, samples.cams).labels
    scores = evaluate(features[:20], shown, features, samples)
    with pretended_gpu() as device:
        there, team = features.to(device), Team(device=device)
        assert np.array_equal(cluster(there, settings, 0, samples.cams).labels, labels)
        found = evaluate(there[:20], shown, there, samples, team=team)
    assert (found.map, found.rank(1)) == (scores.map, scores.rank(1))


class Copied(TorchFunctionMode):
    """Notes the shapes of tensors that are copied to the host."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in TO_HOST:
            self.shapes.append(tuple(args[0].shape))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", METHODS)
def test_features_stay_on_the_device_from_extraction_to_the_memory(name, tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "usable", lambda features: False)  # the form for GPUs
    recipe = small_recipe(METHODS[name].find("synthetic"))
    method, job = small_job(recipe, tmp_path, small_data())

    def features_of(domain):
        return training.features_of(method, job, domain)

    with Copied() as copied:
        method.begin_training(features_of)
        features = method.clustering_features(features_of)
        pseudo = method.assign(features, 0)
        method.begin_epoch(0, features, pseudo)

    width = features.shape[1]
    assert copied.shapes  # ranks or distances at least
    assert [shape for shape in copied.shapes if shape[-1:] == (width,)] == []


@pytest.mark.parametrize("home", ["device", "host"])
def test_batches_are_made_on_the_device_without_waiting(home):
    device = torch.device("meta")  # holds no values: nothing can be read from it
    pixels = small_data().pixels.to(device if home == "device" else "cpu")
    index = np.arange(8)
    draw = draw_batch(Streams(1)["augment"], len(index), *pixels.shape[2:], Augment(pad=3))
    requests = [Request(index[:, None], (draw,)), Request(index[:, None], None)]
    with waits() as found:
        views = [view for (view,) in CachedImages(pixels, 3, device).batches(requests)]
    assert found == []
    assert [view.shape for view in views] == [(8, 3, 32, 16)] * 2


@pytest.mark.gpu
@pytest.mark.parametrize("recipe", variants(), ids=named)
def test_more_iterations_make_a_gpu_wait_no_more_often(recipe, tmp_path):
    waited = []
    for iterations in (1, 1, 4):  # the first epoch loads libraries, and may wait for that
        epoch = started(recipe, tmp_path, iterations, Team(device=torch.device("cuda")))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                training.train_epoch(*epoch, epoch=0)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        waited.append(sum("synchronizing" in str(warning.message) for warning in caught))
    assert waited[1] == waited[2]
