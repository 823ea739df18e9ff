"""ResNet-IBN-a (Pan et al., 2018, arXiv:1807.09441): half instance norm, half batch norm."""

import torch
from torch import Tensor, nn

from common.backbones.batchnorm import BatchNorm, Grouping
from common.backbones.resnet import resnet, stem_and_stages


class InstanceBatchNorm(nn.Module):
    """The first floor(C / 2) channels by affine instance norm, the others by batch norm.

    The names `IN` and `BN` are those of the published weight files.
    """

    def __init__(self, num_features: int, grouping: Grouping) -> None:
        super().__init__()
        half = num_features // 2
        self.sizes = [half, num_features - half]
        self.IN = nn.InstanceNorm2d(half, affine=True)
        self.BN = BatchNorm(num_features - half, grouping=grouping)

    def forward(self, x: Tensor) -> Tensor:
        by_instance, by_batch = x.split(self.sizes, dim=1)
        return torch.cat([self.IN(by_instance), self.BN(by_batch)], dim=1)


def resnet_ibn_trunk(depth: int, grouping: Grouping) -> nn.Sequential:
    """ResNet-IBN-a of depth 50 or 101: the first norm of each block in stages 1 to 3 is mixed."""
    network = resnet(depth, grouping)
    for stage in (network.layer1, network.layer2, network.layer3):
        for block in stage:
            block.bn1 = InstanceBatchNorm(block.conv1.out_channels, grouping)
    return stem_and_stages(network)
