"""What a run will cost on this machine: measured on a few images, multiplied out."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn

from common.backbones.encoder import Encoder
from common.recipe import Recipe
from common.types import Dataset

PROBE_IMAGES = 8


@dataclass(frozen=True)
class Estimate:
    """Cost of a whole run, extrapolated from a probe of `PROBE_IMAGES` images.

    Args:
        hours: of computing; clustering and reading of images come on top.
        memory: gigabytes for activations, weights with optimizer, features and cached images.
        disk: gigabytes of the run folder.
    """

    hours: float
    memory: float
    disk: float

    def text(self) -> str:
        hours = f"{self.hours:.1f} h" if self.hours >= 1 else f"{self.hours * 60:.0f} min"
        return (
            f"about {hours} of computing, {self.memory:.1f} GB of memory and "
            f"{self.disk:.2f} GB of disk (measured on {PROBE_IMAGES} images, multiplied out)"
        )


def estimate(encoder: Encoder, recipe: Recipe, dataset: Dataset, device: torch.device) -> Estimate:
    """Time a step and an extraction of a few images, and multiply by the recipe's numbers.

    The encoder's running statistics are changed; build another one for the run.
    """
    encoder.place_on(device, recipe.precision)
    settings = recipe.encoder
    images = torch.rand(PROBE_IMAGES, 3, settings.height, settings.width, device=device)
    train, activations = _training_probe(encoder, images)
    extract = _extraction_probe(encoder, images)
    n, tests = len(dataset.train), len(dataset.query) + len(dataset.gallery)
    seconds = recipe.steps(n) * recipe.sampling.batch_size * train + recipe.epochs * n * extract
    seconds += (recipe.epochs // recipe.eval_every + 1) * tests * extract
    weights = sum(p.numel() for p in encoder.parameters()) * 4
    pixels = (n + tests) * 3 * settings.height * settings.width
    features = max(n, tests) * encoder.num_features * 4
    memory = activations * recipe.sampling.batch_size + 4 * weights + pixels + 2 * features
    return Estimate(seconds / 3600, memory / 1e9, 5 * weights / 1e9)


def _training_probe(encoder: Encoder, images: Tensor) -> tuple[float, float]:
    """Seconds per image of forward and backward, bytes of kept outputs per image."""
    sizes: list[int] = []
    leaves = [m for m in encoder.modules() if not list(m.children())]
    hooks = [leaf.register_forward_hook(lambda m, i, out: _keep(sizes, out)) for leaf in leaves]
    encoder.train()
    encoder(images).square().sum().backward()
    for hook in hooks:
        hook.remove()
    seconds = _timed(lambda: encoder(images).square().sum().backward())
    return seconds / len(images), sum(sizes) / len(images)


def _extraction_probe(encoder: Encoder, images: Tensor) -> float:
    encoder.eval()
    with torch.no_grad():
        return _timed(lambda: encoder(images)) / len(images)


def _keep(sizes: list[int], output: Tensor | nn.Module) -> None:
    if isinstance(output, Tensor):
        sizes.append(output.nbytes)


def _timed(run: Callable[[], object]) -> float:
    """Median seconds of three calls, of fewer once a second has passed."""
    times: list[float] = []
    while len(times) < 3 and sum(times) < 1:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        since = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - since)
    return median(times)
