"""How far a run is."""

import time

from common.progress import Progress


def test_epochs_to_come_are_expected_to_take_as_long_as_those_done():
    progress = Progress(epoch=1, seconds={"training": 8.0, "test": 2.0})
    assert progress.remaining(epochs=5) == 15.0


def test_seconds_are_booked_for_the_epoch_and_add_up_over_the_run(monkeypatch):
    readings = iter([1.0, 4.0, 10.0, 12.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(readings))
    progress, epochs = Progress(), [{}, {}]
    for epoch in epochs:
        with progress.spending("training", epoch):
            pass
    assert epochs == [{"training": 3.0}, {"training": 2.0}]
    assert progress.seconds == {"training": 5.0}
