"""The disentangled loss by its definition, with a share that tells its two places apart."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from common.recipe import Recipe
from common.replay import replayed, stored_batch
from common.types import PseudoLabels, TrainData
from methods.dsgl.method import DSGL
from methods.dsgl.recipes import DSGLSettings

IMAGES, CLUSTERS, DIM, BATCH = 60, 6, 16, 12


def unit(v):
    return F.normalize(v, dim=-1)


def started(seed, settings):
    g = torch.Generator().manual_seed(seed)
    labels = np.arange(IMAGES) % (CLUSTERS + 1) - 1  # with outliers
    data = TrainData(IMAGES, np.zeros(IMAGES, np.int64))
    method = replayed(DSGL, Recipe("dsgl", "case", settings), DIM, data)
    features = unit(torch.randn(IMAGES, DIM, generator=g))
    method.begin_epoch(0, features, PseudoLabels(labels))
    indices = torch.randperm(IMAGES, generator=g).numpy()
    indices = indices[labels[indices] >= 0][:BATCH]
    outputs = torch.randn(BATCH, DIM, generator=g)
    return method, stored_batch(outputs, indices=indices, labels=labels[indices]), labels


def plain_loss(method, z, batch, labels, share, temperature):
    """mean_i -log exp(q.P_y / t) / (sum_c exp(q.P_c / t) + a sum_m exp(q.n_m / t))"""
    stored, centroids = method.instances.features, method.memory.mean
    first = torch.as_tensor(np.asarray(method.nuisance))[:, 0]
    of_image = torch.from_numpy(labels)
    guided, terms = centroids.clone(), []
    for i, y in zip(batch.all_indices, batch.all_labels, strict=True):
        group = (of_image == y) & (first != first[i])
        mean = stored[group].mean(dim=0) if group.any() else centroids[y]
        guided[y] = (1 - share) * centroids[y] + share * mean  # the last anchor's remains
    guided = unit(guided)
    for q, i, y in zip(z, batch.all_indices, batch.all_labels, strict=True):
        groups = [(of_image == c) & (first == first[i]) for c in range(CLUSTERS) if c != y]
        means = [stored[group].mean(dim=0) for group in groups if group.any()]
        against = unit(torch.stack(means) if means else centroids[first[i]][None])
        every = (guided @ q / temperature).exp()
        total = every.sum() + share * (against @ q / temperature).exp().sum()
        terms.append(-(every[y] / total).log())
    return torch.stack(terms).mean()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.2, 0.9])
def test_the_disentangled_loss_is_the_written_formula(seed, share):
    settings = DSGLSettings(disentangle_share=share, disentangle_temperature=0.2)
    method, batch, labels = started(seed, settings)
    z = method.encoder(batch.views[0])
    found = method.disentangled(z, batch, batch.seen(z), order=0)
    expected = plain_loss(method, z, batch, labels, share, temperature=0.2)
    torch.testing.assert_close(found, expected)
