"""The neighbour search against a full sort of the exact similarities."""

import time
from operator import attrgetter

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from common.clustering import candidates, compiled, copies, label_progress, neighbors
from common.clustering.neighbors import nearest_neighbors
from common.errors import UserError
from common.team import Team


def clustered(size, dim, seed=0, spread=1.5):
    g = torch.Generator().manual_seed(seed)
    centers = torch.randn(1 + size // 12, dim, generator=g)
    identity = torch.randint(len(centers), (size,), generator=g)
    return F.normalize(centers[identity] + spread * torch.randn(size, dim, generator=g), dim=1)


def full_sort(features, k):
    """Itself, then by (similarity falling, index); similarities in float64, rounded once."""
    exact = features.double().numpy()
    similarity = (exact @ exact.T).astype(np.float32)
    index = np.arange(len(exact))
    raised = similarity.copy()
    np.fill_diagonal(raised, np.inf)
    rank = np.stack([np.lexsort((index, -row)) for row in raised])[:, :k]
    return rank, np.take_along_axis(similarity, rank, axis=1)


@pytest.fixture(
    params=["compiled bfloat16", "compiled float32", "tensor bfloat16", "tensor float32"]
)
def form(request, monkeypatch):
    monkeypatch.setattr(compiled, "AVAILABLE", compiled.AVAILABLE and "compiled" in request.param)
    rounds = "bfloat16" in request.param
    monkeypatch.setattr(candidates, "bfloat16_pays", lambda features, k: rounds)
    return request.param


@pytest.mark.parametrize(("size", "dim", "k"), [(700, 48, 30), (300, 256, 20), (150, 16, 1)])
def test_neighbors_equal_a_full_sort(form, size, dim, k):
    features = clustered(size, dim)
    rank, similarity = full_sort(features, k)

    found = nearest_neighbors(features, k)

    assert np.array_equal(found.rank.numpy(), rank)
    assert np.abs(found.similarity.numpy() - similarity).max() <= 6e-8


@pytest.mark.parametrize("times", [2, 10, 40])
def test_duplicates_come_in_index_order_after_the_point_itself(form, times):
    originals = clustered(400 // times, 32, seed=times)
    shuffled = torch.randperm(len(originals) * times, generator=torch.Generator().manual_seed(1))
    features = originals.repeat(times, 1)[shuffled]

    found = nearest_neighbors(features, 30)

    assert np.array_equal(found.rank.numpy(), full_sort(features, 30)[0])


def test_of_a_crowd_of_copies_few_are_ranked(form, monkeypatch):
    crowds = clustered(3, 32).repeat(200, 1)
    features = torch.cat([crowds, clustered(100, 32, seed=1)])
    features = features[torch.randperm(700, generator=torch.Generator().manual_seed(0))]
    ranked, plain = [], neighbors.pair_similarities

    def counted(features, first, second):
        ranked.append(len(first))
        return plain(features, first, second)

    monkeypatch.setattr(neighbors, "pair_similarities", counted)
    found = nearest_neighbors(features, 10)

    assert np.array_equal(found.rank.numpy(), full_sort(features, 10)[0])
    assert sum(ranked) < 2000  # each copy with each other would be 120,000


@pytest.mark.parametrize("alike", [False, True])
def test_rows_count_as_copies_if_they_are_equal_not_if_their_checksums_are(alike, monkeypatch):
    if alike:
        zeros = torch.zeros(6, dtype=torch.int64)
        monkeypatch.setattr(copies, "_checksums", lambda features: zeros)
    a, b, c = torch.eye(3)
    first, number = copies.earlier_copies(torch.stack([a, b, a, c, a, b]))
    assert first.tolist() == [0, 1, 0, 3, 0, 5 if alike else 1]  # fewer may be found, none wrong
    assert number.tolist() == [0, 0, 1, 0, 2, 0 if alike else 1]


def test_orthogonal_points_come_in_index_order(form):
    features = torch.eye(60)[torch.arange(180) % 60]
    found = nearest_neighbors(features, 10)
    assert np.array_equal(found.rank.numpy(), full_sort(features, 10)[0])


def test_fewer_points_than_neighbors_give_all_points(form):
    features = clustered(12, 8)
    found = nearest_neighbors(features, 30)
    assert np.array_equal(found.rank.numpy(), full_sort(features, 12)[0])


def test_one_point_is_its_only_neighbor(form):
    assert nearest_neighbors(torch.ones(1, 1), 30).rank.tolist() == [[0]]


def test_negative_similarities_are_ranked_too(form):
    features = torch.cat([torch.eye(40) - 0.2, 0.2 - torch.eye(40)]).repeat(2, 1)
    features = F.normalize(features + 0.01 * torch.arange(160)[:, None].sin(), dim=1)
    found = nearest_neighbors(features, 100)
    assert np.array_equal(found.rank.numpy(), full_sort(features, 100)[0])


def test_rows_without_a_proof_are_searched_in_full(form, monkeypatch):
    g = torch.Generator().manual_seed(0)
    features = F.normalize(torch.ones(300, 64) + 3e-3 * torch.randn(300, 64, generator=g), dim=1)
    searched = []
    full = neighbors.search_in_full

    def recorded(features, found, rows):
        searched.append(len(rows))
        full(features, found, rows)

    monkeypatch.setattr(neighbors, "search_in_full", recorded)
    found = nearest_neighbors(features, 20)

    assert sum(searched) > 200
    assert np.array_equal(found.rank.numpy(), full_sort(features, 20)[0])


@pytest.mark.parametrize("seed", range(5))
def test_what_was_not_proposed_lies_below_the_limit(form, seed):
    features = clustered(500, 24, seed)
    proposed = candidates.propose(features, 15, range(500))

    exact = features.double() @ features.double().T
    listed = torch.eye(len(features), dtype=bool)
    for row, (ids, count) in enumerate(zip(proposed.ids, proposed.counts, strict=True)):
        listed[row, ids[:count].long()] = True
    missed = exact.masked_fill(listed, -torch.inf).amax(dim=1)

    assert (missed <= proposed.limit).all()
    assert (proposed.limit - missed).mean() < 0.02  # a loose bound would prove nothing


def test_the_limit_of_a_row_that_bfloat16_holds_allows_for_the_rounding_of_others(monkeypatch):
    monkeypatch.setattr(candidates, "keeps_sums", lambda device: True)
    larger = torch.ones(512) + 0.9 * 2**-8  # rounded down to 1, as the smaller to 1 - 2**-8
    smaller = (2 - larger[0] ** 2).sqrt().expand(512)
    features = torch.stack([torch.ones(1024), torch.cat([larger, smaller])]) / 32
    rounded = features.to(torch.bfloat16)
    change = candidates._change(features, torch.bfloat16)
    missed = (rounded[0].float() @ rounded[1].float()).expand(2)

    limit = candidates._limit(features, missed, change, torch.bfloat16)

    assert change[0] == 0
    assert missed[0] + 1e-3 < features[0] @ features[1] < limit[0]

    monkeypatch.setattr(candidates, "keeps_sums", lambda device: False)
    errors = [candidates._limit(features, m, change, torch.bfloat16) - m for m in (missed, -missed)]
    torch.testing.assert_close(*errors)


def test_no_two_threads_change_the_same_lists_at_once(monkeypatch):
    changing = set()

    def alone(kernel, side):
        def merge(block, *rest):
            lists = rest[side]
            assert lists not in changing
            changing.add(lists)
            time.sleep(5e-4)
            kernel(block, *rest)
            changing.remove(lists)

        return merge

    for side, name in enumerate(("merge_rows", "merge_columns")):
        kernel = getattr(compiled.search, name)
        monkeypatch.setattr(compiled.search, name, alone(kernel, side))
    monkeypatch.setattr(candidates, "BLOCK", 80)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        candidates.propose(clustered(300, 16), 10, range(300))
    finally:
        torch.set_num_threads(before)


def test_rows_that_bfloat16_holds_exactly_are_proved_by_how_it_rounds_products(form):
    size, g = 4096, torch.Generator().manual_seed(0)

    def changed(row, count):
        chosen = torch.randperm(size, generator=g)[:count]
        return row.scatter(0, chosen, -row[chosen])

    first = torch.where(torch.rand(size, generator=g) < 0.5, 1.0, -1.0) / 64
    rows = [first, *(changed(first, 1021) for _ in range(120))]
    rows += [changed(first, 1020) for _ in range(40)]  # nearer, by less than bfloat16 can tell
    for _ in range(12):
        center = torch.where(torch.rand(size, generator=g) < 0.5, 1.0, -1.0) / 64
        rows += [changed(center, 10 + 8 * n) for n in range(60)]
    features = torch.stack(rows)
    found = nearest_neighbors(features, 30)

    assert np.array_equal(found.rank.numpy(), full_sort(features, 30)[0])


@pytest.mark.parametrize("dropped", [0, 1])
def test_only_where_nothing_was_dropped_the_limit_is_below_everything(form, dropped):
    dtype = torch.bfloat16 if "bfloat16" in form else torch.float32
    size = candidates.listed(clustered(100, 8), 12, dtype) + 1 + dropped
    proposed = candidates.propose(clustered(size, 8), 12, range(size))
    assert ((proposed.limit == -torch.inf) == (dropped == 0)).all()


@pytest.mark.parametrize(("size", "keep"), [(64 * 40, 10), (64 * 40 + 33, 10), (700, 1), (300, 63)])
def test_the_largest_entries_are_those_of_a_full_sort(size, keep):
    g = torch.Generator().manual_seed(size)
    block = torch.randn(50, size, generator=g).mul(20).round().div(20)  # many are equal
    block[:, -30:] = -torch.inf
    block[1, keep:] = -torch.inf
    block[2, : size - keep - 30] = -torch.inf
    block[3] = 0.5

    largest, columns = candidates._largest(block, keep)

    assert torch.equal(largest, block.sort(dim=1, descending=True).values[:, :keep])
    assert torch.equal(largest, block.gather(1, columns))
    assert all(len(row.unique()) == keep for row in columns)


@pytest.mark.parametrize("size", [63, 64, 1000])
def test_products_that_keep_float32_sums_give_the_same_neighbors(size, monkeypatch):
    monkeypatch.setattr(compiled, "AVAILABLE", False)
    monkeypatch.setattr(candidates, "bfloat16_pays", lambda features, k: True)
    monkeypatch.setattr(candidates, "keeps_sums", lambda device: True)
    monkeypatch.setattr(
        candidates, "_product", lambda rows, columns: rows.float() @ columns.float().T
    )
    monkeypatch.setattr(candidates, "GROUP", 4)
    features = clustered(size, 49)
    assert np.array_equal(nearest_neighbors(features, 20).rank.numpy(), full_sort(features, 20)[0])


def cut_off(numbers, largest):
    """Multiples of a unit in the last place of the largest, towards 0."""
    unit = 2.0**-23 * largest.log2().floor().exp2()
    return (numbers / unit).floor() * unit


@pytest.mark.parametrize("at_a_time", [4, 16])
@pytest.mark.parametrize("dim", [511, 2048])
@pytest.mark.parametrize("largest", [0.5, 1.0])  # a unit of sums from 1 on is two roundings
def test_sums_cut_off_as_on_tensor_cores_lie_within_the_limit(at_a_time, dim, largest, monkeypatch):
    monkeypatch.setattr(candidates, "keeps_sums", lambda device: True)
    unit = 2.0**-23 * largest
    nearly_a_unit_lost = (int((1 - largest) / unit / dim) + 0.99) * unit
    products = torch.full((dim,), nearly_a_unit_lost, dtype=torch.float64)
    products[0] = largest
    found = torch.zeros(1, dtype=torch.float64)
    for some in products.split(at_a_time):
        addends = torch.cat([found, some])
        total = cut_off(addends, addends.max()).sum(dim=0, keepdim=True)
        found = cut_off(total, total)

    features = F.normalize(torch.ones(1, dim), dim=1)
    limit = candidates._limit(features, found.float(), torch.zeros(1), torch.bfloat16)

    lost = 0.95 * 2 * largest * candidates.float32_error(features)
    assert found + lost < products.sum() < limit


@pytest.mark.parametrize("of", ["backends", "backends.cuda.matmul", "backends.mkldnn.matmul"])
def test_float32_products_of_reduced_precision_widen_the_limit(of):
    features = clustered(50, 8)
    exact = candidates.float32_error(features)
    backend = attrgetter(of)(torch)
    before = backend.fp32_precision
    backend.fp32_precision = "tf32"
    try:
        assert candidates.float32_error(features) > exact + 2 * 2**-8  # of both factors
    finally:
        backend.fp32_precision = before


@pytest.mark.parametrize("block", [101, 4096])
@pytest.mark.parametrize("threads", [1, 2])
def test_blocks_and_threads_do_not_change_the_result(form, block, threads, monkeypatch):
    features = clustered(450, 32, spread=2.0)
    expected = full_sort(features, 15)[0]
    monkeypatch.setattr(candidates, "BLOCK", block)
    monkeypatch.setattr(candidates, "ROW_BLOCK", 450 * block)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = nearest_neighbors(features, 15)
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(found.rank.numpy(), expected)


@pytest.mark.parametrize("block", [7, 4096])
@pytest.mark.parametrize("processes", [2, 7])
@pytest.mark.parametrize("size", [450, 5])
def test_the_parts_of_several_processes_are_the_rows_of_one(
    form, block, processes, size, monkeypatch
):
    features = clustered(size, 32, spread=2.0)
    later = features[size // 2 :]
    later[:] = F.normalize(1 + 3e-3 * later, dim=1)  # too near each other for a proof
    expected = nearest_neighbors(features, 15)
    monkeypatch.setattr(candidates, "BLOCK", block)
    monkeypatch.setattr(Team, "complete_", lambda team, rows: rows)
    for rank in range(processes):
        team = Team(rank, processes)
        part = team.part(size)
        found = nearest_neighbors(features, 15, team)
        own = slice(part.start, part.stop)
        assert torch.equal(found.rank[own], expected.rank[own])
        assert torch.equal(found.similarity[own], expected.similarity[own])


def test_whoever_watches_hears_of_every_block_until_all_are_done(form, monkeypatch):
    monkeypatch.setattr(candidates, "BLOCK", 80)
    monkeypatch.setattr(candidates, "ROW_BLOCK", 300 * 40)
    heard = []

    def watch(what, done, total):
        if what == "comparing images":
            heard.append((done, total))

    with label_progress(watch):
        nearest_neighbors(clustered(300, 16), 5)
    *blocks, full_search = heard
    assert len(blocks) > 4
    assert blocks == [(done, len(blocks)) for done in range(1, len(blocks) + 1)]
    assert full_search == (1, 1)
    nearest_neighbors(clustered(300, 16), 5)
    assert len(heard) == len(blocks) + 1  # nobody watches any more


def test_bfloat16_is_left_alone_where_similarities_lie_too_close(monkeypatch):
    monkeypatch.setattr(candidates, "has_fast_bfloat16", lambda device: True)
    g = torch.Generator().manual_seed(0)
    crowd = F.normalize(torch.ones(300, 64) + 1e-2 * torch.randn(300, 64, generator=g), dim=1)
    assert not candidates.bfloat16_pays(crowd, 20)
    assert candidates.bfloat16_pays(clustered(300, 16, spread=0.5), 20)


@pytest.mark.parametrize("flaw", [float("nan"), float("inf"), 3.0])
def test_rows_that_are_not_unit_vectors_are_refused(flaw):
    features = clustered(40, 8)
    features[7, 2] = flaw
    with pytest.raises(UserError, match=r"1 of 40 features .* row 7"):
        nearest_neighbors(features, 5)


@pytest.mark.parametrize("wrong", [torch.eye(4).double(), torch.ones(4), torch.empty(0, 4)])
def test_what_are_no_float32_rows_is_refused(wrong):
    with pytest.raises(ValueError, match=r"expected \(N, D\) float32 features"):
        nearest_neighbors(wrong, 2)
