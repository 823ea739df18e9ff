"""Batch norm per chunk and per domain against plain loops written from the definition."""

import copy
import shutil

import pytest
import torch
import torch.nn.functional as F

from common.backbones.batchnorm import (
    BatchNorm,
    DomainBatchNorm,
    Grouping,
    _group_statistics,
    deinterleave,
    interleave,
    split_domains,
)
from common.backbones.network import COMPILER_OPTIONS

SHAPES = [(12, 5, 4, 3), (12, 7)]


def random_norm(channels, grouping, seed=0):
    g = torch.Generator().manual_seed(seed)
    norm = BatchNorm(channels, grouping=grouping)
    with torch.no_grad():
        norm.weight.copy_(torch.rand(channels, generator=g) + 0.5)
        norm.bias.copy_(torch.randn(channels, generator=g))
        norm.running_mean.copy_(torch.randn(channels, generator=g))
        norm.running_var.copy_(torch.rand(channels, generator=g) + 0.5)
    return norm.double()


def random_rows(shape, seed):
    g = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(shape, generator=g) + 1).double()


def plain(x, norm):
    """One chunk from the definition: outputs, and the running statistics it would leave."""
    dims = [d for d in range(x.dim()) if d != 1]
    shape = [1, -1] + [1] * (x.dim() - 2)
    mean, var = x.mean(dims), x.var(dims, unbiased=False)
    y = (x - mean.view(shape)) / (var.view(shape) + 1e-5).sqrt()
    y = y * norm.weight.view(shape) + norm.bias.view(shape)
    running_mean = 0.9 * norm.running_mean + 0.1 * mean.detach()
    running_var = 0.9 * norm.running_var + 0.1 * x.detach().var(dims, unbiased=True)
    return y, running_mean, running_var


def gradients(y, leaves, seed=9):
    g = torch.Generator().manual_seed(seed)
    upstream = torch.randn(y.shape, generator=g).double()
    return torch.autograd.grad((y * upstream).sum(), leaves)


def assert_close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("chunks", [1, 2, 3, 4, 5, 6])
def test_chunks_equal_the_plain_loop_over_chunks(shape, chunks):
    norm = random_norm(shape[1], Grouping(chunks))
    x = random_rows(shape, seed=1).requires_grad_()
    parts = [plain(part, norm) for part in x.chunk(chunks)]  # 5: 12 rows do not divide
    expected = torch.cat([y for y, _, _ in parts])
    leaves = [x, norm.weight, norm.bias]
    expected_gradients = gradients(expected, leaves)

    (y,) = deinterleave(norm(interleave([x], chunks)), chunks)

    assert_close(y, expected)
    for ours, theirs in zip(gradients(y, leaves), expected_gradients, strict=True):
        assert_close(ours, theirs)
    assert_close(norm.running_mean, parts[0][1])
    assert_close(norm.running_var, parts[0][2])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("chunks", [1, 2, 3])
def test_a_pair_equals_two_norms_on_the_chunks_of_their_domains(shape, chunks):
    grouping = Grouping(chunks, ("source", "target"))
    pair = DomainBatchNorm(random_norm(shape[1], grouping))
    pair.target.load_state_dict(random_norm(shape[1], grouping, seed=5).state_dict())
    norms = [pair.source, pair.target]
    batches = [random_rows(shape, seed).requires_grad_() for seed in (1, 2)]
    parts = [
        [plain(part, norm) for part in batch.chunk(chunks)]
        for batch, norm in zip(batches, norms, strict=True)
    ]
    expected = torch.cat([y for domain in parts for y, _, _ in domain])
    leaves = [*batches, *pair.parameters()]
    expected_gradients = gradients(expected, leaves)

    y = torch.cat(deinterleave(pair(interleave(batches, chunks)), chunks, domains=2))

    assert_close(y, expected)
    for ours, theirs in zip(gradients(y, leaves), expected_gradients, strict=True):
        assert_close(ours, theirs)
    for norm, domain in zip(norms, parts, strict=True):
        assert_close(norm.running_mean, domain[0][1])
        assert_close(norm.running_var, domain[0][2])


