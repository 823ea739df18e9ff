"""The benchmark of the image sources, at a small size."""

import torch

from tools.benchmarks.images import run


def test_both_ways_are_measured_and_give_the_same_batches():
    threads = torch.get_num_threads()

    rows = run(count=6, height=32, width=16, batch=8, repeats=1, threads=(1, 2))

    assert [row["threads"] for row in rows] == [1, 2]
    for row in rows:
        assert row["bit_equal"] is True
        assert row["ratio"] > 1
    assert torch.get_num_threads() == threads
