"""The disentangled loss by its definition, and what a step and an epoch look at."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from common.memory import members_by_class
from common.recipe import Recipe
from common.replay import replayed, stored_batch
from common.types import PseudoLabels, TrainData
from methods.dsgl import disentangle
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


def plain_loss(method, z, batch, labels, share, temperature, order=0):
    """mean_i -log exp(q.P_y / t) / (sum_c exp(q.P_c / t) + a sum_m exp(q.n_m / t))"""
    stored, centroids = method.instances.features, method.memory.mean
    first, asked = torch.from_numpy(method.nuisance)[:, [0, order]].T
    of_image = torch.from_numpy(labels)
    guided, terms = centroids.clone(), []
    for i, y in zip(batch.all_indices, batch.all_labels, strict=True):
        group = (of_image == y) & (first != asked[i])
        mean = stored[group].mean(dim=0) if group.any() else centroids[y]
        guided[y] = (1 - share) * centroids[y] + share * mean  # the last anchor's remains
    guided = unit(guided)
    for q, i, y in zip(z, batch.all_indices, batch.all_labels, strict=True):
        groups = [(of_image == c) & (first == asked[i]) for c in range(CLUSTERS) if c != y]
        means = [stored[group].mean(dim=0) for group in groups if group.any()]
        against = unit(torch.stack(means) if means else centroids[asked[i]][None])
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
    groups = method.groups_of(batch.seen(z), 0)
    found = method.disentangled(z, batch.labels, groups)
    expected = plain_loss(method, z, batch, labels, share, temperature=0.2)
    torch.testing.assert_close(found, expected)


def plain_entropy(method, z, batch, labels, order, among):
    """mean_i KL(softmax(q.Q / t) || softmax(q.A / t)): the partners are the anchors themselves"""
    stored, s = method.instances.features, method.settings
    found, asked = torch.from_numpy(method.nuisance)[:, [among, order]].T
    of_image, pulled = torch.from_numpy(labels), method.memory.mean.clone()
    for i, y in zip(batch.all_indices, batch.all_labels, strict=True):
        for c in range(CLUSTERS):
            alike = (found != asked[i]) if c == y else (found == asked[i])
            group, share = (of_image == c) & alike, s.positive_share if c == y else s.negative_share
            if c == y or group.any():
                mean = stored[group].mean(dim=0) if group.any() else method.memory.mean[y]
                pulled[c] = unit((1 - share) * pulled[c] + share * mean)
    log_p, log_other = (
        (z @ rows.T / s.entropy_temperature).log_softmax(dim=1)
        for rows in (pulled, method.memory.mean)
    )
    return F.kl_div(log_other, log_p, reduction="batchmean", log_target=True)


@pytest.mark.parametrize(
    ("changes", "order", "among"),
    [({}, 0, 0), ({"disentangle_orders": "both"}, 1, 0), ({"entropy_groups": "own"}, 0, 1)],
)
def test_a_step_asks_for_second_nuisance_labels_where_the_settings_say(changes, order, among):
    method, batch, labels = started(5, DSGLSettings(**changes))
    views = (view.detach() for view in batch.views * 2)
    batch = stored_batch(*views, indices=batch.all_indices, labels=batch.all_labels)
    z = method.encoder(batch.views[0])
    before = plain_loss(method, z, batch, labels, 0.5, 0.05)
    losses = method.training_step(batch).losses  # writes the batch into the table
    after = plain_loss(method, z, batch, labels, 0.5, 0.05, order)
    torch.testing.assert_close(losses["disentangle"], (before + after) / 2)
    entropy = [plain_entropy(method, z, batch, labels, *which) for which in ((0, 0), (1, among))]
    torch.testing.assert_close(losses["entropy"], torch.stack(entropy).mean())


def test_a_step_reads_no_image_outside_the_groups_of_its_batch():
    method, batch, labels = started(0, DSGLSettings())
    method.set_nuisance((labels[:, None] + [1, 2]) % CLUSTERS)  # of cluster c: c + 1, c + 2
    some = batch.all_labels <= 1
    batch = stored_batch(
        *(view.detach()[some] for view in batch.views * 2),
        indices=batch.all_indices[some],
        labels=batch.all_labels[some],
    )
    needed = np.isin(labels, [0, 1, 2])  # 2: the negatives of cluster 0's second label
    before = method.training_step(batch).losses
    method.instances.features[torch.from_numpy(~needed)] = torch.nan
    after = method.training_step(batch).losses
    assert all(loss.isfinite() for loss in after.values()), (before, after)


def test_of_three_clusters_an_image_resembles_the_other_two():
    method, _, _ = started(0, DSGLSettings())
    labels = np.arange(IMAGES) % 3
    method.begin_epoch(0, method.instances.features, PseudoLabels(labels))
    others = np.array([[1, 2], [0, 2], [0, 1]])
    np.testing.assert_array_equal(np.sort(method.nuisance), others[labels])


def test_nuisance_labels_found_in_small_blocks_are_the_same(monkeypatch):
    method, _, labels = started(1, DSGLSettings())
    given = (method.instances.features, labels, method.memory.mean)
    whole = disentangle.nuisance_labels(*given)
    monkeypatch.setattr(disentangle, "rows_at_once", lambda columns, device: 7)
    np.testing.assert_array_equal(disentangle.nuisance_labels(*given), whole)


def test_partners_are_drawn_from_the_own_cluster_without_sorting_all_images_again(monkeypatch):
    method, batch, labels = started(2, DSGLSettings())
    monkeypatch.setattr(np, "argsort", None)
    indices, partners = method.view_indices(batch.all_indices, method.stream).T
    np.testing.assert_array_equal(labels[indices], labels[partners])
    assert (indices != partners).any()


def test_the_table_takes_over_the_epoch_s_features_and_is_gone_before_the_next_are_extracted():
    method, _, labels = started(3, DSGLSettings())
    features = unit(torch.randn(IMAGES, DIM))

    def extract(domain):
        assert not hasattr(method, "instances")
        return features

    extracted = method.clustering_features(extract)
    method.begin_epoch(1, extracted, PseudoLabels(labels))
    assert method.instances.features.data_ptr() == features.data_ptr()


def test_every_image_of_a_cluster_may_be_the_partner():
    order, bounds = members_by_class(np.array([1, 0, 1, -1, 1]), 2)
    rng = np.random.RandomState(0)
    partners = disentangle.drawn_partners(order, bounds, np.repeat([0, 1], 50), rng)
    assert [set(part) for part in np.split(partners, 2)] == [{1}, {0, 2, 4}]
