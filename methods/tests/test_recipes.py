"""Every recipe trains a step with the network and the image size it names, on made images."""

import math
from dataclasses import replace

import pytest

from common.instances import InstanceMemory
from common.recipe import Sampling
from common.run import RunDir
from common.training import train
from common.types import PseudoLabels
from methods import METHODS
from methods.small_runs import small_data, small_job

LEAST_CLUSTERS = 3  # DSGL compares three


def decisive(recipe):
    """What decides a step: recipes that share it differ by data set, radius, rate or length."""
    return (
        *(recipe.method, recipe.settings, recipe.encoder, recipe.bn_chunks, recipe.supervised),
        *(bool(recipe.source), type(recipe.clustering)),
        *(recipe.sampling.instances > 0, recipe.sampling.cameras),
    )


def different():
    """The first recipe of every kind of step."""
    found = {}
    for spec in METHODS.values():
        for recipe in (spec.user_recipe, *spec.recipes):
            found.setdefault(decisive(recipe), recipe)
    return list(found.values())


def name(recipe):
    parts = recipe.method, recipe.dataset, recipe.source, recipe.variant
    return "-".join(part for part in parts if part)


def one_step(recipe):
    """The recipe for one step of the smallest batch: two images in every batch-norm group."""
    size = max(2 * recipe.bn_chunks, 4)
    cameras = recipe.sampling.cameras
    return replace(
        recipe,
        encoder=replace(recipe.encoder, weights="random"),
        sampling=Sampling(batch_size=size, instances=4, iterations=1, cameras=cameras),
        epochs=1,
    )


def copies(named):
    return {key: tensor.detach().clone() for key, tensor in named}


def unmoved(before, named):
    return [key for key, tensor in named if (tensor == before[key]).all()]


def trained(recipe, folder):
    """A step by the training loop: method, losses, networks and memory before it."""
    data = small_data(per_id=2, size=(recipe.encoder.height, recipe.encoder.width))
    method, job = small_job(recipe, folder, data)
    job.test = None
    before, heard = {}, []
    job.observer = heard.append
    assign, step = method.assign, method.training_step

    def own_or_given(features, epoch):
        """The recipe's clustering, or the identities where it finds too little to train on."""
        pseudo = assign(features, epoch)
        few = pseudo.num_clusters < LEAST_CLUSTERS
        return PseudoLabels(data.dataset.train.pids) if few else pseudo

    def watched(batch, source=None):
        before["weights"] = copies(method.encoder.named_parameters())
        before["memory"] = copies(method.memory.named_buffers())
        return step(batch, source)

    method.assign, method.training_step = own_or_given, watched
    train(method, job)
    del method.assign, method.training_step  # they hold the method, up to 600 MB, in a circle
    (losses,) = [event["losses"] for event in heard if event["event"] == "epoch"]
    return method, losses, before


def check_step(recipe, folder, monkeypatch):
    """Losses are finite; all weights and the memory move, of both domains if there are two."""
    monkeypatch.setattr(RunDir, "save", lambda *arguments: None)  # a checkpoint has 300 MB
    method, losses, before = trained(one_step(recipe), folder)
    assert losses
    assert all(math.isfinite(loss) for loss in losses.values())
    learnable = [(key, p) for key, p in method.encoder.named_parameters() if p.requires_grad]
    assert unmoved(before["weights"], learnable) == []
    assert unmoved(before["memory"], method.memory.named_buffers()) != list(before["memory"])
    assert bool(recipe.source) == any(".source." in key for key, _ in learnable)
    if isinstance(method.memory, InstanceMemory):
        moved = (method.memory.bank != before["memory"]["bank"]).any(dim=1)
        first = method.memory.num_source
        assert moved[first:].any()
        assert moved[:first].any() == bool(recipe.source)


RESNET = METHODS["clustercontrast"].find("market1501")
QUICK = [spec.user_recipe for spec in METHODS.values()]
QUICK += [replace(RESNET, encoder=replace(RESNET.encoder, height=64, width=32))]


@pytest.mark.parametrize("recipe", QUICK, ids=name)
def test_a_recipe_trains_a_step(recipe, tmp_path, monkeypatch):
    """Every method with MobileNetV2 as on own images, and one ResNet-50 on smaller ones."""
    check_step(recipe, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", different(), ids=name)
def test_every_recipe_trains_a_step(recipe, tmp_path, monkeypatch):
    """All together took 8 minutes of one CPU core, of which the 49 ResNets nearly everything."""
    check_step(recipe, tmp_path, monkeypatch)
