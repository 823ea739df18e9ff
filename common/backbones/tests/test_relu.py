"""The ReLU of compiled networks against torch's."""

import pytest
import torch
from torch import nn
from torch._dynamo.backends.common import aot_autograd
from torch._functorch.aot_autograd import make_boxed_func
from torch._functorch.partitioners import min_cut_rematerialization_partition

from common.backbones.batchnorm import BatchNorm, Grouping
from common.backbones.encoder import build_encoder
from common.backbones.relu import ReLU, use_own_relus
from common.recipe import EncoderSettings

ODD = [-2.0, -1e-30, -0.0, 0.0, 1e-30, 3.0, float("nan"), float("inf"), -float("inf")]


def output_and_gradient(forward, dtype):
    x = torch.tensor(ODD, dtype=dtype, requires_grad=True)
    y = forward(x * 1)
    y.backward(torch.arange(1, len(ODD) + 1).to(dtype))
    return y.detach(), x.grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("backend", ["aot_eager", None])
def test_output_and_gradient_are_those_of_torch_also_of_zeros_and_nan(dtype, backend):
    torch._dynamo.reset()
    forward = torch.compile(ReLU(), fullgraph=True, backend=backend) if backend else ReLU()

    found = output_and_gradient(forward, dtype)

    for ours, theirs in zip(found, output_and_gradient(nn.ReLU(), dtype), strict=True):
        assert torch.equal(ours.nan_to_num(7), theirs.nan_to_num(7))


def test_a_compiled_gradient_finds_the_sign_anew_in_place_of_reading_results():
    backward = []
    norm = BatchNorm(4, grouping=Grouping(2, consecutive=True))
    # The second convolution keeps the result for the gradient of its weights.
    layers = nn.Sequential(nn.Conv2d(3, 4, 1), norm, ReLU(), nn.Conv2d(4, 4, 1))
    backend = aot_autograd(
        fw_compiler=lambda graph, _: make_boxed_func(graph),
        bw_compiler=lambda graph, _: backward.append(graph) or make_boxed_func(graph),
        partition_fn=min_cut_rematerialization_partition,
    )
    torch._dynamo.reset()

    torch.compile(layers, backend=backend)(torch.randn(4, 3, 5, 5)).sum().backward()

    called = {str(node.target) for node in backward[0].graph.nodes}
    assert "aten.le.Scalar" in called
    assert "aten.threshold_backward.default" not in called


def test_every_network_has_them_and_keeps_the_places_of_its_relus():
    encoder = build_encoder(EncoderSettings(arch="resnet18", weights="random"))
    kinds = {type(m) for m in encoder.modules() if isinstance(m, nn.ReLU)}
    assert kinds == {ReLU}

    pair = nn.Sequential(nn.ReLU(inplace=True), nn.Sequential(nn.ReLU6(), nn.ReLU()))
    use_own_relus(pair)
    assert [type(m) for m in (pair[0], *pair[1])] == [ReLU, nn.ReLU6, ReLU]
    assert [m.inplace for m in (pair[0], pair[1][1])] == [True, False]
