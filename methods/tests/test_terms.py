"""A setting of one loss term reaches that term alone, and weights are what the pages say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from common.instances import InstanceMemory
from common.recipe import Recipe
from common.replay import replayed, stored_batch
from common.types import PseudoLabels, TrainData
from methods import METHODS
from methods.build import BUILDS

IMAGES, CLUSTERS, DIM = 48, 6, 16


def begun(method, labels, g, **changes):
    """The method at the begin of an epoch on drawn features, with these settings and labels."""
    spec = METHODS[method]
    recipe = Recipe(method, "case", replace(spec.settings(), **changes))
    replay = replayed(BUILDS[method], recipe, DIM, TrainData(IMAGES, np.zeros(IMAGES, np.int64)))
    features = F.normalize(torch.randn(IMAGES, DIM, generator=g), dim=1)
    replay.begin_training(lambda domain: features)
    replay.begin_epoch(0, features, PseudoLabels(labels))
    return replay


def losses(method, **changes):
    """The loss terms of a second step."""
    g, labels = torch.Generator().manual_seed(2), np.arange(IMAGES) % CLUSTERS
    replay = begun(method, labels, g, **changes)
    for _ in range(2):
        indices = torch.randperm(IMAGES, generator=g)[:16].numpy()
        views = torch.randn(2, 16, DIM, generator=g)
        batch = stored_batch(*views, indices=indices, labels=labels[indices])
        step = replay.training_step(batch)
        replay.memory.update(step.update)
    return {name: float(loss.detach()) for name, loss in step.losses.items()}


@pytest.mark.parametrize("name", METHODS)
def test_the_encoder_sees_the_first_view_and_then_it_or_a_teacher_the_second(name):
    g, labels = torch.Generator().manual_seed(2), np.arange(IMAGES) % CLUSTERS
    method, passes = begun(name, labels, g), []
    views = torch.randn(2, 16, DIM, generator=g)
    batch = stored_batch(*views, indices=np.arange(16), labels=labels[:16])

    def note(network, given, _):
        passes.append((network, [view is given[0] for view in batch.views].index(True)))

    for seeing in {method.encoder, *method.evaluated().values()}:
        seeing.register_forward_hook(note)
    method.training_step(batch)
    second = [(method.encoder, 1)] * method.has_partners
    second += [(method.teacher, 1)] if method.has_teacher else []
    assert passes == [(method.encoder, 0), *second]


@pytest.mark.parametrize(
    ("name", "changes"), [*((name, {}) for name in METHODS), ("hdcpd", {"memory": "clusters"})]
)
def test_an_epoch_clusters_fresh_features_or_a_memory_of_images_that_is_never_filled_again(
    name, changes
):
    g, labels = torch.Generator().manual_seed(2), np.arange(IMAGES) % CLUSTERS
    method = begun(name, labels, g, **changes)
    fresh = F.normalize(torch.randn(IMAGES, DIM, generator=g), dim=1)
    lasting = method.memory.target if isinstance(method.memory, InstanceMemory) else fresh
    assert (lasting is not fresh) == (name in ("spcl", "hdcpd") and not changes)
    assert torch.equal(method.clustering_features(lambda domain: fresh), lasting)


@pytest.mark.parametrize(
    ("method", "changes", "terms"),
    [
        ("dsgl", {"contrast_temperature": 0.1}, {"contrast"}),
        ("dsgl", {"smooth": 0.1}, {"contrast"}),
        ("dsgl", {"cls_half": "mean"}, {"contrast"}),
        ("dsgl", {"disentangle_temperature": 0.1}, {"disentangle"}),
        ("dsgl", {"disentangle_share": 0.3}, {"disentangle"}),
        ("dsgl", {"disentangle_orders": "both"}, {"disentangle"}),
        ("dsgl", {"entropy_temperature": 0.1}, {"entropy"}),
        ("dsgl", {"positive_share": 0.5}, {"entropy"}),
        ("dsgl", {"negative_share": 0.2}, {"entropy"}),
        ("dsgl", {"entropy_groups": "own"}, {"entropy"}),
        ("hdcpd", {"temperature": 0.1}, {"contrast"}),
        ("hdcpd", {"student_temperature": 0.1}, {"distill"}),
        ("hdcpd", {"teacher_temperature": 0.1}, {"distill"}),
        ("hdcpd", {"distill_weight": 2.0}, {"distill"}),
        ("hhcl", {"hybrid_weights": "balanced"}, {"mean"}),
        ("dccc", {"smooth": 0.3, "soft_weight": 1.0}, {"soft"}),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict | set) else value,
)
def test_a_setting_reaches_its_own_term(method, changes, terms):
    before, after = losses(method), losses(method, **changes)
    assert {name for name in before if before[name] != after[name]} == terms


@pytest.mark.parametrize("h", [0.3, 0.5, 0.8])
def test_hhcl_weighs_by_h_and_h_times_its_rest_or_by_h_and_its_rest(h):
    plain = losses("hhcl", hard_weight=0.5, hybrid_weights="balanced")
    hard, mean = plain["hard"] / 0.5, plain["mean"] / 0.5
    released = losses("hhcl", hard_weight=h)
    balanced = losses("hhcl", hard_weight=h, hybrid_weights="balanced")
    assert released == pytest.approx({"hard": h * hard, "mean": h * (1 - h) * mean})
    assert balanced == pytest.approx({"hard": h * hard, "mean": (1 - h) * mean})


@pytest.mark.parametrize("w", [0.0, 0.2, 0.7, 1.0])
def test_dccc_gives_w_to_the_soft_loss_and_the_rest_to_the_plain_one(w):
    terms = losses("dccc", soft_weight=1.0) | losses("dccc", soft_weight=0.0)
    weights = {"contrast": 1 - w, "soft": w}
    expected = {name: weight * terms[name] for name, weight in weights.items() if weight > 0}
    assert losses("dccc", soft_weight=w) == pytest.approx(expected)  # none without a weight
