"""From a recipe and a data set to a method and a job that can be trained or tested."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.backbones.network import require_pairs
from common.clustering import require_possible
from common.data.catalogue import is_own_folder
from common.data.check import check_dataset, leave_out, require_sound
from common.data.datasets import fingerprint
from common.data.images import open_images
from common.data.request import ImageSource
from common.data.sampler import images_per_pass
from common.data.synthetic import is_complete
from common.errors import UserError, counted
from common.evaluator.testing import tested_samples
from common.job import DomainImages, Job
from common.method import Method
from common.recipe import Dbscan, InfoMap, Recipe, chunks_per_process
from common.run import Observer, RunDir, ticks
from common.streams import Streams
from common.team import Team
from common.types import SPLITS, Dataset, Domain, Samples
from methods import METHODS
from methods.build import build_method
from tools.options import RunOptions
from tools.origin import Origin
from tools.synth import SYNTHETIC_SETS, ensure_synthetic


@dataclass(frozen=True)
class Found:
    """A data set, where it came from, and the names of bad images that were left out."""

    dataset: Dataset
    origin: Origin
    dropped: tuple[str, ...] = ()


def find_dataset(name: str, options: RunOptions, team: Team, observer: Observer) -> Found:
    """A data set by name, or an own folder; synthetic ones are drawn where they are missing."""
    if is_own_folder(name):
        own = Origin("", str(Path(name).resolve()))
        return Found(same_for_all(own.load, team), own)
    if name in SYNTHETIC_SETS:
        drawing = ticks(observer, "drawing images")

        def draw() -> str:
            if not is_complete(options.data_root / name):
                observer({"event": "stage", "text": f"{name}: drawing the data set"})
            return str(ensure_synthetic(options.data_root, name, progress=drawing))

        team.text_from_first(draw)
    origin = Origin(name, str(options.data_root.resolve()))
    return Found(same_for_all(origin.load, team), origin)


def same_for_all(load: Callable[[], Dataset], team: Team) -> Dataset:
    """A data set that every process reads for itself.

    Raises:
        UserError: one of them cannot, or finds other images than the first.
    """
    dataset = team.together(load)
    if team.size > 1:
        team.require_same(fingerprint(dataset), f"{dataset.name} at {dataset.root} is")
    return dataset


def checked(
    found: Found,
    options: RunOptions,
    team: Team,
    observer: Observer,
    splits: Sequence[str] = SPLITS,
) -> Found:
    """The data set after its check on rank 0, without bad images if these may be skipped.

    Args:
        splits: those whose images are opened; none for counts and names alone.

    Raises:
        UserError: the data set is not sound, with all its images or without the bad ones.
    """
    dataset = found.dataset
    looked_at = "the images" if splits else "counts and names"
    observer({"event": "stage", "text": f"{dataset.name}: checking {looked_at}"})

    def warn(text: str) -> None:
        observer({"event": "warning", "text": text})

    def check() -> str:
        report = check_dataset(
            dataset,
            read_images=splits,
            workers=options.workers,
            progress=ticks(observer, "checking images"),
        )
        require_sound(report, strict=options.strict, skip_bad=options.skip_bad_images)
        bad = sorted(report.bad_images)
        if bad:
            warn(left_out(dataset.name, bad))
            report = check_dataset(leave_out(dataset, bad), read_images=())
            require_sound(report, strict=options.strict)
        for warning in report.warnings:
            warn(warning)
        return json.dumps(bad)

    bad = tuple(json.loads(team.text_from_first(check)))
    return Found(leave_out(dataset, bad), found.origin, bad) if bad else found


def assemble(
    recipe: Recipe,
    dataset: Dataset,
    source: Dataset | None,
    options: RunOptions,
    team: Team,
    run: RunDir,
    observer: Observer,
    *,
    restored: bool = False,
) -> tuple[Method, Job]:
    """Build encoder, method, images and generators.

    Args:
        restored: a checkpoint will be loaded, so initial weights are not needed.

    Raises:
        UserError: a setting that the data or the number of processes does not allow.
    """
    streams = Streams(recipe.seed)
    observer({"event": "stage", "text": "building the network"})
    method = build_method(recipe, dataset, source, team, streams, restored=restored)
    job = Job(
        dataset=dataset,
        train=domain_images(dataset.train, recipe, options, team, observer),
        test=test_images(dataset, recipe, options, team, observer),
        source=domain_images(source.train, recipe, options, team, observer) if source else None,
        source_pids=source.train.pids if source else None,
        streams=streams,
        team=team,
        run=run,
        observer=observer,
    )
    return method, job


def require_consistent(
    recipe: Recipe, dataset: Dataset, source: Dataset | None, team: Team
) -> None:
    """Settings against each other and the data, before heavy work.

    Raises:
        UserError: the first that do not fit, and what to choose.
    """
    _require_whole_batches(recipe, team)
    _require_target(recipe, dataset)
    team.together(lambda: _require_clustering(recipe))  # a package may be missing on one machine
    _require_possible_clusters(recipe, dataset)
    METHODS[recipe.method].require(recipe)
    if source:
        _require_full_batch(recipe, source, "source")


def left_out(name: str, bad: Sequence[str]) -> str:
    """A sentence on a data set's images that cannot be used."""
    return f"left out: {counted(len(bad), 'image')} of {name} that cannot be used."


