"""Whole runs on a few drawn patterns: what the contract tests of all methods stand on."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from common.data.cached_images import CachedImages
from common.job import DomainImages, Job
from common.method import Method
from common.recipe import Dbscan, Recipe
from common.run import RunDir
from common.schedules import Constant
from common.streams import Streams
from common.team import Team
from common.training import train
from common.types import Dataset, Samples
from methods.build import build_method

IDS, PER_ID = 12, 8


@dataclass(frozen=True)
class SmallData:
    """Colour patterns by identity with noise: easy to cluster from the first epoch."""

    dataset: Dataset
    pixels: torch.Tensor

    @property
    def test_order(self) -> np.ndarray:
        """Query images, then gallery images."""
        per_id = len(self.pixels) // IDS
        return np.argsort(np.arange(len(self.pixels)) % per_id != 0, kind="stable")


def small_data(
    seed: int = 0,
    cams: int = 2,
    per_id: int = PER_ID,
    size: tuple[int, int] = (32, 16),
    noise: float = 12.0,
) -> SmallData:
    """12 identities with a few images each.

    Args:
        per_id: images of an identity.
        size: height and width.
        noise: standard deviation, of 255; 12 leaves clusters beyond doubt.
    """
    g = torch.Generator().manual_seed(seed)
    looks = torch.randint(0, 256, (IDS, 3, 4, 2), generator=g).float()
    looks = torch.nn.functional.interpolate(looks, size, mode="nearest")
    pids = np.repeat(np.arange(IDS), per_id)
    pixels = looks[pids] + noise * torch.randn(len(pids), 3, *size, generator=g)
    pixels = pixels.clamp(0, 255).to(torch.uint8)
    names = np.array([f"{i:04d}.jpg" for i in range(len(pids))], dtype=object)
    samples = Samples(names, pids, np.arange(len(pids)) % cams)
    query = np.arange(0, len(pids), per_id)
    rest = np.setdiff1d(np.arange(len(pids)), query)
    return SmallData(Dataset("small", "", samples, samples.take(query), samples.take(rest)), pixels)


def small_recipe(recipe: Recipe) -> Recipe:
    """A recipe at the smallest size that still fills batches."""
    clustering = recipe.clustering
    if isinstance(clustering, Dbscan):
        clustering = replace(clustering, eps=Constant(0.6), k1=8, k2=3, min_samples=3)
    else:
        clustering = replace(clustering, similarity=0.3, k1=6, k2=2)
    return replace(
        recipe,
        encoder=replace(
            recipe.encoder, arch="tiny", pooling="parts", height=32, width=16, weights="random"
        ),
        augment=replace(recipe.augment, pad=2),
        sampling=replace(recipe.sampling, batch_size=16, instances=4, iterations=3),
        clustering=clustering,
        lr=3e-4,  # small, so that rounding stays small: Adam makes a step of any gradient
        epochs=2,
        bn_chunks=4,
        eval_every=1,
    )


def small_job(
    recipe: Recipe, folder: Path, data: SmallData, team: Team | None = None
) -> tuple[Method, Job]:
    """Method and job of a small run; a source domain is other patterns."""
    team = team or Team()
    size = recipe.encoder.height, recipe.encoder.width
    per_id = len(data.pixels) // IDS
    source = small_data(seed=9, per_id=per_id, size=size) if recipe.source else None
    streams = Streams(recipe.seed)
    method = build_method(recipe, data.dataset, source.dataset if source else None, team, streams)
    folder.mkdir(parents=True, exist_ok=True)
    job = Job(
        dataset=data.dataset,
        train=_images(data, recipe, team),
        test=CachedImages(data.pixels[data.test_order], recipe.augment.pad, team.device),
        source=_images(source, recipe, team) if source else None,
        source_pids=source.dataset.train.pids if source else None,
        streams=streams,
        team=team,
        run=RunDir(folder),
        observer=lambda event: None,
    )
    return method, job


def run_small(
    recipe: Recipe, folder: Path, data: SmallData, *, resume: bool = False, team: Team | None = None
) -> Method:
    """Train; the run folder is `folder`."""
    method, job = small_job(recipe, folder, data, team)
    train(method, job, resume=resume)
    return method


def _images(data: SmallData, recipe: Recipe, team: Team) -> DomainImages:
    images = CachedImages(data.pixels, recipe.augment.pad, team.device)
    return DomainImages(images, data.dataset.train.cams, data.dataset.train.paths)
