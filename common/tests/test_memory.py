"""The update rules against plain loops over the batch, bit for bit, and what they leave alone."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from common.memory import (
    blend_hardest_,
    blend_mean_,
    blend_rows_,
    centroids,
    class_means,
    hardest_and_mean,
    hardest_members,
    last_mentions,
    turn_of,
)

SEEDS = range(10)
SIZES = [(12, 32, 40), (1, 7, 9), (600, 256, 64), (5, 2048, 80), (30, 1, 30)]  # rows, dim, batch


def random_case(seed, rows=12, dim=32, batch=40):
    g = torch.Generator().manual_seed(seed)
    bank = F.normalize(torch.randn(rows, dim, generator=g), dim=1)
    embeddings = F.normalize(torch.randn(batch, dim, generator=g), dim=1)
    return bank, torch.randint(rows, (batch,), generator=g).numpy(), embeddings


def blend_one_(bank, row, embedding, momentum):
    bank[row] = momentum * bank[row] + (1 - momentum) * embedding
    bank[row] /= bank[row].norm()


def members(rows):
    """Positions of every row's embeddings in batch order, rows ascending."""
    found = {}
    for position, row in enumerate(rows.tolist()):
        found.setdefault(row, []).append(position)
    return dict(sorted(found.items()))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_turn_counts_the_earlier_mentions(seed):
    _, rows, _ = random_case(seed)
    expected = [rows[:i].tolist().count(row) for i, row in enumerate(rows.tolist())]

    assert turn_of(rows).tolist() == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_the_last_mention_of_a_row_is_found(seed):
    _, rows, _ = random_case(seed)
    present, last = last_mentions(rows)
    expected = {row: positions[-1] for row, positions in members(rows).items()}
    assert dict(zip(present.tolist(), last.tolist(), strict=True)) == expected


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("momentum", [0.0, 0.1, 0.2, 1 / 3, 0.9, 1.0])
def test_blending_equals_the_plain_loop_bit_for_bit(seed, size, momentum):
    bank, rows, embeddings = random_case(seed, *size)
    expected = bank.clone()
    for row, z in zip(rows, embeddings, strict=True):
        blend_one_(expected, row, z, momentum)

    blend_rows_(bank, rows, embeddings, momentum)

    assert torch.equal(bank, expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_kept_share_can_differ_by_embedding(seed):
    bank, rows, embeddings = random_case(seed)
    momentum = torch.rand(len(rows), generator=torch.Generator().manual_seed(seed))
    expected = bank.clone()
    for row, z, kept in zip(rows, embeddings, momentum, strict=True):
        blend_one_(expected, row, z, kept)

    blend_rows_(bank, rows, embeddings, momentum)

    assert torch.equal(bank, expected)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", SIZES)
def test_blending_the_hardest_equals_the_plain_loop_bit_for_bit(seed, size):
    bank, rows, embeddings = random_case(seed, *size)
    expected = bank.clone()
    for row, positions in members(rows).items():
        hardest = min(positions, key=lambda p: float((embeddings[p] * bank[row]).sum()))
        blend_one_(expected, row, embeddings[hardest], 0.1)

    blend_hardest_(bank, rows, embeddings, 0.1)

    assert torch.equal(bank, expected)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", SIZES)
def test_blending_the_mean_equals_the_plain_loop_bit_for_bit(seed, size):
    bank, rows, embeddings = random_case(seed, *size)
    expected = bank.clone()
    for row, positions in members(rows).items():
        blend_one_(expected, row, sum(embeddings[p] for p in positions) / len(positions), 0.1)

    blend_mean_(bank, rows, embeddings, 0.1)

    assert torch.equal(bank, expected)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rule", [blend_rows_, blend_hardest_, blend_mean_])
def test_rows_not_named_stay_and_named_rows_keep_unit_length(seed, rule):
    bank, rows, embeddings = random_case(seed, rows=100)
    before = bank.clone()

    rule(bank, rows, embeddings.requires_grad_(), 0.2)

    assert not bank.requires_grad
    named = torch.from_numpy(np.isin(np.arange(100), rows))
    assert torch.equal(bank[~named], before[~named])
    assert (bank[named] != before[named]).any(dim=1).all()
    torch.testing.assert_close(bank.norm(dim=1), torch.ones(100), rtol=0, atol=1e-6)


def test_the_last_mention_weighs_most():
    bank = torch.tensor([[1.0, 0.0]])
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0]])

    blend_rows_(bank, np.array([0, 0]), z, 0.1)

    assert bank[0, 1] > 0.9


@pytest.mark.parametrize("rule", [blend_rows_, blend_hardest_, blend_mean_])
def test_an_empty_batch_changes_nothing(rule):
    bank, rows, embeddings = random_case(0)
    before = bank.clone()

    rule(bank, rows[:0], embeddings[:0], 0.2)

    assert torch.equal(bank, before)


def test_rules_leave_the_batch_as_it_is():
    bank, rows, embeddings = random_case(0)
    before = embeddings.clone(), rows.copy()

    for rule in (blend_rows_, blend_hardest_, blend_mean_):
        rule(bank, rows, embeddings, 0.2)

    assert torch.equal(embeddings, before[0])
    assert (rows == before[1]).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_hardest_member_is_least_similar_and_first_on_a_tie(seed):
    bank, rows, embeddings = random_case(seed)
    rows, embeddings = np.tile(rows, 2), embeddings.repeat(2, 1)  # every embedding twice

    present, position = hardest_members(bank, rows, embeddings)

    similarity = (embeddings * bank[rows]).sum(dim=1)
    for row, found in zip(present.tolist(), position.tolist(), strict=True):
        same = [i for i, other in enumerate(rows.tolist()) if other == row]
        assert found == min(same, key=lambda i: (float(similarity[i]), i))
    assert present.tolist() == sorted(set(rows.tolist()))


@pytest.mark.parametrize("seed", SEEDS)
def test_hardest_and_mean_are_those_of_each_named_row(seed):
    bank, rows, embeddings = random_case(seed)

    present, hardest, mean = hardest_and_mean(bank, rows, embeddings.requires_grad_())

    assert not hardest.requires_grad
    assert not mean.requires_grad
    for i, (row, positions) in enumerate(members(rows).items()):
        similarity = embeddings[positions] @ bank[row]
        assert present[i] == row
        torch.testing.assert_close(hardest[i], embeddings[positions][similarity.argmin()])
        torch.testing.assert_close(mean[i], embeddings[positions].mean(dim=0))


def test_class_means_leave_out_negative_labels_and_give_zeros_to_empty_classes():
    features = torch.tensor([[1.0, 0.0], [3.0, 4.0], [9.0, 9.0], [0.0, 2.0]])
    labels = np.array([0, 0, -1, 2])

    assert class_means(features, labels, 3).tolist() == [[2.0, 2.0], [0.0, 0.0], [0.0, 2.0]]
    assert centroids(features, labels, 3)[2].tolist() == [0.0, 1.0]


@pytest.mark.gpu
@pytest.mark.parametrize("rule", [blend_rows_, blend_hardest_, blend_mean_])
def test_gpu_and_cpu_agree(rule):
    bank, rows, embeddings = random_case(0, 600, 2048, 256)
    on_gpu = bank.cuda()

    rule(on_gpu, rows, embeddings.cuda(), 0.1)

    rule(bank, rows, embeddings, 0.1)
    torch.testing.assert_close(on_gpu.cpu(), bank, rtol=0, atol=1e-6)