def _require_whole_batches(recipe: Recipe, team: Team) -> None:
    batch, chunks = recipe.sampling.batch_size, recipe.bn_chunks
    instances = recipe.sampling.instances  # 0 where identities are not drawn in groups
    parts = {
        f"sampling.instances={instances}": instances or 1,
        f"bn_chunks={chunks}": chunks,
        f"the number of processes, {team.size}": team.size,
    }
    for said, count in parts.items():
        if batch % count:
            raise UserError(
                f"sampling.batch_size={batch} is not a multiple of {said}. Change one of them."
            )
    require_pairs(batch // team.size, chunks_per_process(chunks, team.size))


def _require_target(recipe: Recipe, dataset: Dataset) -> None:
    batch = recipe.sampling.batch_size
    if not len(dataset.train):
        raise UserError(
            f"{dataset.name} has no training images. In a folder of your own, labels.csv names "
            "them as well: split train, and no id."
        )
    if batch > len(dataset.train):
        raise UserError(
            f"{dataset.name} has {len(dataset.train)} training images, fewer than a batch of "
            f"{batch}. Lower sampling.batch_size."
        )
    unknown = int((dataset.train.pids < 0).sum())
    if recipe.supervised and unknown:
        raise UserError(
            f"{unknown} of the {len(dataset.train)} training images of {dataset.name} have no "
            "identity, which supervised=true learns from. Give each an id in labels.csv, or leave "
            "supervised=true out."
        )
    if recipe.supervised:
        _require_full_batch(recipe, dataset, "target")


def _require_clustering(recipe: Recipe) -> None:
    possible, chosen = METHODS[recipe.method].clusterings, recipe.clustering
    if not isinstance(chosen, possible):
        raise UserError(
            f"{recipe.method} cannot cluster by {type(chosen).__name__}. Choose "
            f"{' or '.join(kind.__name__ for kind in possible)}."
        )
    require_possible(chosen)


def _require_possible_clusters(recipe: Recipe, dataset: Dataset) -> None:
    """Refuse a least size of clusters that not even all images together reach."""
    images = len(dataset.train)
    match recipe.clustering:
        case Dbscan(min_samples=least):
            name = "min_samples"
        case InfoMap(k2=dropped):
            name, least = "k2", dropped + 1
    if least > images and not recipe.supervised:
        raise UserError(
            f"clustering.{name} asks for clusters of {least} images at least, and {dataset.name} "
            f"has {images} training images. Lower it."
        )


def _require_full_batch(recipe: Recipe, dataset: Dataset, domain: Domain) -> None:
    """Refuse true identities that are too few for a batch; clusters are judged in each epoch."""
    batch = recipe.sampling.batch_size
    per_pass = images_per_pass(dataset.train.pids, recipe.sampling.instances)
    if per_pass < batch:
        raise UserError(
            f"the identities of {dataset.name} fill {per_pass} of the {batch} {domain} images of a "
            "batch. Choose a smaller sampling.batch_size, or data with more identities."
        )


def domain_images(
    samples: Samples, recipe: Recipe, options: RunOptions, team: Team, observer: Observer
) -> DomainImages:
    """Training images of one domain at the recipe's size."""
    images = _images(samples, recipe, options, team, observer)
    return DomainImages(images, samples.cams, samples.paths)


def test_images(
    dataset: Dataset, recipe: Recipe, options: RunOptions, team: Team, observer: Observer
) -> ImageSource | None:
    """Query images followed by gallery images."""
    if not dataset.has_test:
        return None
    return _images(tested_samples(dataset), recipe, options, team, observer)


def _images(
    samples: Samples, recipe: Recipe, options: RunOptions, team: Team, observer: Observer
) -> ImageSource:
    return open_images(
        samples,
        recipe.encoder.height,
        recipe.encoder.width,
        recipe.augment,
        team.device,
        kind=options.images,
        workers=options.workers,
        progress=ticks(observer, "reading images"),
    )
