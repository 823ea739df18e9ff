"""What a run will cost on this machine: measured on a few images, multiplied out."""

import math
from contextlib import suppress
from dataclasses import dataclass

import torch

from common.arithmetic import compiles
from common.backbones.network import EXTRACTED_AT_ONCE, Encoder
from common.clustering import warm_up
from common.clustering.approximate import find_neighbors
from common.data.images import Kind, place_of, usual_workers
from common.data.transform import normalize_image, read_image
from common.errors import UserError
from common.method import Method
from common.progress import tensors_of
from common.recipe import EncoderSettings, Recipe
from common.team import Team
from common.types import Dataset, Samples
from tools.benchmarks.reid_features import reid_like_features
from tools.image_cost import PROBE_IMAGES, free_bytes, measured, timed

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
        memory: gigabytes for a step, an extraction or labels, networks with optimizer and bank,
            features and cached images, of each process. The libraries come on top, on a CPU with
            what the process keeps of freed memory: together 1.3 GB in runs of `tiny`, 2.4 GB of
            MobileNetV2.
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
        """The estimate as half a sentence, with what it rests on."""
        hours = f"{self.hours:.1f} h" if self.hours >= 1 else f"{math.ceil(self.hours * 60)} min"
        each = f" in each of {self.processes} processes" if self.processes > 1 else ""
        form = ", before compiling" if self.compiled else ""
        return (
            f"about {hours} of computing, {self.memory:.1f} GB of memory{each} beyond what the "
            f"libraries take, and {self.disk:.2f} GB of disk (measured on {self.images} "
            f"images{form}, multiplied out)"
        )

    def shortages(self, disk_room: float) -> list[str]:
        """A sentence for what the machine has too little of.

        Args:
            disk_room: gigabytes that are free where the run folder will be.
        """
        said = []
        if self.memory > self.room:
            said.append(
                f"that is more than the {self.room:.1f} GB of memory that are free here. Choose a "
                "smaller sampling.batch_size, encoder.height or encoder.width, or share the work "
                "among more processes."
            )
        if self.disk > disk_room:
            said.append(
                f"that is more than the {disk_room:.2f} GB that are free on the disk of the run "
                "folder. Free some, or choose another --runs-root."
            )
        return said


def estimate(
    method: Method,
    dataset: Dataset,
    team: Team,
    kind: Kind = "auto",
    workers: int | None = None,
) -> Estimate:
    """Time a step and an extraction of some images, and multiply by the recipe's numbers.

    Images that are read from their files each time are read beside the computing on a GPU, and take
    turns with it on a CPU. The encoder's running statistics and batch-norm groups are changed;
    build another method for the run.

    Args:
        team: its processes share batches and extractions; each times its own device.
        kind: where images are kept.
        workers: that read files, 0 for none beside this process; by default the usual number.

    Raises:
        UserError: a step of a few images already takes more memory than is free.
    """
    encoder, recipe, settings = method.encoder, method.recipe, method.recipe.encoder
    batch = recipe.sampling.batch_size // team.size
    passes, teachers = 1 + method.has_partners, int(method.has_teacher)  # over an image drawn
    image = measured(method, batch, team)
    n, tests = len(dataset.train), len(dataset.query) + len(dataset.gallery)
    drawn = batch * (2 if recipe.source else 1)  # a step has a batch of each domain
    tested = 1 + sum(map(recipe.due, range(recipe.epochs)))
    trained = recipe.steps(n) * drawn
    fills = 1 if hasattr(method, "memory") else recipe.epochs  # what lasts the run is clustered
    extracted = (fills * n + tested * tests * len(method.evaluated())) / team.size
    seconds = trained * (passes * image.train + teachers * image.teach) + extracted * image.extract
    pixels = (n + tests) * 3 * settings.height * settings.width
    if place_of(pixels, team.device, kind) == "disk":
        pixels, views = 0, trained * (passes + teachers) + extracted
        readers = usual_workers() if workers is None else max(1, workers)
        reading = views * _reading_seconds(dataset.train, settings) / readers
        seconds = max(seconds, reading) if team.device.type == "cuda" else seconds + reading
    if not recipe.supervised:
        seconds += recipe.epochs * _search_seconds(n, encoder, recipe, team) / team.size
    step = drawn * (passes * image.kept + teachers * image.passing)
    extraction = min(EXTRACTED_AT_ONCE, max(n, tests)) * image.passing
    largest = max(step, extraction, LABEL_BYTES * n)  # never at the same time
    weights = sum(parameter.nbytes for parameter in encoder.parameters())
    state = sum(tensor.nbytes for tensor in tensors_of(method.state_dict()).values())
    features = max(n, tests) * encoder.num_features * 4
    memory = largest + state + 3 * weights + pixels + 2 * features  # gradients and two moments
    return Estimate(
        images=image.images,
        hours=seconds / 3600,
        memory=memory / 1e9,
        disk=(state + 4 * weights) / 1e9,
        processes=team.size,
        room=free_bytes(team) / 1e9,
        compiled=compiles(recipe.precision, team.device, recipe.steps(n)),
    )


def _reading_seconds(samples: Samples, settings: EncoderSettings) -> float:
    """Of one image from its file, by one worker."""
    some = samples.paths[:: -(-len(samples) // PROBE_IMAGES)]

    def read() -> None:
        for path in some:
            with suppress(UserError):  # a dry run opens no images, so one may be bad
                normalize_image(read_image(path, settings.height, settings.width))

    return timed(read, torch.device("cpu")) / len(some)


def _search_seconds(images: int, encoder: Encoder, recipe: Recipe, team: Team) -> float:
    """One search among drawn features, multiplied by the square of the images' number."""
    if images < MANY_IMAGES:
        return 0.0
    warm_up(team.device)
    settings = recipe.clustering
    features = reid_like_features(PROBE_ROWS, encoder.num_features, device=str(team.device))
    search = timed(lambda: find_neighbors(features, settings.k1, settings.search), team.device)
    return search * (images / PROBE_ROWS) ** 2
