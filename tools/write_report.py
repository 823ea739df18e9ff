"""The page of a run: features of the images in its pictures, and everything else it shows."""

from pathlib import Path
from typing import Any

import numpy as np

from common.arithmetic import set_arithmetic
from common.evaluator.extract import extract
from common.progress import progress_of
from common.run import Observer, RunDir, ticks
from common.team import Team, join_team
from common.types import Dataset
from tools.assemble import domain_images, test_images
from tools.options import RunOptions
from tools.origin import Moved, load_again, stored_recipe
from tools.report import ReportInputs, write_page
from tools.report.maps import mapped_images
from tools.weights import trained_encoder


def write_report(
    run: Path, *, moved: Moved | None = None, options: RunOptions, observer: Observer
) -> Path:
    """Write `report/index.html` of a run, finished or not; returns its path.

    The network of the best test (or of the last epoch) sees the test images once more, and of the
    training images those that the map shows.

    Args:
        moved: where the run's data lie now.

    Raises:
        UserError: no run there, no completed epoch, or the images are gone.
    """
    set_arithmetic("exact")
    folder = RunDir.open(run)
    recipe = stored_recipe(folder)
    dataset = load_again(folder, "dataset", moved)
    labels, progress = _last(folder, len(dataset.train))
    events, result = folder.events(), _result(folder, progress)
    device = join_team(options.device).device
    team = Team(device=device)  # one process writes the page
    encoder = trained_encoder(run, recipe).place_on(device)
    truth = _identities(dataset)
    mapped = dataset.train.take(mapped_images(labels, truth))
    train = domain_images(mapped, recipe, options, team, observer).images
    test = test_images(dataset, recipe, options, team, observer)
    tick = ticks(observer, "features")
    tested = _tested(dataset, extract(encoder, test, team, tick).cpu().numpy()) if test else {}
    train_features = extract(encoder, train, team, tick).cpu().numpy()
    ticks(observer, "writing the page")(0, 1)
    inputs = ReportInputs(
        recipe=recipe,
        events=events,
        result=result,
        environment=folder.read_json("environment.json"),
        train=dataset.train,
        train_features=train_features,
        labels=labels,
        truth=truth,
        cam_names=dataset.cam_names,
        **tested,
    )
    return write_page(folder.path / "report", inputs)


def _identities(dataset: Dataset) -> np.ndarray | None:
    """True training identities for pictures and purity figures only; None where unknown."""
    pids = dataset.train.pids
    return pids if len(pids) and (pids >= 0).all() else None


def _last(run: RunDir, images: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Labels and progress of the checkpoint; a memory bank that it holds is let go again."""
    state = run.load("last.pt")
    with run.reading("last.pt"):
        labels = state["labels"].numpy()
        kind = (labels.shape, labels.dtype)
        if kind != ((images,), np.int64) or labels.min() < -1 or labels.max() >= images:
            raise ValueError(f"no labels of {images} images")
        return _outliers_apart(labels), vars(progress_of(state))


def _outliers_apart(labels: np.ndarray) -> np.ndarray:
    """-1 for every outlier, also where each is a class of its own, as in SpCL and HDCPD."""
    sizes = np.bincount(labels + 1)  # -1 first
    return np.where(sizes[labels + 1] > 1, labels, -1)


def _tested(dataset: Dataset, features: np.ndarray) -> dict[str, Any]:
    """The test part with its features; nothing where no image is a fixed query (VehicleID)."""
    if not (queries := len(dataset.query)):
        return {}
    return {
        "query": dataset.query,
        "query_features": features[:queries],
        "gallery": dataset.gallery,
        "gallery_features": features[queries:],
    }


def _result(folder: RunDir, progress: dict[str, Any]) -> dict[str, Any]:
    """The stored result, or what the checkpoint of an unfinished run knows."""
    if (folder.path / "result.json").is_file():
        return folder.read_json("result.json")
    return {"name": folder.path.name, "run": str(folder.path), **progress}
