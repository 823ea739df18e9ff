"""How far a run is."""

from common.progress import Progress


def test_epochs_to_come_are_expected_to_take_as_long_as_those_done():
    progress = Progress(epoch=1, seconds={"training": 8.0, "test": 2.0})
    assert progress.remaining(epochs=5) == 15.0
