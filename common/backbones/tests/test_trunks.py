"""Layers of the trunks that no stored case and no weight file would show to be wrong."""

import math
import re

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from common.backbones.batchnorm import Grouping
from common.backbones.encoder import build_encoder
from common.backbones.ibn import InstanceBatchNorm
from common.backbones.trunks import TRUNKS
from common.recipe import EncoderSettings


@pytest.mark.parametrize("arch", ["resnet18", "mobilenet_v2", "tiny"])
def test_random_weights_have_the_spread_that_their_outputs_ask_for(arch):
    trunk = build_encoder(EncoderSettings(arch=arch, weights="random")).trunk
    for layer in (layer for layer in trunk.modules() if isinstance(layer, nn.Conv2d)):
        weight = layer.weight.detach()
        if weight.numel() > 1000:
            outputs = weight.shape[0] * weight[0, 0].numel()
            assert weight.std() == pytest.approx(math.sqrt(2 / outputs), rel=0.1)


@pytest.mark.parametrize("arch", [arch for arch in TRUNKS if arch.startswith("resnet")])
@torch.no_grad()
def test_a_resnet_has_the_depth_and_norms_of_its_name_and_the_channels_it_tells(arch):
    with torch.device("meta"):  # shapes alone: the largest takes seconds to draw
        trunk = TRUNKS[arch].build(Grouping()).eval()
        shape = trunk(torch.empty(1, 3, 64, 32)).shape
    names = [name for name, layer in trunk.named_modules() if isinstance(layer, nn.Conv2d)]
    depth = 1 + sum("downsample" not in name for name in names)  # with the classifier
    assert depth == int(re.search(r"\d+", arch)[0])
    assert any(isinstance(layer, InstanceBatchNorm) for layer in trunk.modules()) == ("ibn" in arch)
    assert shape == (1, TRUNKS[arch].channels, 4, 2)


@torch.no_grad()
def test_a_resnet_computes_what_torchvision_s_does_with_the_last_stride_one():
    trunk = build_encoder(EncoderSettings(arch="resnet18", weights="random")).trunk.eval().double()
    network = resnet18().eval().double()
    network.fc = nn.Identity()
    network.load_state_dict(trunk.state_dict(), strict=False)
    first = network.layer4[0]
    first.conv1.stride = first.downsample[0].stride = (1, 1)
    x = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(trunk(x).mean(dim=(2, 3)), network(x))


def test_the_first_half_of_a_mixed_norm_is_by_image_and_the_second_by_batch():
    layer = InstanceBatchNorm(7, Grouping())
    x = torch.randn(4, 7, 6, 5, generator=torch.Generator().manual_seed(0))
    by_image, by_batch = (
        part.detach().mean(dim=(2, 3)).abs() for part in layer(x).split([3, 4], 1)
    )
    assert by_image.max() < 1e-6
    assert by_batch.min() > 1e-4
    assert layer.IN.weight.requires_grad


def test_the_input_norm_of_the_tiny_network_learns_nothing_and_no_convolution_a_bias():
    trunk = build_encoder(EncoderSettings(arch="tiny", weights="random")).trunk
    assert list(trunk.input_norm.state_dict()) == []
    assert all(layer.bias is None for layer in trunk.modules() if isinstance(layer, nn.Conv2d))
