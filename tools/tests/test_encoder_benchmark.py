"""The benchmark of the encoder, at a size that takes no time."""

import torch

from tools.bench import run_benchmark


def test_every_form_is_timed_against_the_exact_one():
    threads = torch.get_num_threads()
    try:
        rows = run_benchmark(
            "encoder", ["arch=tiny", "height=64", "batch=8", "chunks=2", "repeats=1"]
        )
    finally:
        torch.set_num_threads(threads)
    assert [row["form"] for row in rows][:2] == ["exact", "exact, one group"]
    assert rows[0]["ratio"] == 1.0
    assert all(row["least"] <= row["ms"] <= row["most"] for row in rows)
    assert all(row["train"] > 0 and row["extract"] > 0 for row in rows)
