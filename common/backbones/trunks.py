"""The networks by name: what comes before pooling."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from common.backbones.batchnorm import Grouping
from common.backbones.ibn import resnet_ibn_trunk
from common.backbones.mobilenet import mobilenet_trunk
from common.backbones.resnet import resnet_trunk
from common.backbones.tiny import tiny_trunk
from common.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Trunk:
    """How a trunk is built, and how many channels its feature map has."""

    build: Callable[[Grouping], nn.Sequential]
    channels: int


TRUNKS = {
    "resnet18": Trunk(partial(resnet_trunk, 18), 512),
    "resnet34": Trunk(partial(resnet_trunk, 34), 512),
    "resnet50": Trunk(partial(resnet_trunk, 50), 2048),
    "resnet101": Trunk(partial(resnet_trunk, 101), 2048),
    "resnet152": Trunk(partial(resnet_trunk, 152), 2048),
    "resnet_ibn50a": Trunk(partial(resnet_ibn_trunk, 50), 2048),
    "resnet_ibn101a": Trunk(partial(resnet_ibn_trunk, 101), 2048),
    "mobilenet_v2": Trunk(mobilenet_trunk, 1280),
    "tiny": Trunk(tiny_trunk, 128),
}


def find_trunk(arch: str) -> Trunk:
    """The trunk of that name.

    Raises:
        UserError: there is none.
    """
    if arch not in TRUNKS:
        hint = did_you_mean(arch, TRUNKS)
        raise UserError(f"unknown encoder.arch {arch!r}.{hint} Known: {', '.join(TRUNKS)}.")
    return TRUNKS[arch]
