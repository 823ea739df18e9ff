"""Schedules are pure functions of the epoch with the values that papers state."""

import math
import typing
from dataclasses import fields, replace

import pytest

from common.schedules import (
    Constant,
    ExponentialEps,
    LinearEps,
    LogEps,
    Schedule,
    StepDecay,
    Warmup,
)


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


EVERY = (
    Constant(0.6),
    StepDecay(every=20),
    Warmup(epochs=10, milestones=(5, 40), decay=0.5),
    ExponentialEps(0.7),
    LinearEps(0.6, step=0.03, every=5),
    LogEps(0.6, epochs=70),
)


@pytest.mark.parametrize("schedule", EVERY, ids=lambda schedule: type(schedule).__name__)
def test_every_setting_of_a_schedule_changes_its_course(schedule):
    course = [schedule(epoch) for epoch in range(120)]
    for field in fields(schedule):
        value = getattr(schedule, field.name)
        other = value[1:] if isinstance(value, tuple) else value / 2
        changed = replace(schedule, **{field.name: type(value)(other)})
        assert [changed(epoch) for epoch in range(120)] != course, field.name


def test_every_kind_of_schedule_is_tried():
    assert {type(schedule) for schedule in EVERY} == set(typing.get_args(Schedule))


@pytest.mark.parametrize("epoch", [0, 4, 5, 9, 10, 29, 30, 31, 60, 79])
def test_the_decay_of_a_warm_up_counts_every_milestone_passed(epoch):
    schedule = Warmup(epochs=10, start=0.1, milestones=(5, 30, 60), decay=0.2)
    ramp = min(0.1 + 0.9 * epoch / 10, 1)
    expected = ramp * 0.2 ** len([m for m in (5, 30, 60) if m <= epoch])
    assert schedule(epoch) == pytest.approx(expected)


@pytest.mark.parametrize(("start", "floor"), [(0.7, 0.399), (0.45, 0.41), (0.5, 0.5)])
def test_the_radius_shrinks_once_for_every_epoch_begun_while_above_its_floor(start, floor):
    expo, line, stairs = start, start, start
    for epoch in range(80):
        expo = 0.99 * expo if expo > floor else expo
        line = line - 0.005 if line > floor else line
        stairs = stairs - 0.03 if epoch % 5 == 0 and stairs > floor else stairs
        assert ExponentialEps(start, floor=floor)(epoch) == pytest.approx(expo)
        assert LinearEps(start, floor=floor)(epoch) == pytest.approx(line)
        assert LinearEps(start, 0.03, 5, floor)(epoch) == pytest.approx(stairs)
