"""torchvision's ResNets as trunks, with last stride 1."""

from collections import OrderedDict
from functools import partial

from torch import nn
from torchvision import models
from torchvision.models.resnet import Bottleneck, ResNet

from common.backbones.batchnorm import BatchNorm, Grouping


def resnet(depth: int, grouping: Grouping) -> ResNet:
    """ResNet-18, 34, 50, 101 or 152 with random weights (Kaiming, fan out) and last stride 1."""
    build = getattr(models, f"resnet{depth}")
    network = build(weights=None, norm_layer=partial(BatchNorm, grouping=grouping))
    _keep_last_resolution(network)
    return network


def resnet_trunk(depth: int, grouping: Grouping) -> nn.Sequential:
    """Stem and four stages under torchvision's names: (B, 3, H, W) -> (B, C, H/16, W/16)."""
    return stem_and_stages(resnet(depth, grouping))


def stem_and_stages(network: ResNet) -> nn.Sequential:
    """All of a ResNet before its pooling."""
    names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
    return nn.Sequential(OrderedDict((name, getattr(network, name)) for name in names))


def _keep_last_resolution(network: ResNet) -> None:
    """Stride 1 in the last stage: a map of 16 x 8 for images of 256 x 128.

    The convolution that strides is the first 3 x 3 one: `conv2` of a bottleneck, `conv1` of a
    basic block. The released codes change `conv2` in both, so their ResNet-18 and 34 crash, or
    leave these two at stride 2.
    """
    block = network.layer4[0]
    strided = block.conv2 if isinstance(block, Bottleneck) else block.conv1
    strided.stride = (1, 1)
    block.downsample[0].stride = (1, 1)