@pytest.mark.parametrize("chunks", [1, 4])
def test_evaluation_uses_the_running_statistics_whatever_the_chunks(chunks):
    norm = random_norm(7, Grouping(chunks)).eval()
    x = random_rows((5, 7), seed=1)
    before = copy.deepcopy(norm.state_dict())

    y = norm(x)

    scale = norm.weight / (norm.running_var + 1e-5).sqrt()
    assert_close(y, (x - norm.running_mean) * scale + norm.bias)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_evaluation_passes_each_domain_through_its_own_norm():
    grouping = Grouping(4, ("source", "target"))
    pair = DomainBatchNorm(random_norm(7, grouping)).eval()
    pair.target.load_state_dict(random_norm(7, grouping, seed=5).state_dict())
    batches = [random_rows((6, 7), seed) for seed in (1, 2)]

    source, target = deinterleave(pair(interleave(batches, 1)), 1, domains=2)

    assert_close(source, pair.source(batches[0]))
    assert_close(target, pair.target(batches[1]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_chunk_is_the_layer_of_torch_bit_for_bit(dtype):
    norm, theirs = BatchNorm(5), torch.nn.BatchNorm2d(5)
    x = random_rows((8, 5, 4, 3), seed=1).to(dtype)

    for _ in range(3):
        assert torch.equal(norm(x), theirs(x))

    assert torch.equal(norm.running_mean, theirs.running_mean)
    assert torch.equal(norm.running_var, theirs.running_var)


def test_statistics_of_bfloat16_maps_are_kept_in_float32():
    norm = BatchNorm(5, grouping=Grouping(4))
    x = (100 + random_rows((8, 5, 4, 3), seed=1)).bfloat16()

    y = norm(interleave([x], 4))

    mean = x[:2].double().mean(dim=(0, 2, 3))
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(norm.running_mean.double(), 0.1 * mean, rtol=1e-5, atol=0)


def test_channels_last_maps_give_the_same():
    x = random_rows((8, 6, 4, 3), seed=1)
    norms = [random_norm(6, Grouping(4)) for _ in range(2)]

    plain_layout, channels_last = (
        norm(rows)
        for norm, rows in zip(norms, (x, x.to(memory_format=torch.channels_last)), strict=True)
    )

    assert_close(channels_last, plain_layout)
    assert_close(norms[0].running_var, norms[1].running_var)


LAID_OUT = {
    "channels-last": lambda x: x.to(memory_format=torch.channels_last),
    "channels-first": lambda x: x,
    "half of the channels": lambda x: x.to(memory_format=torch.channels_last).repeat(1, 2, 1, 1)[
        :, : x.shape[1]
    ],
}


@pytest.mark.parametrize("layout", LAID_OUT)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("domains", "chunks", "rows"), [(1, 3, 12), (2, 3, 12), (1, 5, 12)])
def test_consecutive_groups_are_torchs_layers_joined_bit_for_bit(
    domains, chunks, rows, dtype, layout
):
    grouping = Grouping(chunks, ("source", "target")[-domains:], consecutive=True)
    pair = DomainBatchNorm(random_norm(6, grouping).float())
    pair.source.load_state_dict(random_norm(6, grouping, seed=5).state_dict())
    x = random_rows((rows, 6, 4, 3), seed=1).to(dtype)
    theirs = copy.deepcopy(pair)

    def joined(x):
        parts = []
        for name, of_domain in zip(
            grouping.domains, LAID_OUT[layout](x).chunk(domains), strict=True
        ):
            norm = theirs.get_submodule(name)
            for k, part in enumerate(of_domain.chunk(chunks)):
                running = (None, None) if k else (norm.running_mean, norm.running_var)
                parts.append(F.batch_norm(part, *running, norm.weight, norm.bias, True))
        return torch.cat(parts)

    used, of_theirs = (both if domains == 2 else both.target for both in (pair, theirs))
    ours = outputs_and_gradients(lambda x: pair(LAID_OUT[layout](x)), used, x)
    expected = outputs_and_gradients(joined, of_theirs, x)

    assert all(torch.equal(one, other) for one, other in zip(ours, expected, strict=True))


def test_a_group_of_one_number_is_refused_in_every_layout():
    for consecutive in (False, True):
        norm = BatchNorm(4, grouping=Grouping(3, consecutive=consecutive))
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            norm(torch.zeros(3, 4, 1, 1).to(memory_format=torch.channels_last))


@pytest.mark.parametrize("domains", [1, 2])
@pytest.mark.parametrize("chunks", [1, 2, 3])
def test_interleaved_rows_belong_to_group_row_modulo_groups(domains, chunks):
    batches = [100 * d + torch.arange(6) for d in range(domains)]

    rows = interleave(batches, chunks)

    for r, row in enumerate(rows.tolist()):
        chunk, domain = divmod(r % (chunks * domains), domains)
        assert row // 100 == domain
        assert row % 100 // (6 // chunks) == chunk
    for batch, back in zip(batches, deinterleave(rows, chunks, domains), strict=True):
        assert torch.equal(batch, back)


def test_the_grouped_map_is_a_view_of_the_interleaved_one():
    rows = interleave([random_rows((12, 5, 4, 3), seed=1)], 4)

    assert rows.reshape(3, 20, 4, 3).data_ptr() == rows.data_ptr()


def test_splitting_copies_every_norm_and_frees_its_bias():
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 1), torch.nn.Sequential(random_norm(4, Grouping()))
    )
    original = copy.deepcopy(network[1][0])
    network[1][0].bias.requires_grad_(False)

    split_domains(network)
    split_domains(network)  # a second call finds nothing to do

    pair = network[1][0]
    for norm in (pair.source, pair.target):
        assert isinstance(norm, BatchNorm)
        assert norm.bias.requires_grad
        for name, value in original.state_dict().items():
            assert torch.equal(norm.state_dict()[name], value)
    assert pair.source.weight is not pair.target.weight


