"""The estimate before a run: how many images it times, and what it multiplies."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from common.backbones.encoder import build_encoder
from common.errors import UserError
from common.streams import Streams
from common.team import ALONE, Team
from common.types import Dataset, Samples
from methods import METHODS
from methods.build import build_method
from tools import estimate as estimates
from tools import image_cost


def recipe_of(method):
    return replace(METHODS[method].find("synthetic"), epochs=5, eval_every=2)


RECIPE = recipe_of("hhcl")  # tests: first, 2, 4 and 5
STEPS = 5 * RECIPE.sampling.iterations * RECIPE.sampling.batch_size


MANY = estimates.MANY_IMAGES


def samples(count):
    paths = np.array([f"/d/{n}.jpg" for n in range(count)], dtype=object)
    return Samples(paths, np.zeros(count, np.int64), np.zeros(count, np.int64))


DATASET = Dataset("synthetic", "/d", samples(100), samples(10), samples(40))
SOURCE = Dataset("synthetic-b", "/b", samples(20), samples(0), samples(0))
LARGE = Dataset("synthetic", "/d", samples(MANY), samples(10), samples(40))


@pytest.fixture
def estimate(monkeypatch):
    def run(seconds, recipe=RECIPE, team=ALONE, dataset=DATASET, kind="host", workers=None):
        for module in (estimates, image_cost):
            monkeypatch.setattr(module, "timed", lambda call, device: seconds)
        monkeypatch.setattr(estimates, "usual_workers", lambda: 2)
        source = SOURCE if recipe.source else None
        method = build_method(recipe, dataset, source, team, Streams(1))
        return estimates.estimate(method, dataset, team, kind, workers)

    return run


def test_images_are_doubled_while_a_step_is_short_but_never_beyond_the_batch(estimate):
    assert estimate(image_cost.PROBE_SECONDS).images == image_cost.PROBE_IMAGES
    assert estimate(0.01).images == RECIPE.sampling.batch_size == 128


def test_steps_extractions_and_tests_of_the_whole_run_are_counted(estimate):
    seconds = estimate(8.0).hours * 3600  # one second for each of the eight images
    assert seconds == pytest.approx(STEPS + 5 * 100 + 4 * 50)


def test_images_that_stay_on_disk_are_read_for_every_view_and_fill_no_memory(estimate):
    kept, read = estimate(16.0), estimate(16.0, kind="disk")
    views = STEPS + 5 * 100 + 4 * 50
    assert (read.hours - kept.hours) * 3600 == pytest.approx(views * 16 / 8 / 2)  # by two workers
    assert (kept.memory - read.memory) * 1e9 == pytest.approx(150 * 3 * 64 * 32)
    for workers, faster in ((8, 4), (1, 0.5), (0, 0.5)):
        hours = estimate(16.0, kind="disk", workers=workers).hours
        assert hours - kept.hours == pytest.approx((read.hours - kept.hours) / faster)


def test_a_teacher_s_views_are_read_from_disk_too(estimate):
    kept, read = (estimate(8.0, recipe_of("dccc"), kind=kind).hours for kind in ("host", "disk"))
    assert (read - kept) * 3600 == pytest.approx((2 * STEPS + 5 * 100 + 4 * 2 * 50) / 2)


def test_images_are_read_in_the_recipe_s_size(monkeypatch):
    asked = []
    monkeypatch.setattr(estimates, "read_image", lambda *given: asked.append(given))
    monkeypatch.setattr(estimates, "normalize_image", lambda image: image)
    estimates._reading_seconds(DATASET.train, RECIPE.encoder)
    assert asked
    assert set(asked) <= {(path, 64, 32) for path in DATASET.train.paths}


def test_an_image_that_cannot_be_read_does_not_end_the_estimate():
    assert estimates._reading_seconds(DATASET.train, RECIPE.encoder) > 0  # no such files


def test_a_step_of_two_domains_has_two_batches(estimate):
    both = estimate(8.0, replace(RECIPE, source="synthetic-b"))
    assert both.hours - estimate(8.0).hours == pytest.approx(STEPS / 3600)


def test_a_teacher_s_passes_tests_and_weights_are_counted(estimate):
    alone, taught = estimate(8.0), estimate(8.0, recipe_of("dccc"))
    assert (taught.hours - alone.hours) * 3600 == pytest.approx(STEPS + 4 * 50)
    network = sum(t.nbytes for t in build_encoder(RECIPE.encoder).state_dict().values())
    assert (taught.disk - alone.disk) * 1e9 == pytest.approx(network)


def test_memory_holds_a_step_networks_moments_features_and_images(estimate, monkeypatch):
    image = image_cost.ImageCost(8, train=1.0, teach=1.0, extract=1.0, kept=1e6, passing=1e5)
    monkeypatch.setattr(estimates, "measured", lambda *given: image)
    encoder = build_encoder(RECIPE.encoder)
    network = sum(t.nbytes for t in encoder.state_dict().values())
    moments = 3 * sum(p.nbytes for p in encoder.parameters())  # with the gradients
    features, pixels = 2 * 100 * encoder.num_features * 4, 150 * 3 * 64 * 32
    alone = 128 * image.kept + network + moments + features + pixels
    monkeypatch.setattr(estimates, "free_bytes", lambda team: 3e9)
    cost = estimate(8.0)
    assert cost.memory * 1e9 == pytest.approx(alone)
    assert cost.disk * 1e9 == pytest.approx(network + 4 / 3 * moments)
    assert cost.room == 3.0
    taught = alone + 128 * image.passing + network  # by a pass and the weights of a teacher
    assert estimate(8.0, recipe_of("dccc")).memory * 1e9 == pytest.approx(taught)


def test_partners_that_the_encoder_learns_from_are_counted(estimate):
    alone, partners = estimate(8.0), estimate(8.0, recipe_of("dsgl"))
    assert (partners.hours - alone.hours) * 3600 == pytest.approx(STEPS)
    assert partners.memory > 1.5 * alone.memory


def test_a_bank_of_all_images_is_counted_and_spares_the_extraction_of_later_epochs(estimate):
    width = 128 * RECIPE.encoder.parts
    without, bank = estimate(8.0), estimate(8.0, recipe_of("spcl"))
    assert (bank.disk - without.disk) * 1e9 == pytest.approx(100 * width * 4, rel=0.01)
    assert (without.hours - bank.hours) * 3600 == pytest.approx(4 * 100)


def test_an_extraction_of_many_images_takes_more_memory_than_a_small_batch(estimate, monkeypatch):
    few = replace(RECIPE, sampling=replace(RECIPE.sampling, batch_size=8))
    monkeypatch.setattr(estimates, "EXTRACTED_AT_ONCE", 0)
    without = estimate(8.0, few)
    monkeypatch.setattr(estimates, "EXTRACTED_AT_ONCE", 100)
    assert estimate(8.0, few).memory > without.memory


def test_a_run_of_seconds_is_not_said_to_take_no_minute(estimate):
    assert "about 1 min of" in estimate(0.01, replace(RECIPE, epochs=1)).text()


def test_processes_share_the_time_and_the_batch(estimate):
    one, four = estimate(8.0), estimate(8.0, team=Team(size=4))
    assert four.hours == pytest.approx(one.hours / 4)
    assert four.memory < one.memory


def test_of_many_images_the_neighbor_search_of_every_epoch_is_counted(estimate, monkeypatch):
    monkeypatch.setattr(estimates, "PROBE_ROWS", 1000)
    labels = replace(RECIPE, supervised=True)
    searching = estimate(8.0, dataset=LARGE).hours - estimate(8.0, labels, dataset=LARGE).hours
    assert searching * 3600 == pytest.approx(5 * 8.0 * (MANY / 1000) ** 2)


def test_labels_of_many_images_need_memory(estimate, monkeypatch):
    monkeypatch.setattr(estimates, "PROBE_ROWS", 1000)
    more = replace(LARGE, train=samples(2 * MANY))
    grown = estimate(8.0, dataset=more).memory - estimate(8.0, dataset=LARGE).memory
    pixels = 3 * RECIPE.encoder.height * RECIPE.encoder.width
    features = 2 * 4 * 128 * RECIPE.encoder.parts
    assert grown * 1e9 == pytest.approx(MANY * (pixels + features + estimates.LABEL_BYTES))


def test_images_of_which_not_even_a_few_fit_into_memory_are_refused(estimate, monkeypatch):
    monkeypatch.setattr(image_cost, "host_room", lambda: 1e6)
    with pytest.raises(UserError, match="a step of 8 images of 64 x 32 pixels takes"):
        estimate(8.0)


@pytest.mark.parametrize("precision", ["exact", "fast"])
def test_nothing_is_timed_in_tf32_or_beside_a_search_for_algorithms(
    precision, estimate, monkeypatch
):
    cudnn = torch.backends.cudnn
    for name in ("allow_tf32", "benchmark"):  # as torch has it, and as another run has left it
        monkeypatch.setattr(cudnn, name, True)
    estimate(8.0, replace(RECIPE, precision=precision))
    assert not cudnn.allow_tf32
    assert not cudnn.benchmark


def test_a_cost_is_said_in_hours_or_minutes_and_with_how_it_was_measured():
    cost = estimates.Estimate(images=8, hours=0.5, memory=2.0, disk=0.1)
    rest = "2.0 GB of memory beyond what the libraries take, and 0.10 GB of disk"
    how = "measured on 8 images, multiplied out"
    assert cost.text() == f"about 30 min of computing, {rest} ({how})"
    assert replace(cost, hours=1.0).text() == f"about 1.0 h of computing, {rest} ({how})"
    assert "GB of memory in each of 2 processes" in replace(cost, processes=2).text()
    assert "8 images, before compiling," in replace(cost, compiled=True).text()


@pytest.mark.parametrize(
    ("room", "disk_room", "said"),
    [
        (2.0, 1.0, []),
        (0.5, 1.0, ["0.5 GB of memory that are free here"]),
        (2.0, 0.1, ["0.10 GB that are free on the disk of the run folder"]),
    ],
)
def test_what_the_machine_has_too_little_of_is_told(room, disk_room, said):
    cost = estimates.Estimate(images=8, hours=1.0, memory=1.0, disk=0.5, room=room)
    found = cost.shortages(disk_room)
    assert len(found) == len(said)
    assert all(part in text for part, text in zip(said, found, strict=True))


def test_seconds_are_those_of_the_device_that_computes(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    second_gpu = torch.device("cuda", 1)
    image_cost.timed(lambda: waited.append("work"), second_gpu)
    assert waited == [second_gpu, "work", second_gpu] * 3


def test_what_backward_needs_is_counted_once_also_where_a_layer_works_in_place():
    layers = [nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU(inplace=True)]
    images = torch.rand(8, 3, 4, 4)
    kept = image_cost._kept_bytes(nn.Sequential(*layers, *copy.deepcopy(layers)), images)
    assert kept == 5 * images.nbytes  # the images, and two maps of each group of layers


def test_what_a_pass_without_backward_holds_is_counted_as_long_as_it_is_held():
    layers = [nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU(inplace=True)]
    network = nn.Sequential(*layers, *copy.deepcopy(layers)).eval()
    images = torch.rand(8, 3, 4, 4)
    held = image_cost._passing_bytes(network, images)
    assert held == 3 * images.nbytes  # the images, what goes into a layer and what comes out


def test_of_the_images_only_the_counted_ones_count():
    method = build_method(RECIPE, DATASET, None, ALONE, Streams(1))
    cost = image_cost.measured(method, image_cost.PROBE_IMAGES, ALONE)
    two = torch.rand(2, 3, RECIPE.encoder.height, RECIPE.encoder.width)
    assert cost.passing == image_cost._passing_bytes(method.encoder, two) / 2
