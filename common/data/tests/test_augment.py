"""What is drawn for the images of a batch."""

import math
import random
import time

import numpy as np
import pytest
import torch

from common.data.augment import NO_BOX, draw_batch, draw_erasing_box
from common.recipe import Augment
from common.streams import Stream


def boxes(count, height=256, width=128, seed=0, **changes):
    rng, augment = random.Random(seed), Augment(**changes)
    drawn = (draw_erasing_box(rng, height, width, augment) for _ in range(count))
    return np.array([box or NO_BOX for box in drawn])


def plain_box(rng, height, width, augment):
    """Random erasing from its definition, number by number."""
    if rng.random() >= augment.erase:
        return None
    (least, most), (flat, tall) = augment.erase_area, augment.erase_ratio
    for _ in range(100):
        area = (least + (most - least) * rng.random()) * height * width
        ratio = flat + (tall - flat) * rng.random()
        h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if h < height and w < width:
            return (rng.randrange(height - h + 1), rng.randrange(width - w + 1), h, w)
    return None


@pytest.mark.parametrize(("height", "width"), [(256, 128), (224, 224), (64, 32), (5, 3), (1, 1)])
def test_boxes_equal_the_definition_number_by_number(height, width):
    ours, theirs, augment = random.Random(3), random.Random(3), Augment()

    for _ in range(300):
        expected = plain_box(theirs, height, width, augment)
        assert draw_erasing_box(ours, height, width, augment) == expected
    assert ours.getstate() == theirs.getstate()


def test_half_of_the_images_are_erased():
    share = (boxes(20_000)[:, 2] > 0).mean()

    assert abs(share - 0.5) < 4 * math.sqrt(0.25 / 20_000)


def test_boxes_lie_in_the_image_and_reach_every_border():
    top, left, height, width = boxes(20_000, erase=1).T

    assert (height < 256).all()
    assert (width < 128).all()
    assert (top.min(), left.min()) == (0, 0)
    assert (top + height).max() == 256
    assert (left + width).max() == 128


def test_the_erased_share_is_uniform_and_so_is_the_ratio():
    """On a wide square no box is refused, so what is drawn shows as it is."""
    _, _, height, width = boxes(20_000, 1000, 1000, erase=1, erase_area=(0.02, 0.2)).T
    share, ratio = height * width / 1e6, height / width

    for values, low, high in ((share, 0.02, 0.2), (ratio, 0.3, 1 / 0.3)):
        counts = np.histogram(values, bins=10, range=(low, high))[0]
        assert counts.sum() > 19_900
        assert abs(counts / 20_000 - 0.1).max() < 5 * math.sqrt(0.09 / 20_000)


def test_nothing_is_erased_where_no_box_fits_in_a_hundred_attempts():
    ours, theirs = random.Random(0), random.Random(0)
    augment = Augment(erase=1, erase_area=(1.0, 1.0), erase_ratio=(9.0, 9.0))
    assert draw_erasing_box(ours, 256, 128, augment) is None
    for _ in range(1 + 2 * 100):
        theirs.random()
    assert ours.getstate() == theirs.getstate()


def test_an_image_too_small_for_a_box_gets_one_of_size_zero():
    _, _, height, width = boxes(50, 1, 1, erase=1).T

    assert (height * width == 0).all()


def test_flips_and_crops_are_uniform():
    draw = draw_batch(Stream(0), 21_000, 256, 128, Augment(pad=10))

    assert abs(draw.flip.mean() - 0.5) < 0.015
    for corner in (draw.top, draw.left):
        counts = np.bincount(corner, minlength=21)
        assert len(counts) == 21
        assert abs(counts - 1000).max() < 150
    assert abs(np.corrcoef(draw.top, draw.left)[0, 1]) < 0.03


def test_types_and_shapes_are_those_of_a_draw():
    draw = draw_batch(Stream(0), 5, 64, 32, Augment())

    assert [a.dtype for a in (draw.flip, draw.top, draw.left, draw.box)] == [bool, *[np.int64] * 3]
    assert draw.box.shape == (5, 4)
    assert len(draw) == 5
    assert draw_batch(Stream(0), 0, 64, 32, Augment()).box.shape == (0, 4)


@pytest.mark.parametrize("change", [{"flip": 0.0}, {"erase": 0.0}, {"flip": 1.0}])
def test_switching_one_part_off_leaves_the_others(change):
    usual = draw_batch(Stream(7), 64, 64, 32, Augment())
    changed = draw_batch(Stream(7), 64, 64, 32, Augment(**change))

    np.testing.assert_array_equal(usual.top, changed.top)
    np.testing.assert_array_equal(usual.left, changed.left)
    assert np.array_equal(usual.flip, changed.flip) == ("flip" not in change)
    assert np.array_equal(usual.box, changed.box) == ("erase" not in change)


def test_certain_and_impossible_flips_and_boxes():
    never = draw_batch(Stream(1), 200, 64, 32, Augment(flip=0, erase=0, pad=0))
    always = draw_batch(Stream(1), 200, 64, 32, Augment(flip=1, erase=1))

    for part in (never.flip, never.top, never.left, never.box):
        assert not part.any()
    assert always.flip.all()
    assert (always.box[:, 2:] > 0).all()


def test_the_same_seed_gives_the_same_draws_and_the_next_call_others():
    stream, same = Stream(5), Stream(5)
    first, second = (draw_batch(stream, 40, 64, 32, Augment()) for _ in range(2))
    again = draw_batch(same, 40, 64, 32, Augment())

    assert np.array_equal(first.box, again.box)
    assert np.array_equal(first.flip, again.flip)
    assert not np.array_equal(first.top, second.top)


def test_rows_can_be_taken():
    draw = draw_batch(Stream(2), 10, 64, 32, Augment())
    some = draw.take(np.array([7, 2]))

    assert len(some) == 2
    for name in ("flip", "top", "left", "box"):
        np.testing.assert_array_equal(getattr(some, name), getattr(draw, name)[[7, 2]])


def test_no_global_generator_is_touched():
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    before = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy())

    draw_batch(Stream(3), 20, 64, 32, Augment())

    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    np.testing.assert_array_equal(np.random.get_state()[1], before[2])


def test_a_batch_is_drawn_in_milliseconds():
    stream = Stream(0)
    times = []
    for _ in range(5):
        start = time.process_time()
        draw_batch(stream, 256, 256, 128, Augment())
        times.append(time.process_time() - start)

    assert min(times) < 0.02  # 0.0006 s where it was written
