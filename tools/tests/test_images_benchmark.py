"""The benchmark of the image sources, at a small size."""

import pytest
import torch

from tools.benchmarks import images


@pytest.fixture(autouse=True)
def threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2])
def test_both_ways_are_measured_and_give_the_same_batches(tmp_path, threads):
    samples = images.made_jpegs(tmp_path, 6)

    row = images._row(samples, 32, 16, 8, 1, threads, torch.device("cpu"))

    assert row["threads"] == threads == torch.get_num_threads()
    assert row["bit_equal"] is True
    assert row["ratio"] > 1
    assert row["device_mb"] is None


@pytest.mark.slow
def test_every_number_of_threads_is_a_row():
    rows = images.run(count=6, height=32, width=16, batch=8, repeats=1, threads=(1, 2))
    assert [row["threads"] for row in rows] == [1, 2]
