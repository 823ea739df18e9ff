"""The weighted update of DCCC, by its definition and in its limits."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from common.memory import blend_hardest_, blend_mean_
from methods.dccc.memory import blend_weighted_

ROWS, DIM, BATCH = 12, 32, 40


def drawn(seed):
    g = torch.Generator().manual_seed(seed)
    bank, embeddings = (
        F.normalize(torch.randn(count, DIM, generator=g), dim=1) for count in (ROWS, BATCH)
    )
    return bank, torch.randint(ROWS, (BATCH,), generator=g).numpy(), embeddings


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("temperature", [0.03, 0.09, 0.6])
def test_a_row_follows_the_softmax_of_its_distances(seed, temperature):
    bank, rows, embeddings = drawn(seed)
    expected = bank.clone()
    for row in np.unique(rows):
        z = embeddings[rows == row]
        mean = (-(z @ bank[row]) / temperature).softmax(dim=0) @ z
        expected[row] = F.normalize(0.1 * bank[row] + 0.9 * mean, dim=0)
    blend_weighted_(bank, rows, embeddings, 0.1, temperature=temperature)
    torch.testing.assert_close(bank, expected)


@pytest.mark.parametrize(("temperature", "limit"), [(1e-6, blend_hardest_), (1e6, blend_mean_)])
def test_it_lies_between_the_hardest_embedding_and_the_plain_mean(temperature, limit):
    bank, rows, embeddings = drawn(0)
    expected = bank.clone()
    limit(expected, rows, embeddings, 0.1)
    blend_weighted_(bank, rows, embeddings, 0.1, temperature=temperature)
    torch.testing.assert_close(bank, expected)
