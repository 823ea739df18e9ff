"""A method and its job on made images, for timing the loop that trains."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from common.backbones.encoder import Encoder
from common.data.cached_images import CachedImages
from common.data.request import Request, Views
from common.job import DomainImages, Job
from common.method import Method
from common.recipe import Recipe
from common.run import Observer, RunDir
from common.streams import Streams
from common.team import Team
from common.types import Dataset, Domain, Extract, Samples
from methods.build import build_method
from tools.benchmarks.reid_features import reid_like_features

IDENTITIES, CAMERAS = 750, 6


class FirstImages:
    """All images for training, and the first ones for an extraction.

    In place of the others an extraction gets rows of features, which `_let_rows_through` makes the
    encoder pass on: it is cut short, and what comes after it has its full size.

    Args:
        images: N images.
        rows: (N, D), or None where all images are extracted.
        wanted: images to extract; the batch that reaches the number is the last one.
    """

    def __init__(self, images: CachedImages, rows: Tensor | None, wanted: int) -> None:
        self.images = images
        self.rows = rows
        self.wanted = wanted
        self.extracted = 0

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, requests: Iterable[Request]) -> Iterator[Views]:
        for request in requests:
            if request.draws is not None:
                yield from self.images.batches([request])
                continue
            first, last = int(request.indices[0, 0]), int(request.indices[-1, 0])
            if self.rows is None or first < self.wanted:
                self.extracted = max(self.extracted, last + 1)
                yield from self.images.batches([request])
            else:
                yield (self.rows[first : last + 1],)


def made_job(
    recipe: Recipe,
    images: tuple[int, int, int],
    extracted: int,
    team: Team,
    run: RunDir,
    observer: Observer,
    steps: int,
) -> tuple[Method, Job, FirstImages, FirstImages, Tensor]:
    """A method that trains on noise with the labels of drawn features.

    Noise through random weights gives features that do not cluster. They are extracted all the
    same, and replaced by as many drawn ones that cluster like those of re-identification.

    Args:
        images: training, query and gallery images, kept on the team's device.
        extracted: images of each part that an extraction takes; 0 for all.
        steps: of the schedule, which decide whether the network is compiled.

    Returns:
        The method, its job, the images of training and of the test, the (N, D) drawn features.
    """
    dataset = _dataset(images)
    streams = Streams(recipe.seed)
    method = build_method(recipe, dataset, None, team, streams, steps=steps)
    width = method.encoder.num_features
    on = str(team.device)
    drawn = reid_like_features(images[0], width, device=on)
    _use_drawn(method, drawn)
    tested = images[1] + images[2]
    rows = reid_like_features(tested, width, device=on) if extracted else None
    train = FirstImages(_noise(images[0], recipe, team), drawn if extracted else None, extracted)
    test = FirstImages(_noise(tested, recipe, team), rows, extracted)
    for encoder in method.evaluated().values():
        _let_rows_through(encoder)
    job = Job(
        dataset=dataset,
        train=DomainImages(train, dataset.train.cams, dataset.train.paths),
        test=test,
        source=None,
        source_pids=None,
        streams=streams,
        team=team,
        run=run,
        observer=observer,
    )
    return method, job, train, test, drawn


def _let_rows_through(encoder: Encoder) -> None:
    """Make the encoder give back rows of features unchanged."""
    compute = encoder.forward

    def forward(images: Tensor) -> Tensor:
        return images if images.ndim == 2 else compute(images)

    encoder.forward = forward  # type: ignore[method-assign]


def _use_drawn(method: Method, drawn: Tensor) -> None:
    """Give the method drawn features where it asks for extracted ones, after extracting them."""

    def after(extract: Extract) -> Extract:
        def replaced(domain: Domain) -> Tensor:
            extract(domain)
            return drawn.clone()

        return replaced

    for name in ("begin_training", "clustering_features"):
        hook = getattr(method, name)
        setattr(method, name, lambda extract, hook=hook: hook(after(extract)))


def _dataset(images: tuple[int, int, int]) -> Dataset:
    rng = np.random.default_rng(0)
    parts = [
        Samples(
            np.arange(count).astype(object),
            rng.integers(0, IDENTITIES, count),
            rng.integers(0, CAMERAS, count),
        )
        for count in images
    ]
    return Dataset("made", "", parts[0], parts[1], parts[2])


def _noise(count: int, recipe: Recipe, team: Team) -> CachedImages:
    shape = (count, 3, recipe.encoder.height, recipe.encoder.width)
    generator = torch.Generator(team.device).manual_seed(0)
    pixels = torch.randint(
        0, 256, shape, generator=generator, dtype=torch.uint8, device=team.device
    )
    return CachedImages(pixels, recipe.augment.pad, team.device)
