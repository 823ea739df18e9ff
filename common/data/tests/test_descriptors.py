"""Hand-made descriptors, and how hard they find the synthetic set."""

from pathlib import Path

import numpy as np
import pytest

from common.data.descriptors import (
    best_handmade,
    gray_world_strips,
    read_images,
    standardize_cameras,
)
from common.data.synthetic import SyntheticSettings, write_synthetic
from common.types import Samples


def random_images(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (6, 24, 10, 3)).astype(np.uint8)


def test_gray_world_does_not_see_a_cast():
    images = random_images() // 4 + 10
    cast = (images * np.array([2, 3, 1])).astype(np.uint8)
    assert gray_world_strips(images).shape == (6, 72)
    np.testing.assert_allclose(gray_world_strips(cast), gray_world_strips(images), rtol=1e-4)


def test_standardized_cameras_have_mean_zero_and_deviation_one():
    rng = np.random.default_rng(0)
    cams = rng.integers(0, 3, 300)
    features = rng.normal(size=(300, 4)) * (1 + cams[:, None]) + 7 * cams[:, None]
    standardized = standardize_cameras(features, cams)
    for cam in range(3):
        np.testing.assert_allclose(standardized[cams == cam].mean(axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(standardized[cams == cam].std(axis=0), 1, atol=1e-3)


def test_a_black_image_has_a_finite_descriptor():
    assert np.isfinite(gray_world_strips(np.zeros((2, 24, 10, 3), dtype=np.uint8))).all()


def mean_average_precision(features: np.ndarray, pids: np.ndarray, cams: np.ndarray) -> float:
    """Every image asks for its person in the other cameras."""
    precisions = []
    for index, feature in enumerate(features):
        others = (pids != pids[index]) | (cams != cams[index])
        nearest = np.argsort(((features[others] - feature) ** 2).sum(axis=1), kind="stable")
        ranks = np.flatnonzero(pids[others][nearest] == pids[index]) + 1
        precisions.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    return float(np.mean(precisions))


def drawn(folder: Path, strength: str, ids: int) -> Samples:
    write_synthetic(folder, SyntheticSettings(strength, train_ids=ids, test_ids=1, distractors=0))
    paths = sorted((folder / "bounding_box_train").glob("*.jpg"))
    pids = np.array([int(path.name[:4]) for path in paths])
    cams = np.array([int(path.name[6]) for path in paths])
    return Samples(np.array([str(path) for path in paths]), pids, cams)


@pytest.mark.slow
def test_a_stronger_set_is_harder_for_the_best_descriptor(tmp_path):
    easy, default, hard = (
        mean_average_precision(best_handmade(samples), samples.pids, samples.cams)
        for samples in (drawn(tmp_path / s, s, ids=30) for s in ("easy", "default", "hard"))
    )
    assert easy > default + 0.02
    assert default > hard + 0.02


def test_mean_color_says_next_to_nothing_about_who_it_is(tmp_path):
    samples = drawn(tmp_path, "default", ids=15)
    mean = read_images(samples.paths).mean(axis=(1, 2))
    chance = np.random.default_rng(0).normal(size=mean.shape)
    best = best_handmade(samples)
    by_mean = mean_average_precision(mean, samples.pids, samples.cams)
    by_chance = mean_average_precision(chance, samples.pids, samples.cams)
    assert by_mean < 1.5 * by_chance
    assert mean_average_precision(best, samples.pids, samples.cams) > 6 * by_chance
