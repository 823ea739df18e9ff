"""Cases of the authors' code that the stored ones leave out, made here in small."""

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from common.clustering.cases import infomap_settings, run_jaccard
from common.clustering.dbscan import dbscan
from common.clustering.jaccard import jaccard_distance, jaccard_pairs
from common.clustering.neighbors import nearest_neighbors
from common.data.cases import run_erasing
from common.reference import Case, load_case

GRAPH = {"k1": 15, "k2": 4, "min_similarity": 0.5}


def case(meta, **arrays):
    return Case(Path("made.npz"), arrays, meta)


def passes(checks):
    return bool(checks) and all(check.passed for check in checks)


@pytest.mark.parametrize(
    ("meta", "seed", "trials"),
    [
        ({}, 123, 1),
        ({"infomap_options": "two-level, directed, seed 7, 10 trials"}, 7, 10),
        ({"infomap_options": "two-level, directed, seed 123, 1 trial"}, 123, 1),
        ({"infomap_seed": 3, "trials": 2, "infomap_options": "seed 7, 10 trials"}, 3, 2),
    ],
)
def test_seed_and_trials_of_infomap_are_numbers_or_words_of_its_options(meta, seed, trials):
    settings = infomap_settings({**GRAPH, **meta})

    assert (settings.seed, settings.trials) == (seed, trials)


def test_an_expansion_over_more_than_k1_neighbours_is_one_over_all_of_them():
    g = torch.Generator().manual_seed(0)
    centers = torch.randn(5, 6, generator=g).repeat(8, 1)
    features = F.normalize(centers + 0.4 * torch.randn(40, 6, generator=g), dim=1)
    labels = dbscan(jaccard_pairs(features, 6, 6, 0.7), 0.7, 4)
    stored = {
        "features": features.numpy(),
        "initial_rank": nearest_neighbors(features, 6).rank.numpy(),
        "jaccard": np.asarray(jaccard_distance(features, 6, 6)),
        "eps": np.array([0.7]),
        "labels": labels[None],
    }

    assert labels.max() > 0
    assert passes(run_jaccard(case({"k1": 6, "k2": 9, "min_samples": 4}, **stored)))


def test_a_box_that_rounds_to_no_height_is_drawn_all_the_same():
    meta = {"height": 24, "width": 12, "probability": 0.7, "sl": 0.0, "sh": 0.005, "r1": 0.1}
    boxes = np.array([released_box(random.Random(seed), **meta) for seed in range(200)])
    flat = (boxes[:, 0] == 1) & (boxes[:, 3] == 0)

    assert flat.any()
    assert passes(run_erasing(case(meta, seeds=np.arange(200), boxes=boxes)))


def released_box(rng, height, width, probability, sl, sh, r1):
    """Applied, top, left, height, width: the released code, for boxes that always fit."""
    if rng.uniform(0, 1) >= probability:
        return 0, 0, 0, 0, 0
    area, ratio = rng.uniform(sl, sh) * height * width, rng.uniform(r1, 1 / r1)
    h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
    assert h < height
    assert w < width
    return 1, rng.randint(0, height - h), rng.randint(0, width - w), h, w


META = {"k1": 3}


@pytest.mark.parametrize(
    "meta",
    [json.dumps(META), json.dumps(META).encode(), [json.dumps(META)], [json.dumps(META).encode()]],
    ids=["text", "bytes", "array of a text", "array of bytes"],
)
def test_settings_are_read_from_text_and_bytes_alone_or_in_an_array(tmp_path, meta):
    np.savez(tmp_path / "x.npz", meta=np.array(meta))

    assert load_case(tmp_path / "x.npz").meta == META


@pytest.mark.parametrize(
    ("stored", "given"),
    [
        ("float64", torch.float32),
        (">f4", torch.float32),
        (">i8", torch.int64),
        ("uint16", torch.int64),
        ("bool", torch.bool),
    ],
)
def test_arrays_of_every_type_become_tensors_that_training_computes_with(tmp_path, stored, given):
    values = np.array([1, 0, 1]).astype(stored)
    np.savez(tmp_path / "x.npz", meta=np.array("{}"), values=values)

    tensor = load_case(tmp_path / "x.npz").tensor("values")

    assert (tensor.dtype, tensor.tolist()) == (given, [1, 0, 1])
