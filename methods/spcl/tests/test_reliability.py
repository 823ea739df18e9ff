"""Which images keep their class, by the definition, in SpCL and in SpCL+."""

import numpy as np
import pytest

from methods.spcl.reliability import Reliability, reliable_labels

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
