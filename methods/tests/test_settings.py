"""Every setting of every recipe has an effect: changed alone, it changes what a run shows."""

import hashlib
import typing
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from common.recipe import DESCRIPTION, InfoMap
from common.recipe_text import flatten, override
from common.schedules import StepDecay
from common.training import train
from methods import METHODS
from methods.small_runs import small_data, small_job, small_recipe

# Values that show in two short epochs, where those of `other_values` do not.
TELLING = {
    "bn_chunks": "2",  # five parts of a batch of 16 are four
    "encoder.arch": "mobilenet_v2",
    "encoder.parts": "1",
    "encoder.weights": "other.pt",
    "clustering.min_samples": "7",
    "clustering.k1": "5",
    "clustering.k2": "1",
    "clustering.search": "Approximate(share=0.1)",
    "infomap.similarity": "0.9",
    "infomap.k2": "6",
    "infomap.trials": "10",
    "settings.share": "0.1",
    "settings.teacher_start": "1",
    "settings.temperature_floor": "0.06",
}
# Source and variant of the run in which a setting has an effect, where the main one has none.
RUNS = {
    ("spcl", "settings.order"): ("synthetic-b", ""),
    ("hdcpd", "settings.order"): ("synthetic-b", ""),
    ("hdcpd", "settings.update"): ("", "cluster-contrast"),
    ("hdcpd", "settings.distill_axis"): ("", "cluster-contrast"),
}


def recipe_for(method, name=""):
    """A run in which the setting has an effect, on small images that are hard to cluster."""
    paper = METHODS[method].find("synthetic", *RUNS.get((method, name), ("", "")))
    if name.startswith("infomap."):
        paper = replace(paper, clustering=InfoMap())
    recipe = small_recipe(paper)
    return replace(
        recipe,
        encoder=replace(recipe.encoder, height=16, width=8, parts=2),
        augment=replace(recipe.augment, pad=1),
        sampling=replace(recipe.sampling, iterations=2),
        lr_factor=StepDecay(every=1, factor=0.5),
    )


def settings_of(method):
    """All names that `--set` accepts; those of InfoMap where the method can use it.

    The share of an approximate search shows on more images than these: see its own tests.
    """
    names = [name for name in flatten(recipe_for(method)) if name.split(".")[0] not in DESCRIPTION]
    names.append("clustering.search")  # has no number of its own
    infomap = InfoMap in METHODS[method].clusterings
    return [*names, *flatten(InfoMap(), "infomap.")] if infomap else names


def cases():
    """Every method with its own settings, the shared ones with one method; the others are slow."""
    found, met = [], set()
    for method in METHODS:
        for name in settings_of(method):
            again = name in met and not name.startswith("settings.")
            marks = [pytest.mark.slow] if again else []
            found.append(pytest.param(method, name, id=f"{method}-{name}", marks=marks))
            met.add(name)
    return found


def other_values(recipe, name):
    """Every other word, the other truth, or another number."""
    *owners, last = name.split(".")
    owner = recipe
    for part in owners:
        owner = getattr(owner, part)
    value, hint = getattr(owner, last), typing.get_type_hints(type(owner))[last]
    if typing.get_origin(hint) is typing.Literal:
        return [word for word in typing.get_args(hint) if word != value]
    if isinstance(value, bool):
        return [str(not value)]
    if isinstance(value, int):
        return [str(value + 1)]
    if isinstance(value, float):
        return [str(value / 2 or 0.5)]
    return [",".join(str(part / 2) for part in value)]


class Differs(Exception):
    """A run has shown what the other did not."""


def digest(tensors):
    """One word for the names, shapes and bytes of tensors."""
    found = hashlib.sha256()
    for name, tensor in tensors:
        found.update(f"{name} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().contiguous().numpy().tobytes())
    return found.hexdigest()


@cache
def images(height, width):
    return small_data(per_id=6, size=(height, width), noise=60.0)


def shown(recipe, expected=None):
    """What a run shows, in order: weights, memory, labels, batches, losses, rates, scores.

    With `expected`, the run stops at the first thing that is another.
    """
    seen = []

    def see(*thing):
        seen.append(thing)
        if expected is not None and [thing] != expected[len(seen) - 1 : len(seen)]:
            raise Differs

    def see_state():
        see("state", digest([*method.named_parameters(), *method.named_buffers()]))

    def hear(event):
        if event["event"] == "test":
            see("test", event["epoch"], event["network"], event["map"])
        if event["event"] == "epoch":
            see("epoch", event["lr"], event["losses"])

    method, job = small_job(
        recipe, Path("run"), images(recipe.encoder.height, recipe.encoder.width)
    )
    job.observer = hear
    assign, step = method.assign, method.training_step

    def watched_assign(features, epoch):
        pseudo = assign(features, epoch)
        see("labels", pseudo.labels.tolist(), pseudo.details)
        return pseudo

    def watched_step(batch, source=None):
        see_state()
        see("batch", digest([("indices", batch.indices), *enumerate(batch.views)]))
        found = step(batch, source)
        see("losses", {name: float(loss.detach()) for name, loss in found.losses.items()})
        return found

    method.assign, method.training_step = watched_assign, watched_step
    try:
        see_state()
        train(method, job)
        see_state()
    except Differs:
        pass
    return seen


@cache
def unchanged(recipe):
    return shown(recipe)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A place for runs, and a file of initial weights in it."""
    place = tmp_path_factory.mktemp("settings")
    method, _ = small_job(recipe_for("hhcl"), place / "other", images(16, 8))
    tensors = {name: 2 * tensor for name, tensor in method.encoder.state_dict().items()}
    torch.save({"encoder": tensors}, place / "other.pt")
    return place


@pytest.fixture(autouse=True)
def there(folder, monkeypatch):
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_recipe_shows_the_same(method):
    recipe = recipe_for(method)
    assert shown(recipe) == unchanged(recipe)


@pytest.mark.parametrize(("method", "name"), cases())
def test_a_changed_setting_shows(method, name):
    recipe, setting = recipe_for(method, name), name.replace("infomap.", "clustering.")
    for value in [TELLING[name]] if name in TELLING else other_values(recipe, setting):
        changed = override(recipe, {setting: value})
        differs = shown(changed, unchanged(recipe)) != unchanged(recipe)
        assert differs, f"{setting}={value} has no effect"
