"""The paper's recipe on a tree with the published names and counts of Market-1501."""

import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from common.batches import domain_batches
from common.data.datasets import load_dataset
from common.data.images import open_images
from common.data.tests.made import make_market1501
from common.job import DomainImages, Job
from common.optimizer import make_optimizer
from common.recipe_text import override
from common.run import RunDir
from common.streams import Streams
from common.team import Team
from common.training import train_epoch
from common.types import PseudoLabels
from methods.build import build_method
from methods.hhcl.recipes import MARKET1501
from tools import assemble

RANDOM = ("--set", "encoder.weights=random")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    image = io.BytesIO()
    # Noise: flat images through a network with random weights give numbers so small that
    # processors compute them many times slower.
    noise = np.random.default_rng(0).integers(0, 256, (128, 64, 3), np.uint8)
    Image.fromarray(noise).save(image, "JPEG")
    folder = tmp_path_factory.mktemp("data")
    make_market1501(folder, image.getvalue())
    return folder


def plain(text):
    return re.sub(r"\s+", " ", text)


def test_the_data_check_finds_the_published_counts_also_where_it_is_strict(call, root):
    command = ("data", "check", "market1501", "--data-root", root, "--no-images", "--strict")
    done = call(*command, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["sound"]
    assert found["warnings"] == []
    text = plain(call(*command).out)
    assert "12,936" in text
    assert text.endswith("images not read: sound. ")


def test_a_dry_run_prints_recipe_counts_and_costs(call, root):
    small = ("--set", "encoder.height=64", "--set", "encoder.width=32")  # cheaper to time
    done = call(
        "reproduce", "hhcl", "market1501", "--data-root", root, "--dry-run", *RANDOM, *small
    )
    assert done.code == 0, done.err
    said = plain(done.out + done.err)
    assert "12,936 train, 3,368 query, 15,913 gallery" in said
    assert "eps 0.45" in said
    assert "estimate: about" in said
    assert "beyond what the libraries take" in said


@pytest.fixture
def unreachable(monkeypatch, tmp_path):
    """No network and no weights on the disk; returns what was asked of the network."""
    asked = []

    def download(url, *arguments, **keywords):
        asked.append(url)
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    return asked


def test_missing_data_says_what_was_looked_for_before_weights_are_downloaded(
    call, tmp_path, unreachable
):
    done = call("reproduce", "hhcl", "market1501", "--data-root", tmp_path)
    assert done.code == 2
    said = plain(done.err)
    assert "Market-1501-v15.09.15" in said
    assert "--data-root" in said
    assert "Traceback" not in said
    assert unreachable == []


def test_missing_imagenet_weights_stop_the_run_before_images_are_opened(
    call, root, tmp_path, monkeypatch, unreachable
):
    monkeypatch.setattr(assemble, "check_dataset", None)
    done = call("reproduce", "hhcl", "market1501", "--data-root", root)
    assert done.code == 2
    said = plain(done.err)
    assert "resnet50-0676ba61.pth" in said
    assert unreachable == ["https://download.pytorch.org/models/resnet50-0676ba61.pth"]
    assert unreachable[0] in said
    assert str(tmp_path / "hub") in said.replace(" ", "")


@pytest.mark.slow
def test_twenty_real_iterations_of_the_paper_s_recipe(root, tmp_path):
    """ResNet-50 at 256 x 128, batch 256 in four batch-norm groups, on made images and labels."""
    recipe = override(MARKET1501, {"encoder.weights": "random", "sampling.iterations": "20"})
    method, job, pseudo = _prepared(recipe, root, tmp_path)
    features = torch.nn.functional.normalize(
        torch.randn(len(pseudo.labels), 2048, generator=torch.Generator().manual_seed(0)), dim=1
    )
    method.begin_epoch(0, features, pseudo)
    batches = domain_batches(method, job, pseudo.labels)
    losses = train_epoch(method, batches, make_optimizer(method), job, 0)
    assert set(losses) == {"hard", "mean"}
    assert all(np.isfinite(list(losses.values())))


def _prepared(recipe, root, folder):
    dataset = load_dataset("market1501", root)
    team, streams = Team(), Streams(recipe.seed)
    method = build_method(recipe, dataset, None, team, streams)
    samples = dataset.train
    images = open_images(samples, 256, 128, recipe.augment, team.device, kind="disk", workers=1)
    train = DomainImages(images, samples.cams, samples.paths)
    job = Job(dataset, train, None, None, None, streams, team, RunDir(folder), lambda event: None)
    return method, job, PseudoLabels(samples.pids, {"eps": 0.45})
