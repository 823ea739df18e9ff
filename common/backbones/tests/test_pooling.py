"""Pooling from its definitions."""

import pytest
import torch

from common.backbones.pooling import GeM, PartPooling, build_pooling
from common.errors import UserError


def feature_map(height=8, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.rand(3, 5, height, 4, generator=g)


def test_gem_is_the_power_mean():
    x = feature_map()

    expected = (x.double() ** 3).mean(dim=(2, 3)) ** (1 / 3)

    torch.testing.assert_close(GeM()(x).double(), expected, rtol=1e-5, atol=0)


def test_gem_with_exponent_one_is_the_average_and_with_a_large_one_nearly_the_maximum():
    x = feature_map()

    torch.testing.assert_close(GeM(p=1.0)(x), x.mean(dim=(2, 3)))
    torch.testing.assert_close(
        GeM(p=200.0)(x.double()), x.amax(dim=(2, 3)).double(), rtol=2e-2, atol=0
    )


def test_gem_of_dead_channels_is_small_and_differentiable():
    x = torch.zeros(2, 3, 4, 4, requires_grad=True)
    gem = GeM()

    gem(x).sum().backward()

    assert torch.isfinite(gem.p.grad).all()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize(("height", "stripes"), [(8, [2, 2, 2, 2]), (10, [3, 3, 2, 2])])
def test_parts_are_the_means_of_stripes_from_top_to_bottom(height, stripes):
    x = feature_map(height)

    expected = torch.cat([part.mean(dim=(2, 3)) for part in x.split(stripes, dim=2)], dim=1)

    torch.testing.assert_close(PartPooling(4)(x), expected)


def test_more_parts_than_rows_name_the_settings():
    with pytest.raises(UserError, match=r"3 rows.*4 parts.*encoder\.parts"):
        PartPooling(4)(feature_map(height=3))


def test_unknown_pooling_is_refused():
    with pytest.raises(UserError, match="unknown pooling 'mean'"):
        build_pooling("mean", 4)


@pytest.mark.parametrize("name", ["avg", "max", "gem", "parts"])
def test_half_precision_maps_are_pooled_in_float32(name):
    pool, _ = build_pooling(name, 4)

    assert pool(feature_map().bfloat16()).dtype == torch.float32
