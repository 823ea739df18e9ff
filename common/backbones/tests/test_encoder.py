"""The encoder: what the papers' networks have, and one process that computes like several."""

import copy

import pytest
import torch

from common.backbones import network
from common.backbones.encoder import build_encoder, require_size
from common.backbones.network import Encoder
from common.errors import UserError
from common.recipe import EncoderSettings

SMALL = ["tiny", "resnet18", "mobilenet_v2"]
LAYOUTS = pytest.mark.parametrize("channels_last", [True, False])  # of a CPU, of a GPU in float32


def settings(arch="tiny", **changes):
    return EncoderSettings(arch=arch, weights="random", **changes)


def images(count, seed=0, height=64, width=32):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def perturbed(encoder, seed=3):
    """Every parameter and buffer moved a little, so that the domains' copies differ."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in encoder.state_dict().items():
            if tensor.dim() == 1 and not name.startswith("pool"):
                tensor.mul_(0.8 + 0.4 * torch.rand(tensor.shape, generator=g))
    return encoder


def gradients(z, encoder):
    g = torch.Generator().manual_seed(7)
    (z * torch.randn(z.shape, generator=g).to(z.dtype)).sum().backward()
    return {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    ("arch", "pooling", "tensors"),
    [("resnet50", "avg", 160), ("resnet50", "gem", 161), ("resnet_ibn50a", "avg", 186)],
)
def test_sizes_are_those_of_the_published_networks(arch, pooling, tensors):
    encoder = build_encoder(settings(arch, pooling=pooling))

    assert sum(p.numel() for p in encoder.parameters()) == 23_512_128 + (pooling == "gem")
    assert sum(p.requires_grad for p in encoder.parameters()) == tensors
    assert encoder.num_features == 2048


@pytest.mark.parametrize(
    ("arch", "pooling", "height", "said"),
    [
        ("tiny", "avg", 1, "tiny cannot take images of 1 x 1 pixels"),
        ("resnet_ibn50a", "avg", 4, "resnet_ibn50a cannot take images of 4 x 1 pixels"),
        ("tiny", "parts", 8, "too few for 4 parts"),
    ],
)
def test_a_size_that_a_network_cannot_take_is_refused_before_any_image_is_read(
    arch, pooling, height, said
):
    with pytest.raises(UserError, match=said):
        require_size(settings(arch, pooling=pooling, height=height, width=1))
    require_size(settings(arch, pooling=pooling, height=32, width=32))


@pytest.mark.parametrize(
    ("arch", "height", "width", "shape"),
    [
        ("resnet18", 256, 128, (512, 16, 8)),
        ("resnet50", 256, 128, (2048, 16, 8)),
        ("resnet_ibn50a", 224, 224, (2048, 14, 14)),
        ("mobilenet_v2", 128, 64, (1280, 4, 2)),
        ("tiny", 64, 32, (128, 8, 4)),
    ],
)
@torch.no_grad()
def test_maps_have_the_size_that_last_stride_one_gives(arch, height, width, shape):
    trunk = build_encoder(settings(arch)).trunk.eval()

    assert trunk(images(1, height=height, width=width)).shape[1:] == shape


@pytest.mark.parametrize("arch", SMALL)
@pytest.mark.parametrize("training", [True, False])
def test_outputs_are_unit_rows_in_training_and_evaluation(arch, training):
    encoder = build_encoder(settings(arch), bn_chunks=2).train(training)

    z = encoder(images(4))

    assert z.shape == (4, encoder.num_features)
    torch.testing.assert_close(z.norm(dim=1), torch.ones(4))


def test_the_bias_of_the_neck_is_zero_and_frozen():
    neck = build_encoder(settings()).neck

    assert not neck.bias.requires_grad
    assert neck.weight.requires_grad
    assert not neck.bias.any()


@pytest.mark.parametrize(
    ("arch", "channels_last"),
    [("tiny", False), ("mobilenet_v2", True), ("resnet_ibn50a", True)],
)
def test_chunks_equal_replicas_on_a_chunk_each_of_which_the_first_survives(arch, channels_last):
    encoder = perturbed(build_encoder(settings(arch, pooling="gem"), bn_chunks=2)).double()
    encoder.lay_out(channels_last=channels_last)
    x = images(6, height=32, width=16).double()
    replicas = [copy.deepcopy(encoder) for _ in range(2)]
    for replica in replicas:
        replica.grouping.chunks = 1
    expected = torch.cat([r(part) for r, part in zip(replicas, x.chunk(2), strict=True)])
    z = encoder(x)
    torch.testing.assert_close(z, expected, rtol=1e-7, atol=1e-9)

    ours = gradients(z, encoder)
    gradients(expected, replicas[0])
    for name, gradient in ours.items():
        summed = sum(r.get_parameter(name).grad for r in replicas)
        torch.testing.assert_close(gradient, summed, rtol=1e-5, atol=1e-8)
    for name, buffer in encoder.named_buffers():
        torch.testing.assert_close(buffer, replicas[0].get_buffer(name), rtol=1e-9, atol=1e-10)


@LAYOUTS
def test_two_processes_with_two_chunks_each_equal_one_with_four(channels_last):
    whole = build_encoder(settings(), bn_chunks=4).double()
    whole.lay_out(channels_last=channels_last)
    ranks = [copy.deepcopy(whole) for _ in range(2)]
    x = images(16).double()
    expected = whole(x)

    for rank in ranks:
        rank.grouping.chunks = 2
    shares = [rank(part) for rank, part in zip(ranks, x.chunk(2), strict=True)]

    torch.testing.assert_close(torch.cat(shares), expected)
    for name, buffer in ranks[0].named_buffers():
        torch.testing.assert_close(buffer, whole.get_buffer(name))


@LAYOUTS
def test_a_batch_that_does_not_divide_is_cut_like_data_parallelism_does(channels_last):
    encoder = build_encoder(settings(), bn_chunks=4).double()
    encoder.lay_out(channels_last=channels_last)
    x = images(11).double()
    replicas = [copy.deepcopy(encoder) for _ in range(4)]
    expected = []
    for replica, part in zip(replicas, x.split(3), strict=True):  # 3, 3, 3, 2
        replica.grouping.chunks = 1
        expected.append(replica(part))

    torch.testing.assert_close(encoder(x), torch.cat(expected))
    torch.testing.assert_close(encoder.neck.running_var, replicas[0].neck.running_var)


@pytest.mark.parametrize(
    ("arch", "channels_last"), [("tiny", False), ("tiny", True), ("mobilenet_v2", True)]
)
def test_both_domains_in_one_pass_equal_one_after_the_other(arch, channels_last):
    encoder = perturbed(build_encoder(settings(arch), bn_chunks=2, domains=2)).double()
    encoder.lay_out(channels_last=channels_last)
    apart = copy.deepcopy(encoder)
    source, target = (images(4, seed, height=32, width=16).double() for seed in (1, 2))

    zs, zt = encoder.forward_domains(source, target)
    (expected_source,) = apart._encode([source], ("source",))
    expected_target = apart(target)

    torch.testing.assert_close(zs, expected_source, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(zt, expected_target, rtol=1e-7, atol=1e-9)
    ours = gradients(torch.cat([zs, zt]), encoder)
    theirs = gradients(torch.cat([expected_source, expected_target]), apart)
    assert ours.keys() == theirs.keys() == dict(encoder.named_parameters()).keys()
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-5, atol=1e-8)
    for name, buffer in encoder.named_buffers():
        torch.testing.assert_close(buffer, apart.get_buffer(name))


def test_evaluation_uses_the_batch_norms_of_the_target_unless_the_source_s_are_kept():
    encoder = build_encoder(settings(), domains=2)
    encoder.forward_domains(images(8, seed=1), 2 * images(8, seed=2).abs())
    encoder.eval()
    x = images(4, seed=3)

    zs, zt = encoder.forward_domains(x, x)
    torch.testing.assert_close(encoder(x), zt)
    encoder.keep_domain("source")
    torch.testing.assert_close(encoder(x), zs)

    assert (zs - zt).abs().max() > 1e-4


def test_the_necks_of_two_domains_learn_their_biases():
    encoder = build_encoder(settings(), domains=2)

    assert encoder.neck.source.bias.requires_grad
    assert encoder.neck.target.bias.requires_grad


def test_a_copy_groups_its_rows_for_itself():
    student = build_encoder(settings(), bn_chunks=4, domains=2)
    teacher = copy.deepcopy(student)

    teacher.grouping.chunks = 1
    teacher.forward_domains(images(4), images(4))

    assert student.grouping.chunks == 4
    assert teacher.trunk.bn1.grouping is teacher.neck.grouping is teacher.grouping
    assert student.grouping.domains == ("target",)


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    first, again, other = (
        build_encoder(settings(embedding=16), seed=seed).state_dict() for seed in (1, 1, 2)
    )

    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["trunk.conv1.weight"], other["trunk.conv1.weight"])
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])


def test_an_embedding_stands_before_the_neck_and_starts_scaled_by_its_outputs():
    encoder = build_encoder(settings(embedding=16)).eval()

    assert encoder.num_features == 16
    assert encoder(images(2)).shape == (2, 16)
    deviation = float(encoder.embedding.weight.detach().std())
    assert deviation == pytest.approx((2 / 16) ** 0.5, rel=0.1)
    assert not encoder.embedding.bias.any()


def test_dropout_comes_after_normalization_and_in_training_only():
    encoder = build_encoder(settings(dropout=0.5))

    z = encoder(images(8))

    assert 0.3 < (z == 0).float().mean() < 0.7
    torch.testing.assert_close(encoder.eval()(images(8)).norm(dim=1), torch.ones(8))


def test_exposure_and_cast_of_an_image_do_not_reach_the_tiny_network():
    encoder = build_encoder(settings()).eval()
    x = images(4)
    cast = torch.tensor([0.5, 1.3, 2.0]).view(3, 1, 1)

    torch.testing.assert_close(encoder(cast * x + 1), encoder(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("pooling", ["gem", "parts"])
def test_autocast_changes_rounding_only(pooling):
    encoder = build_encoder(settings(pooling=pooling, embedding=32), bn_chunks=2)
    exact = copy.deepcopy(encoder)(images(16))

    with torch.autocast("cpu", dtype=torch.bfloat16):
        z = encoder(images(16))

    assert z.dtype == torch.float32
    torch.testing.assert_close(z.norm(dim=1), torch.ones(16))
    assert (z * exact).sum(dim=1).min() > 0.99


@pytest.mark.parametrize(("size", "chunks"), [(1, 1), (4, 4), (5, 4), (7, 3)])
def test_a_chunk_of_one_image_is_refused_with_the_numbers(size, chunks):
    encoder = build_encoder(settings(), bn_chunks=chunks)

    with pytest.raises(UserError, match=f"{size} images in {chunks} chunks"):
        encoder(images(size))

    assert encoder.eval()(images(size)).shape == (size, 128)


@pytest.mark.parametrize(("source", "target"), [(8, 4), (6, 6)])
def test_domains_that_do_not_share_every_chunk_equally_are_refused(source, target):
    encoder = build_encoder(settings(), bn_chunks=4, domains=2)

    with pytest.raises(UserError, match=f"{source} source and {target} target images"):
        encoder.forward_domains(images(source), images(target))


def test_one_norm_per_layer_cannot_serve_two_domains():
    with pytest.raises(ValueError, match="per domain"):
        build_encoder(settings()).forward_domains(images(4), images(4))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arch": "resnet51"}, r"resnet51.*Did you mean 'resnet"),
        ({"pooling": "mean"}, "unknown pooling 'mean'"),
    ],
)
def test_unknown_names_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        build_encoder(EncoderSettings(**{"weights": "random"} | changes))


def test_chunks_start_at_one():
    with pytest.raises(UserError, match="bn_chunks is 0"):
        Encoder(settings(), bn_chunks=0)


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "limit"), [(torch.float32, 1e-3), (torch.bfloat16, 0.2)])
def test_cuda_gives_the_numbers_of_the_cpu(precision, limit, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    encoder = build_encoder(settings("resnet18", pooling="gem"), bn_chunks=4, domains=2)
    source, target = images(16, seed=1), images(16, seed=2)
    expected = torch.cat(copy.deepcopy(encoder).forward_domains(source, target))

    encoder.place_on(torch.device("cuda"))
    with torch.autocast("cuda", precision, enabled=precision != torch.float32):
        z = torch.cat(encoder.forward_domains(source.cuda(), target.cuda()))

    assert z.dtype == torch.float32
    assert (z.cpu() - expected).norm(dim=1).max() < limit


def small_encoders(count, arch="tiny", chunks=2, domains=1):
    settings = EncoderSettings(arch=arch, height=64, width=32, weights="random")
    return [build_encoder(settings, chunks, domains) for _ in range(count)]


def small_images(count=8, seed=0):
    return torch.rand(count, 3, 64, 32, generator=torch.Generator().manual_seed(seed))


def test_the_fast_form_differs_in_rounding_only(monkeypatch):
    monkeypatch.setattr(network, "has_fast_bfloat16", lambda device: True)
    exact, fast = small_encoders(2)
    fast.place_on(torch.device("cpu"), "fast")
    z, rough = exact(small_images()), fast(small_images())
    assert rough.dtype == torch.float32
    assert not torch.equal(z, rough)
    assert float((z * rough).detach().sum(dim=1).min()) > 0.99
    assert fast.neck.running_mean.dtype == torch.float32


def test_fast_changes_nothing_where_bfloat16_is_slow(monkeypatch):
    monkeypatch.setattr(network, "has_fast_bfloat16", lambda device: False)
    exact, fast = small_encoders(2)
    fast.place_on(torch.device("cpu"), "fast")
    assert torch.equal(exact(small_images()), fast(small_images()))


@pytest.mark.parametrize(
    ("arch", "domains"),
    [("resnet18", 1), pytest.param("resnet_ibn50a", 2, marks=pytest.mark.slow)],
)
def test_channels_last_maps_give_the_same_numbers(arch, domains):
    plain, turned = small_encoders(2, arch, chunks=2, domains=domains)
    plain.lay_out(channels_last=False)
    for encoder in (plain, turned):
        encoder.double()
        # Two rows of one position a chunk would be normalized to 1 and -1, with no gradient below.
        batches = [small_images(8, seed).double() for seed in range(domains)]
        z = torch.cat(encoder.forward_domains(*batches)) if domains == 2 else encoder(*batches)
        encoder.found = z.detach()
        (z * torch.arange(z.shape[1])).sum().backward()
    assert torch.allclose(plain.found, turned.found, atol=1e-9)
    states = zip(plain.state_dict().values(), turned.state_dict().values(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in states)  # running statistics too
    for a, b in zip(plain.parameters(), turned.parameters(), strict=True):
        if a.grad is not None:
            assert float(a.grad.abs().max()) > 1
            assert torch.allclose(a.grad, b.grad, rtol=1e-6, atol=1e-5)
    maps = turned.eval().trunk(small_images().double())
    assert maps.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("device", "precision", "fast_bfloat16", "channels_last"),
    [("cpu", "exact", False, True), ("meta", "exact", True, False), ("meta", "fast", True, True)],
)
def test_the_layout_follows_device_and_number_format(
    device, precision, fast_bfloat16, channels_last, monkeypatch
):
    monkeypatch.setattr(network, "has_fast_bfloat16", lambda device: fast_bfloat16)
    (encoder,) = small_encoders(1)
    encoder.place_on(torch.device(device), precision)
    assert encoder.channels_last is encoder.grouping.consecutive is channels_last
    weight = encoder.trunk.conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last) is channels_last
    assert weight.device.type == device
