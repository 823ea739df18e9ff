"""The benchmark of an epoch, at the smallest size that fills its batches."""

import pytest

from common.errors import UserError
from common.team import Team
from tools.benchmarks import epoch
from tools.benchmarks.epoch_rows import Measured, rows_of
from tools.benchmarks.laps import ITERATED, PARTS
from tools.lookup import paper_recipe

WHOLE = dict.fromkeys(PARTS, 1.0)


def plan(method="hhcl", extracted=0, iterations=2):
    paper = paper_recipe(method, "market1501")
    recipe = epoch._cut(paper, "tiny", (32, 16), 32, iterations)
    return epoch.Plan(recipe, paper, (400, 40, 260), extracted, 1)


@pytest.mark.parametrize("method", ["hhcl", "spcl"])
def test_every_part_of_an_epoch_is_measured(method):
    measured = epoch.measure(plan(method), Team(), lambda: None, 0)

    (parts,) = measured.parts
    missing = {part for part, seconds in parts.items() if seconds <= 0}
    assert not missing - {"extraction"}  # SpCL clusters its memory, and the mark is soon over
    assert measured.undisturbed == measured.parts
    assert measured.images == (64, 400, 300)
    assert measured.factors == WHOLE | dict.fromkeys(ITERATED, measured.factors["forward"])


def test_parts_are_taken_from_epochs_that_wait_and_totals_from_those_that_do_not():
    waits = []

    measured = epoch.measure(plan(), Team(), lambda: waits.append(1), 1)

    ends = 4 + 2  # three epochs and what came before them; around the search
    marks = 2 * len(ITERATED) + 6  # besides: the last losses, every other part but the checkpoint
    best = 1  # where the last test is the best so far
    assert len(waits) - ends - marks in (0, best)
    assert measured.undisturbed != measured.parts


def test_an_extraction_that_is_cut_short_is_counted_up_before_a_test_of_full_size():
    measured = epoch.measure(plan(extracted=200), Team(), lambda: None, 0)

    assert measured.images[1:] == (256, 256)
    assert measured.factors["extraction"] == 400 / 256
    assert measured.factors["test extraction"] == 300 / 256


def test_a_row_says_what_is_projected_and_the_schedule_counts_epochs_and_tests():
    paper = paper_recipe("hhcl", "market1501")
    factors = WHOLE | dict.fromkeys(ITERATED, 100.0)
    measured = Measured([WHOLE], [WHOLE], 0.25, factors, (512, 600, 360), None, None)

    rows = {row["what"]: row for row in rows_of(measured, paper)}

    assert rows["forward"]["epoch"] == 100
    assert rows["forward"]["projected"]
    assert not rows["clustering"]["projected"]
    assert rows["of it the rest"]["epoch"] == 0.75
    total, inside = 606, 202
    assert rows["all parts"]["epoch"] == total
    outside = rows["outside forward, backward, extraction"]
    assert outside["share"] == pytest.approx((total - inside) / total)
    tests = 1 + sum(paper.due(number) for number in range(60))
    hours = (60 * (total - 2) + tests * 2) / 3600
    assert rows[f"60 epochs, {tests} tests"]["epoch"] == pytest.approx(hours)
    assert rows["training"]["measured"] == pytest.approx(512 / 6)


def test_several_epochs_are_told_by_their_mean_least_and_most():
    slow = {part: 3 * seconds for part, seconds in WHOLE.items()}
    measured = Measured([WHOLE, slow], [WHOLE, slow], 0.0, WHOLE, (600, 600, 360), 1.0, None)

    rows = {
        (r["what"], r["unit"]): r for r in rows_of(measured, paper_recipe("hhcl", "market1501"))
    }

    def told(what, unit="s"):
        return [rows[what, unit][column] for column in ("measured", "least", "most")]

    assert told("forward") == [2, 1, 3]
    assert rows["forward", "s"]["epoch"] == 2
    assert told("all parts") == told("all, undisturbed") == [24, 12, 36]
    assert told("extraction", "images/s") == [400, 200, 600]


def test_settings_that_cannot_be_run_are_errors():
    with pytest.raises(UserError, match="three numbers"):
        epoch.run(images=(5, 6))
    with pytest.raises(UserError, match="exact, fast"):
        epoch.run(precision=("half",))


@pytest.mark.slow
def test_every_precision_is_measured_in_a_fresh_process():
    rows = epoch.run(images=(600, 60, 300), iterations=2, batch=32, precision=("exact", "fast"))

    assert {row["precision"] for row in rows} == {"exact", "fast"}
