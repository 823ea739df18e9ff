"""The identity sampler: what a pass and its batches are made of."""

import time
from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch

from common.data.sampler import (
    declared_length,
    identity_batches,
    identity_pass,
    images_per_pass,
    iterations_of,
    members_of,
    plain_pass,
)
from common.errors import UserError
from common.recipe import Sampling
from common.streams import Stream


def random_data(seed, images=150, classes=20, cameras=4):
    """Labels with outliers, singletons and a class under one camera."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, classes, images)
    labels[:4] = [classes, classes + 1, -1, classes + 2]
    labels[10:16] = classes + 3
    cams = rng.integers(0, cameras, images)
    cams[10:16] = 1
    return labels, cams


def plain_identity_pass(labels, cams, instances, cameras, stream):
    """One pass, image by image, as the definition says it."""
    classes = []
    for label in labels.tolist():
        if label >= 0 and label not in classes:
            classes.append(label)
    shown = []
    for number in torch.randperm(len(classes), generator=stream.torch).tolist():
        members = [i for i in range(len(labels)) if labels[i] == classes[number]]
        anchor = stream.python.choice(members)
        shown.append(anchor)
        others = [i for i in members if cams[i] != cams[anchor]] if cameras else []
        if not others:
            others = [i for i in members if i != anchor]
        if others:
            enough = len(others) >= instances
            shown += stream.numpy.choice(others, instances - 1, replace=not enough).tolist()
    return shown


def blocks_of(indices, labels):
    """The pass cut into runs of one label; every class appears once, so runs are its blocks."""
    edges = np.flatnonzero(np.diff(labels[indices])) + 1
    return np.split(indices, edges)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("instances", [1, 2, 4, 16])
@pytest.mark.parametrize("cameras", [True, False])
def test_a_pass_equals_the_plain_loop(seed, instances, cameras):
    labels, cams = random_data(seed)
    ours, theirs = Stream(seed), Stream(seed)

    for _ in range(2):
        expected = plain_identity_pass(labels, cams, instances, cameras, theirs)
        got = identity_pass(labels, cams, instances, cameras, ours)

        assert got.dtype == np.int64
        assert got.tolist() == expected
    assert ours.python.getstate() == theirs.python.getstate()


@pytest.mark.parametrize("seed", range(6))
def test_every_class_comes_once_with_k_images_or_one_if_single(seed):
    labels, cams = random_data(seed)
    sizes = Counter(labels[labels >= 0].tolist())

    blocks = blocks_of(identity_pass(labels, cams, 5, True, Stream(seed)), labels)

    assert sorted(labels[block[0]] for block in blocks) == sorted(sizes)
    for block in blocks:
        assert len(block) == (5 if sizes[labels[block[0]]] > 1 else 1)


@pytest.mark.parametrize("seed", range(6))
def test_other_cameras_are_taken_where_a_class_has_them(seed):
    labels, cams = random_data(seed)

    for block in blocks_of(identity_pass(labels, cams, 5, True, Stream(seed)), labels):
        anchor, others = block[0], block[1:]
        elsewhere = (labels == labels[anchor]) & (cams != cams[anchor])
        if elsewhere.any():
            assert (cams[others] != cams[anchor]).all()
        assert anchor not in others


def test_cameras_make_no_difference_where_they_are_switched_off():
    labels, cams = random_data(0)

    ours = identity_pass(labels, cams, 5, False, Stream(0))

    np.testing.assert_array_equal(ours, identity_pass(labels, cams * 0, 5, False, Stream(0)))
    assert (ours != identity_pass(labels, cams, 5, True, Stream(0))).any()


def test_one_camera_gives_what_no_cameras_give():
    labels, cams = random_data(1)

    np.testing.assert_array_equal(
        identity_pass(labels, cams * 0, 5, True, Stream(1)),
        identity_pass(labels, cams, 5, False, Stream(1)),
    )


@pytest.mark.parametrize(("candidates", "repeats"), [(3, True), (4, False), (5, False)])
def test_images_repeat_with_k_minus_1_candidates_but_not_with_k(candidates, repeats):
    labels, cams = np.zeros(candidates + 1, np.int64), np.zeros(candidates + 1, np.int64)

    found = False
    for seed in range(50):
        others = identity_pass(labels, cams, 4, True, Stream(seed))[1:]
        found |= len(set(others.tolist())) < 3

    assert found == repeats


def test_members_of_are_numbered_by_first_appearance():
    labels = np.array([7, -1, 3, 7, 0, 3, -1])

    assert [group.tolist() for group in members_of(labels)] == [[0, 3], [2, 5], [4]]


def test_only_outliers_give_an_empty_pass():
    labels = np.full(5, -1)

    assert len(identity_pass(labels, labels, 4, True, Stream(0))) == 0
    assert len(plain_pass(labels, Stream(0))) == 0


def test_a_plain_pass_shows_every_labelled_image_once():
    labels, _ = random_data(2)

    shown = plain_pass(labels, Stream(2))

    assert sorted(shown) == np.flatnonzero(labels >= 0).tolist()
    assert (np.diff(shown) < 0).any()


@pytest.mark.parametrize(("size", "rest"), [(16, 7), (11, 10)])
def test_batches_are_slices_of_passes_without_their_rests(size, rest):
    labels, cams = random_data(3)
    sampling = Sampling(batch_size=size, instances=4)
    stream = Stream(3)
    passes = [identity_pass(labels, cams, 4, True, stream) for _ in range(3)]
    whole = len(passes[0]) // size
    assert len(passes[0]) % size == rest  # 10 of 11: no batch that lacks one image

    batches = list(islice(identity_batches(labels, cams, sampling, Stream(3)), 3 * whole))

    expected = [one[size * n : size * n + size] for one in passes for n in range(whole)]
    np.testing.assert_array_equal(batches, expected)


def test_batches_without_instances_are_shuffled_images():
    labels, cams = random_data(4)
    sampling = Sampling(batch_size=32, instances=0)

    first = next(identity_batches(labels, cams, sampling, Stream(4)))

    assert len(set(first.tolist())) == 32
    assert (labels[first] >= 0).all()


def test_the_next_pass_is_drawn_only_when_it_is_needed():
    labels, cams = random_data(5)
    stream, same = Stream(5), Stream(5)
    whole = len(identity_pass(labels, cams, 4, True, same)) // 16

    batches = identity_batches(labels, cams, Sampling(batch_size=16, instances=4), stream)
    list(islice(batches, whole))

    assert torch.equal(stream.torch.get_state(), same.torch.get_state())
    assert stream.python.getstate() == same.python.getstate()


@pytest.mark.parametrize("instances", [0, 4])
def test_too_few_images_for_a_batch_are_an_error_before_any_batch(instances):
    labels = np.array([0, 0, 0, 1, 1, 2, -1])
    sampling = Sampling(batch_size=16, instances=instances)

    with pytest.raises(UserError) as caught:
        identity_batches(labels, labels * 0, sampling, Stream(0))

    assert "2 classes with two images or more and 1 single images" in str(caught.value)
    assert f"fill {9 if instances else 6} of the 16" in str(caught.value)
    assert "Lower sampling.batch_size or choose another source" in str(caught.value)


def test_a_pass_that_just_fills_a_batch_is_enough():
    labels = np.array([0, 0, 1, 1])

    batch = next(identity_batches(labels, labels * 0, Sampling(8, 4), Stream(0)))

    assert len(batch) == 8


@pytest.mark.parametrize("instances", [0, 1, 4])
def test_the_images_of_a_pass_are_counted_without_drawing_it(instances):
    labels, cams = random_data(6)

    shown = (
        identity_pass(labels, cams, instances, True, Stream(6))
        if instances
        else plain_pass(labels, Stream(6))
    )

    assert images_per_pass(labels, instances) == len(shown)


def test_the_declared_length_counts_singletons_as_full_classes():
    labels = np.array([5, 5, 5, 2, 9, 9, -1])

    assert declared_length(labels, 4) == 12
    assert declared_length(labels, 0) == 6
    assert len(identity_pass(labels, labels * 0, 4, True, Stream(0))) == 9


def test_iterations_are_the_recipes_or_one_declared_pass():
    labels = np.repeat(np.arange(10), 3)

    assert iterations_of(Sampling(batch_size=16, instances=4, iterations=7), labels) == 7
    assert iterations_of(Sampling(batch_size=16, instances=4, iterations=0), labels) == 2
    assert iterations_of(Sampling(batch_size=64, instances=4, iterations=0), labels) == 1


def test_thirty_thousand_images_in_ten_thousand_classes_take_no_scan_per_class():
    rng = np.random.default_rng(0)
    labels, cams = rng.integers(-1, 10_000, 30_000), rng.integers(0, 6, 30_000)

    start = time.process_time()
    identity_pass(labels, cams, 16, True, Stream(0))

    assert time.process_time() - start < 1.5  # 0.13 s where it was written
