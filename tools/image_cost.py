"""What an image of a recipe costs this device: seconds and bytes, measured on a few."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils.weak import WeakTensorKeyDictionary

from common.arithmetic import set_arithmetic
from common.backbones.encoder import Encoder
from common.errors import UserError
from common.method import Method
from common.recipe import EncoderSettings
from common.room import device_room, host_room
from common.team import Team
from tools.benchmarks.clock import Clock

PROBE_IMAGES = 8  # at first; a few images alone keep no machine busy, so they are doubled
PROBE_SECONDS = 0.25  # until a training step takes this long


@dataclass(frozen=True)
class ImageCost:
    """What an image costs the device, by steps of a few.

    Args:
        images: of the largest step that was timed.
        train, teach, extract: seconds of a pass with backward, of a teacher's, in an extraction.
        kept: bytes that backward needs of it.
        passing: bytes that a pass without backward holds at a time.
    """

    images: int
    train: float
    teach: float
    extract: float
    kept: float
    passing: float


def measured(method: Method, batch: int, team: Team) -> ImageCost:
    """What an image of the recipe's size costs in a step of at most `batch` of them.

    The encoder's running statistics and batch-norm groups are changed.

    Raises:
        UserError: not even a few fit into memory.
    """
    set_arithmetic("exact")  # for "fast" too: to try algorithms out takes longer than these steps
    encoder, settings = method.encoder, method.recipe.encoder
    encoder.grouping.chunks = 1  # the few images would not fill the recipe's groups
    images = torch.rand(PROBE_IMAGES, 3, settings.height, settings.width, device=team.device)
    few = images[:2].clone()  # in memory of their own, as it is counted
    kept = _kept_bytes(encoder, few) / 2
    _require_room(kept * len(images), settings, team)
    step = _training_seconds(encoder, images)
    while step < PROBE_SECONDS and 2 * len(images) <= batch:
        images = images.repeat(2, 1, 1, 1)
        step = _training_seconds(encoder, images)
    count = len(images)
    return ImageCost(
        images=count,
        train=step / count,
        teach=_forward_seconds(encoder.train(), images) / count if method.has_teacher else 0.0,
        extract=_forward_seconds(encoder.eval(), images) / count,
        kept=kept,
        passing=_passing_bytes(encoder.eval(), few) / 2,
    )


def free_bytes(team: Team) -> int:
    """Free bytes where the network computes."""
    return device_room(team.device) if team.device.type == "cuda" else host_room()


def _require_room(needed: float, settings: EncoderSettings, team: Team) -> None:
    """Stop before a system ends the process without a word."""
    room = free_bytes(team)
    if needed > room:
        raise UserError(
            f"a step of {PROBE_IMAGES} images of {settings.height} x {settings.width} pixels takes "
            f"{needed / 1e9:.0f} GB of memory, and {room / 1e9:.0f} GB are free. Choose a smaller "
            "encoder.height and encoder.width, or another encoder.arch."
        )


def _training_seconds(encoder: Encoder, images: Tensor) -> float:
    encoder.train()
    return timed(lambda: encoder(images).square().sum().backward(), images.device)


def _forward_seconds(encoder: Encoder, images: Tensor) -> float:
    with torch.no_grad():
        return timed(lambda: encoder(images), images.device)


def timed(run: Callable[[], object], device: torch.device) -> float:
    """Median seconds of three calls, of fewer once a second has passed."""
    clock = Clock(device)
    while len(clock.wall) < 3 and sum(clock.wall) < 1:
        clock.time(run)
    return median(clock.wall)


def _kept_bytes(encoder: Encoder, images: Tensor) -> int:
    """Bytes that backward needs besides the weights; the first step, as a warm-up."""
    weights = {p.shape for p in encoder.parameters()}  # also of their copies in bfloat16
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


def _passing_bytes(encoder: Encoder, images: Tensor) -> int:
    """Most bytes that a pass without backward holds as a layer ends, the images among them."""
    held, most = WeakTensorKeyDictionary(), 0  # by whoever computes with them

    def count(layer: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        nonlocal most
        for tensor in (images, *given, made):
            held[tensor] = None
        sizes = {s.data_ptr(): s.nbytes() for s in map(Tensor.untyped_storage, held)}
        most = max(most, sum(sizes.values()))

    with torch.no_grad(), register_module_forward_hook(count):
        encoder(images)
    return most
