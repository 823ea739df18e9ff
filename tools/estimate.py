"""What a run will cost on this machine: measured on a few images, multiplied out."""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from common.arithmetic import compiles
from common.backbones.encoder import Encoder
from common.clustering import warm_up
from common.clustering.approximate import find_neighbors
from common.data.images import Kind, place_of, usual_workers
from common.data.room import device_room, host_room
from common.data.transform import normalize_image, read_image
from common.errors import UserError
from common.recipe import EncoderSettings, Recipe
from common.team import Team
from common.types import Dataset, Samples
from tools.benchmarks.clock import Clock
from tools.benchmarks.reid_features import reid_like_features

PROBE_IMAGES = 8  # at first; a few images alone keep no machine busy, so they are doubled
PROBE_SECONDS = 0.25  # until a training step takes this long
MANY_IMAGES = 50_000  # from here on the neighbour search counts; below it takes seconds
PROBE_ROWS = 16_384
LABEL_BYTES = 2_650  # an image, while labels are formed: docs/scale.md


@dataclass(frozen=True)
class Estimate:
    """Cost of a whole run, extrapolated from steps of a few images.

    Args:
        images: of the largest step that was timed.
        hours: of computing, with the neighbour searches where images are many, and of reading
            images where they are read each time.
        memory: gigabytes for activations or labels, weights with optimizer, features and cached
            images, of each process. The libraries come on top, on a CPU with what the process
            keeps of freed memory: together 1.3 GB in runs of `tiny`, 2.4 GB of MobileNetV2.
        disk: gigabytes of the run folder.
        processes: that share the computing.
        room: gigabytes that are free for each of them.
        compiled: whether the run will compile its network; what was timed is not compiled.
    """

    images: int
    hours: float
    memory: float
    disk: float
    processes: int = 1
    room: float = math.inf
    compiled: bool = False

    def text(self) -> str:
        hours = f"{self.hours:.1f} h" if self.hours >= 1 else f"{math.ceil(self.hours * 60)} min"
        each = f" in each of {self.processes} processes" if self.processes > 1 else ""
        form = ", before compiling" if self.compiled else ""
        return (
            f"about {hours} of computing, {self.memory:.1f} GB of memory{each} beyond what the "
            f"libraries take, and {self.disk:.2f} GB of disk (measured on {self.images} "
            f"images{form}, multiplied out)"
        )


def estimate(
    encoder: Encoder,
    recipe: Recipe,
    dataset: Dataset,
    team: Team,
    kind: Kind = "auto",
    workers: int | None = None,
) -> Estimate:
    """Time a step and an extraction of some images, and multiply by the recipe's numbers.

    Images that are read from their files each time are read beside the computing on a GPU, and take
    turns with it on a CPU. The encoder's running statistics are changed; build another one for the
    run.

    Args:
        team: its processes share batches and extractions; each times its own device.
        kind: where images are kept.
        workers: that read files, 0 for none beside this process; by default the usual number.
    """
    encoder.place_on(team.device, recipe.precision)
    settings, batch = recipe.encoder, recipe.sampling.batch_size // team.size
    images = torch.rand(PROBE_IMAGES, 3, settings.height, settings.width, device=team.device)
    activations = _kept_bytes(encoder, images[:2]) / 2
    _require_room(activations * len(images), recipe, team)
    step = _training_seconds(encoder, images)
    while step < PROBE_SECONDS and 2 * len(images) <= batch:
        images = images.repeat(2, 1, 1, 1)
        step = _training_seconds(encoder, images)
    train, extract = step / len(images), _extraction_seconds(encoder, images) / len(images)
    n, tests = len(dataset.train), len(dataset.query) + len(dataset.gallery)
    domains = 2 if recipe.source else 1  # a step has a batch of each
    tested = 1 + sum(map(recipe.due, range(recipe.epochs)))
    trained, extracted = recipe.steps(n) * batch * domains, recipe.epochs * n + tested * tests
    seconds = trained * train + extracted * extract / team.size
    pixels = (n + tests) * 3 * settings.height * settings.width
    if place_of(pixels, team.device, kind) == "disk":
        pixels, views = 0, trained + extracted / team.size
        readers = usual_workers() if workers is None else max(1, workers)
        reading = views * _reading_seconds(dataset.train, settings) / readers
        seconds = max(seconds, reading) if team.device.type == "cuda" else seconds + reading
    if not recipe.supervised:
        seconds += recipe.epochs * _search_seconds(n, encoder, recipe, team) / team.size
    weights = sum(p.numel() for p in encoder.parameters()) * 4
    features = max(n, tests) * encoder.num_features * 4
    largest = max(activations * batch * domains, LABEL_BYTES * n)  # never at the same time
    memory = largest + 4 * weights + pixels + 2 * features
    return Estimate(
        images=len(images),
        hours=seconds / 3600,
        memory=memory / 1e9,
        disk=5 * weights / 1e9,
        processes=team.size,
        room=_room(team) / 1e9,
        compiled=compiles(recipe.precision, team.device, recipe.steps(n)),
    )


def _room(team: Team) -> int:
    """Free bytes where the network computes."""
    return device_room(team.device) if team.device.type == "cuda" else host_room()


def _require_room(needed: float, recipe: Recipe, team: Team) -> None:
    """Stop before a system ends the process without a word."""
    settings, room = recipe.encoder, _room(team)
    if needed > room:
        raise UserError(
            f"a step of {PROBE_IMAGES} images of {settings.height} x {settings.width} pixels takes "
            f"{needed / 1e9:.0f} GB of memory, and {room / 1e9:.0f} GB are free. Choose a smaller "
            "encoder.height and encoder.width, or another encoder.arch."
        )


def _kept_bytes(encoder: Encoder, images: Tensor) -> int:
    """Bytes that backward needs besides the weights; the first step, as a warm-up."""
    weights = {parameter.shape for parameter in encoder.parameters()}  # as their copies in bfloat16
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.shape not in weights:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    encoder.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = encoder(images).square().sum()
    loss.backward()
    return sum(kept.values())


def _training_seconds(encoder: Encoder, images: Tensor) -> float:
    encoder.train()
    return _timed(lambda: encoder(images).square().sum().backward(), images.device)


def _extraction_seconds(encoder: Encoder, images: Tensor) -> float:
    encoder.eval()
    with torch.no_grad():
        return _timed(lambda: encoder(images), images.device)


def _reading_seconds(samples: Samples, settings: EncoderSettings) -> float:
    """Of one image from its file, by one worker."""
    some = samples.paths[:: -(-len(samples) // PROBE_IMAGES)]

    def read() -> None:
        for path in some:
            with suppress(UserError):  # a dry run opens no images, so one may be bad
                normalize_image(read_image(path, settings.height, settings.width))

    return _timed(read, torch.device("cpu")) / len(some)


def _search_seconds(images: int, encoder: Encoder, recipe: Recipe, team: Team) -> float:
    """One search among drawn features, multiplied by the square of the images' number."""
    if images < MANY_IMAGES:
        return 0.0
    warm_up()
    settings = recipe.clustering
    features = reid_like_features(PROBE_ROWS, encoder.num_features, device=str(team.device))
    search = _timed(lambda: find_neighbors(features, settings.k1, settings.search), team.device)
    return search * (images / PROBE_ROWS) ** 2


def _timed(run: Callable[[], object], device: torch.device) -> float:
    """Median seconds of three calls, of fewer once a second has passed."""
    clock = Clock(device)
    while len(clock.wall) < 3 and sum(clock.wall) < 1:
        clock.time(run)
    return median(clock.wall)
