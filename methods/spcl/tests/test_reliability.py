"""Which images keep their class, by the definition, in SpCL and in SpCL+."""

import numpy as np
import pytest

from common.recipe import Recipe
from common.replay import replayed
from common.types import TrainData
from methods.spcl.method import SpCL
from methods.spcl.recipes import SpCLSettings
from methods.spcl.reliability import Reliability, independence_threshold, reliable_labels

IMAGES, CLASSES = 40, 12


def drawn(seed):
    """Classes without gaps, scores on a coarse grid so that some are equal."""
    rng = np.random.default_rng(seed)
    normal = np.unique(rng.integers(0, CLASSES, IMAGES), return_inverse=True)[1]
    compact, apart = (rng.integers(0, 5, IMAGES).astype(np.float32) / 8 for _ in range(2))
    lowest = [
        np.array([scores[normal == k].min() for k in range(normal.max() + 1)])
        for scores in (compact, apart)
    ]
    return normal, Reliability(compact, apart, *lowest)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("keep_last", [False, True])
def test_a_rejected_image_gets_a_class_of_its_own(seed, keep_last):
    normal, scores = drawn(seed)
    threshold, expected = 0.125, normal.copy()
    for i, k in enumerate(normal):
        dependent = scores.class_independence[k] > threshold
        loose = scores.compactness[i] > scores.class_compactness[k]
        alone = keep_last and (expected == k).sum() == 1  # in SpCL+ nobody leaves a class empty
        if (dependent or loose) and not alone:
            expected[i] = expected.max() + 1
    assert reliable_labels(normal, scores, threshold, keep_last).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("sizes", "share", "deficit"),
    [
        ((2, 1, 3, 1), 0.25, 0.3),  # round(0.5) is 0
        ((2, 1, 3, 1), 0.75, 0.5),
        ((2, 1, 3, 1), 1.0, 0.5),  # there is no element number 2
        ((1, 1, 2, 1), 0.9, 0.5),
    ],
)
def test_the_threshold_is_a_deficit_of_a_class_with_two_images_or_more(sizes, share, deficit):
    scores = with_deficits(0.3, 0.0, 0.5, 0.9)
    normal = np.repeat(np.arange(4), sizes)
    assert independence_threshold(scores, normal, share) == np.float32(deficit)


def with_deficits(*deficits):
    none = np.zeros(0, np.float32)
    return Reliability(none, none, none, np.array(deficits, np.float32))


def test_the_threshold_of_the_first_epoch_is_kept_also_where_a_run_is_resumed():
    normal, other = (np.random.default_rng(seed).integers(-1, 6, IMAGES) for seed in (0, 1))
    data = TrainData(IMAGES, np.zeros(IMAGES, np.int64))
    run, resumed = (replayed(SpCL, Recipe("spcl", "case", SpCLSettings()), 4, data) for _ in "ab")
    run.reliable(other, normal, other)
    first = run.threshold
    resumed.load_state_dict(run.state_dict())
    for method in (run, resumed):
        method.reliable(normal, normal, normal)  # of itself this would set 0
        assert method.threshold == first > 0
