"""Where does an epoch of training go, part by part, and what would the whole schedule take?"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common.clustering.neighbors import nearest_neighbors
from common.data.sampler import iterations_of
from common.devices import find_device
from common.errors import UserError
from common.recipe import Dbscan, Recipe
from common.recipe_text import override
from common.run import RunDir
from common.schedules import Constant
from common.team import Team, join_team
from common.training import train
from tools.benchmarks.clock import device_wait
from tools.benchmarks.epoch_rows import Measured, rows_of
from tools.benchmarks.fresh_process import device_peak_mb, fresh_process, peak_mb
from tools.benchmarks.laps import ITERATED, PARTS, Laps, marked, observer
from tools.benchmarks.limits import require_least
from tools.benchmarks.made_job import FirstImages, made_job
from tools.benchmarks.pseudo_labels import EPS
from tools.lookup import paper_recipe
from tools.process import keep_memory_and_let_threads_sleep


@dataclass(frozen=True)
class Plan:
    """What is run, and how it is cut short.

    Args:
        recipe: of the epochs that run.
        paper: the paper's, to whose iterations and schedule the seconds are counted up.
        images: training, query and gallery images.
        extracted: images of a part that an extraction takes; 0 for all.
        epochs: counted epochs.
    """

    recipe: Recipe
    paper: Recipe
    images: tuple[int, int, int]
    extracted: int
    epochs: int


def run(
    method: str = "hhcl",
    images: Sequence[int] = (2000, 200, 1000),
    size: Sequence[int] = (64, 32),
    arch: str = "tiny",
    batch: int = 64,
    iterations: int = 20,
    extracted: int = 0,
    epochs: int = 1,
    device: str = "auto",
    precision: Sequence[str] = ("exact",),
) -> list[dict[str, Any]]:
    """Epochs of the method's Market-1501 recipe through the loop that trains, on made images.

    The pixels are noise and the weights random, so extracted features would not cluster. They
    are extracted, and replaced by as many drawn ones that cluster like those of
    re-identification, at the radius of the benchmark of pseudo-labels; labels and batches follow
    from these. The first epoch warms up. On a GPU the total comes from epochs that wait for it
    only where training does, the parts from as many more that wait at every mark.

    Args:
        images: training, query and gallery images; they lie on the device.
        size: height and width.
        batch, iterations: 0 takes the recipe's. Fewer iterations than those are counted up.
        extracted: images of a part that go through the network in an extraction, rounded up to
            its batches; 0 for all. The rest is counted up, while clustering and evaluation
            have their full size.
        epochs: counted ones.
        device: auto, cpu, cuda or cuda:N.
        precision: exact, fast or both, each in a fresh process.

    Returns:
        For each precision a row per part: seconds `measured` (the mean of the counted epochs,
        with the `least` and `most`), in a whole `epoch`, the `share` of that, and whether it is
        `projected`. Then sums, rates, the process's largest memory (libraries and images
        included), and the paper's schedule, always projected.

    Raises:
        UserError: numbers, a method or a precision that cannot be run.
    """
    if len(images) != 3 or len(size) != 2:
        raise UserError(
            "images are three numbers (training, query, gallery) and size is two (height, width), "
            "e.g. images=2000,200,1000 and size=64,32."
        )
    require_least(1, images=images, size=size, epochs=epochs)
    require_least(0, batch=batch, iterations=iterations, extracted=extracted)
    find_device(device)
    paper = paper_recipe(method, "market1501")
    whole = (images[0], images[1], images[2])
    rows = []
    for name in precision:
        recipe = _cut(override(paper, {"precision": name}), arch, size, batch, iterations)
        plan = Plan(recipe, paper, whole, extracted, epochs)
        with fresh_process(keep_memory_and_let_threads_sleep) as fresh:
            rows += fresh.submit(planned_rows, plan, device).result()
    return rows


def _cut(recipe: Recipe, arch: str, size: Sequence[int], batch: int, iterations: int) -> Recipe:
    """The recipe with another network, images and number of steps, tested after every epoch.

    The papers' radii suit the papers' features; the drawn ones are clustered at their own.
    """
    sampling = replace(
        recipe.sampling,
        batch_size=batch or recipe.sampling.batch_size,
        iterations=iterations or recipe.sampling.iterations,
    )
    encoder = replace(recipe.encoder, arch=arch, height=size[0], width=size[1], weights="random")
    clustering = recipe.clustering
    if isinstance(clustering, Dbscan):
        clustering = replace(clustering, eps=Constant(EPS))
    return replace(recipe, encoder=encoder, sampling=sampling, clustering=clustering, eval_every=1)


def planned_rows(plan: Plan, device: str) -> list[dict[str, Any]]:
    """The table of one plan, with precision and device in every row."""
    team = join_team(device)
    labels = {"precision": plan.recipe.precision, "device": _name(team.device)}
    waiting = plan.epochs if team.device.type == "cuda" else 0
    measured = measure(plan, team, device_wait(team.device), waiting)
    return [{**labels, **row} for row in rows_of(measured, plan.paper)]


def measure(plan: Plan, team: Team, wait: Callable[[], object], waiting: int) -> Measured:
    """Train after an epoch that warms up, and read what the parts took.

    Args:
        wait: returns when the device is idle.
        waiting: epochs more that wait at every mark; 0 where the device works with the host.
    """
    laps = Laps(wait, 1 + plan.epochs if waiting else 0)
    recipe = replace(plan.recipe, epochs=1 + plan.epochs + waiting)
    with tempfile.TemporaryDirectory() as folder:
        run = RunDir(Path(folder))
        method, job, trained, tested, drawn = made_job(
            recipe,
            plan.images,
            plan.extracted,
            team,
            run,
            observer(laps),
            plan.paper.steps(plan.images[0]),
        )
        with marked(method, laps):
            train(method, job)
        labels = run.load("last.pt")["labels"].numpy()
    iterations = iterations_of(recipe.sampling, labels)
    paper = replace(recipe.sampling, iterations=plan.paper.sampling.iterations)
    counted = laps.epochs[1 : 1 + plan.epochs]
    return Measured(
        parts=laps.epochs[1 + plan.epochs :] or counted,
        undisturbed=counted,
        search=_search_seconds(drawn, recipe.clustering.k1, wait),
        factors=_factors(iterations_of(paper, labels) / iterations, trained, tested),
        images=(iterations * recipe.sampling.batch_size, trained.extracted, tested.extracted),
        host_mb=peak_mb(),
        device_mb=device_peak_mb(team.device),
    )


def _factors(iterated: float, trained: FirstImages, tested: FirstImages) -> dict[str, float]:
    """How many times the seconds of each part stand in a whole epoch."""
    factors = dict.fromkeys(PARTS, 1.0) | dict.fromkeys(ITERATED, iterated)
    for part, source in (("extraction", trained), ("test extraction", tested)):
        factors[part] = len(source) / source.extracted
    return factors


def _search_seconds(features: Tensor, k: int, wait: Callable[[], object]) -> float:
    wait()
    since = time.perf_counter()
    nearest_neighbors(features, k)
    wait()
    return time.perf_counter() - since


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"