with_code = [
    pytest.mark.slow,  # compiling C++
    pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler"),
]


def test_only_what_is_written_once_differs_from_a_mode_of_torch():
    mode = torch._inductor.list_mode_options("reduce-overhead")
    assert {**mode, "realize_reads_threshold": 2} == COMPILER_OPTIONS


@pytest.mark.parametrize(
    ("backend", "device"),
    [
        ("aot_eager", "cpu"),
        pytest.param("inductor", "cpu", marks=with_code),
        pytest.param("inductor", "cuda", marks=pytest.mark.gpu),
    ],
)
@pytest.mark.parametrize(("dtype", "domains"), [(torch.float32, 2), (torch.bfloat16, 1)])
def test_compiled_groups_equal_those_that_are_not(backend, device, dtype, domains):
    grouping = Grouping(2, ("source", "target")[-domains:], consecutive=True)
    plain = random_norm(6, grouping).float()
    plain = (DomainBatchNorm(plain) if domains == 2 else plain).to(device)
    compiled = copy.deepcopy(plain)
    options = COMPILER_OPTIONS if backend == "inductor" else None
    torch._dynamo.reset()
    forward = torch.compile(
        compiled, fullgraph=True, dynamic=False, backend=backend, options=options
    )
    x = random_rows((8 * domains, 6, 5, 4), seed=1).to(device, dtype)
    x = x.contiguous(memory_format=torch.channels_last)

    expected = outputs_and_gradients(plain, plain, x.float())
    found = outputs_and_gradients(forward, compiled, x)

    assert found[0].dtype == found[1].dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 1e-2
    for ours, theirs in zip(found, expected, strict=True):
        largest = float(theirs.abs().max())
        torch.testing.assert_close(ours.float(), theirs, rtol=tolerance, atol=tolerance * largest)


@pytest.mark.parametrize(("mean", "dtype"), [(0, torch.float32), (300, torch.bfloat16)])
def test_statistics_of_groups_are_exact_also_far_from_zero(mean, dtype):
    x = (mean + random_rows((8, 3, 16, 8), seed=1)).to(dtype)

    found = _group_statistics(x, 2)

    groups = x.double().unflatten(0, (2, -1)).transpose(1, 2).flatten(2)
    for ours, theirs in zip(found, (groups.mean(2), groups.var(2, correction=0)), strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-6, atol=1e-7)


def test_maps_of_one_value_have_no_variance():
    x = torch.full((4, 2, 32, 16), 0.1).bfloat16()
    assert torch.equal(_group_statistics(x, 2)[1], torch.zeros(2, 2))


def outputs_and_gradients(forward, norm, x):
    """Of a weighted sum: the output, gradients of x and the parameters, running statistics."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = forward(x)
    upstream = random_rows(y.shape, seed=2).bfloat16().to(y)  # two formats hold the same
    (y * upstream).sum().backward()
    return [y.detach(), x.grad, *(p.grad for p in norm.parameters()), *norm.buffers()]


def test_uneven_rows_of_two_domains_are_an_error():
    pair = DomainBatchNorm(random_norm(7, Grouping(4, ("source", "target"))))

    with pytest.raises(ValueError, match="do not fill 4 equal chunks"):
        pair(random_rows((12, 7), seed=1))
