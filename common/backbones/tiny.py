"""A small residual network, made to be trained from random weights in minutes on a CPU."""

from collections import OrderedDict
from functools import partial

from torch import nn
from torchvision.models.resnet import BasicBlock

from common.backbones.batchnorm import BatchNorm, Grouping


def tiny_trunk(grouping: Grouping) -> nn.Sequential:
    """Input norm, stem, four basic blocks: (B, 3, H, W) -> (B, 128, H/8, W/8); 0.3 M parameters.

    The instance norm of the input takes away each image's exposure and colour cast: without it
    a network that starts from random weights clusters cameras, not persons. He initialization.
    """
    trunk = nn.Sequential(
        OrderedDict(
            input_norm=nn.InstanceNorm2d(3),
            conv1=nn.Conv2d(3, 16, kernel_size=5, stride=2, padding=2, bias=False),
            bn1=BatchNorm(16, grouping=grouping),
            relu=nn.ReLU(inplace=True),
            layer1=_block(16, 16, 1, grouping),
            layer2=_block(16, 32, 2, grouping),
            layer3=_block(32, 64, 2, grouping),
            layer4=_block(64, 128, 1, grouping),
        )
    )
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return trunk


def _block(inputs: int, outputs: int, stride: int, grouping: Grouping) -> nn.Module:
    """Two 3 x 3 convolutions; a 1 x 1 projection beside them where the shape changes."""
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(
            nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False),
            BatchNorm(outputs, grouping=grouping),
        )
    norm = partial(BatchNorm, grouping=grouping)
    return BasicBlock(inputs, outputs, stride, shortcut, norm_layer=norm)
