"""What a run tells before any work: its recipe, how that differs from the paper's, its cost."""

from common.data.unlabelled_folder import ONE_CAMERA
from common.recipe import Recipe
from common.recipe_text import flatten
from common.room import disk_room
from common.run import Event, Observer
from common.streams import Streams
from common.team import Team
from common.types import SPLITS, Dataset
from methods.build import build_method
from tools.assemble import Found
from tools.environment import deviations, other_releases
from tools.estimate import estimate
from tools.lookup import spec_of
from tools.options import RunOptions


def announcement(
    recipe: Recipe, base: Recipe, target: Found, source: Found | None, team: Team
) -> Event:
    """Method, settings, numbers of images, and where the run leaves the recipe `base`."""
    counts = {split: len(getattr(target.dataset, split)) for split in SPLITS}
    return {
        "event": "recipe",
        "title": spec_of(recipe.method).title,
        "settings": {k: str(v) for k, v in flatten(recipe).items()},
        "counts": {**counts, "source": len(source.dataset.train) if source else 0},
        "cameras": _cameras(target.dataset),
        "deviations": deviations(recipe, base, team) + other_releases(target, source),
    }


def _cameras(dataset: Dataset) -> str:
    """How many, and how they were found: "6 (pattern _c([0-9]+))"."""
    if dataset.camera_rule == ONE_CAMERA:
        return "not told apart"
    return f"{dataset.train.num_cams} ({dataset.camera_rule})"


def outlook(
    recipe: Recipe,
    dataset: Dataset,
    source: Dataset | None,
    options: RunOptions,
    team: Team,
    observer: Observer,
) -> dict[str, float]:
    """Time, memory and disk that the run will take; warns where one is short."""
    streams = Streams(recipe.seed)
    probe = build_method(recipe, dataset, source, team, streams, restored=True, steps=1)
    cost = estimate(probe, dataset, team, options.images, options.workers)
    observer({"event": "stage", "text": f"estimate: {cost.text()}"})
    free = disk_room(options.runs_root) / 1e9
    for text in cost.shortages(free):
        observer({"event": "warning", "text": text})
    return {
        "hours": cost.hours,
        "memory_gb": cost.memory,
        "free_memory_gb": cost.room,
        "disk_gb": cost.disk,
        "free_disk_gb": free,
        "timed_images": cost.images,
    }
