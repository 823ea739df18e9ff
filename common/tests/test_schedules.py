"""Schedules are pure functions of the epoch with the values that papers state."""

import math

import pytest

from common.schedules import Constant, ExponentialEps, LinearEps, LogEps, StepDecay, Warmup


def test_step_decay_multiplies_at_every_multiple():
    schedule = StepDecay(every=20, factor=0.1)
    assert [schedule(e) for e in (0, 19, 20, 39, 40)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_the_warm_up_starts_at_a_tenth_and_ends_at_one():
    schedule = Warmup(epochs=10, start=0.1)
    assert [schedule(e) for e in (0, 1, 9, 10, 69)] == pytest.approx([0.1, 0.19, 0.91, 1, 1])


def test_the_exponential_radius_steps_before_the_first_clustering():
    schedule = ExponentialEps(0.7)
    assert [round(schedule(e), 4) for e in (0, 1, 9, 55)] == [0.6930, 0.6861, 0.6331, 0.3987]


def test_a_radius_stops_falling_below_its_floor():
    for schedule in (ExponentialEps(0.7), LinearEps(0.6), LinearEps(0.6, step=0.03, every=5)):
        assert schedule(200) == schedule(300) <= 0.399


def test_the_logarithmic_radius_ends_at_half():
    assert LogEps(0.6, epochs=50)(0) == 0.6
    assert LogEps(0.6, epochs=50)(50) == pytest.approx(0.3)
    assert LogEps(0.6, 50)(25) == pytest.approx(0.6 * (1 - 0.5 * math.log((math.e + 1) / 2)))


def test_a_constant_is_constant():
    assert Constant(0.5)(0) == Constant(0.5)(99) == 0.5
