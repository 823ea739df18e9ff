"""A made run, and its page."""

from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from common.recipe import Dbscan, PaperResult, Recipe
from common.schedules import ExponentialEps
from common.types import Samples
from tools.report import ReportInputs
from tools.report.page import page


@dataclass(frozen=True)
class Settings:
    momentum: float = 0.1


RECIPE = Recipe(
    "hhcl",
    "market1501",
    Settings(),
    epochs=3,
    clustering=Dbscan(eps=ExponentialEps(0.7)),
    paper=PaperResult(map=84.2, rank1=93.4, source="README"),
)


def features(count, seed):
    found = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def epoch_event(epoch):
    return {
        "event": "epoch",
        "epoch": epoch,
        "losses": {"contrast": 2.0 / (epoch + 1), "distill": 1.0},
        "clusters": 5 + epoch,
        "outliers": 9 - epoch,
        "eps": 0.7 * 0.99**epoch,
        "lr": 3.5e-4,
        "seconds": {"features": 1.0, "clustering": 0.5, "training": 3.0},
    }


def score_event(epoch, value):
    scores = {"map": value, "rank1": value + 0.1, "rank5": value + 0.2, "rank10": value + 0.3}
    return {"event": "test", "epoch": epoch, "network": "encoder", **scores}


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    """`samples(count, seed)`: images of six identities, one colour each."""
    folder = tmp_path_factory.mktemp("images")

    def made(count, seed, name="p{}.jpg"):
        rng = np.random.default_rng(seed)
        paths = [folder / name.format(f"{seed}_{i}") for i in range(count)]
        for path in paths:
            Image.new("RGB", (16, 32), tuple(rng.integers(0, 255, 3))).save(path)
        paths = np.array([str(path) for path in paths], dtype=object)
        return Samples(paths, np.arange(count) % 6, rng.integers(0, 3, count))

    return made


@pytest.fixture(scope="session")
def inputs(samples):
    """A run of three epochs, tested before and after, with everything that a page can show."""
    train, query, gallery = samples(36, 1), samples(18, 2), samples(30, 3)
    labels = np.where(np.arange(36) < 30, train.pids, -1)
    labels[:3] = 4
    return ReportInputs(
        recipe=RECIPE,
        events=[score_event(-1, 0.1), *map(epoch_event, range(3)), score_event(2, 0.5)],
        result={
            "start": score_event(-1, 0.1),
            "last": score_event(2, 0.5),
            "best": score_event(2, 0.5),
            "references": [{"name": "chance", "map": 0.0123, "rank1": 0.02}],
            "reference_curve": {"map": [[0, 0.2], [2, 0.55]], "clusters": [[0, 4], [2, 8]]},
        },
        environment={
            "versions": {"python": "3.11"},
            "changes": ["clustering.min_samples=8"],
            "deviations": ["precision fast: rounding differs from float32."],
        },
        train=train,
        train_features=features(36, 1),
        labels=labels,
        truth=train.pids,
        query=query,
        query_features=features(18, 2),
        gallery=gallery,
        gallery_features=features(30, 3),
    )


@pytest.fixture(scope="session")
def full(inputs):
    """The page of these inputs."""
    return page(inputs)
