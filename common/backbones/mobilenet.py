"""torchvision's MobileNetV2 as a trunk: for CPUs and edge devices."""

from collections import OrderedDict
from functools import partial

from torch import nn
from torchvision.models import mobilenet_v2

from common.backbones.batchnorm import BatchNorm, Grouping


def mobilenet_trunk(grouping: Grouping) -> nn.Sequential:
    """MobileNetV2 1.0 under torchvision's names: (B, 3, H, W) -> (B, 1280, H/32, W/32).

    torchvision's strides are kept, since speed is the reason to choose it: 8 x 4 for images of
    256 x 128, 4 x 2 for 128 x 64. No paper here uses it.
    """
    network = mobilenet_v2(weights=None, norm_layer=partial(BatchNorm, grouping=grouping))
    return nn.Sequential(OrderedDict(features=network.features))
