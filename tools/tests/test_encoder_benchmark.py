"""The benchmarks of the encoder, at a size that takes no time."""

import pytest
import torch

from tools.bench import run_benchmark

SMALL = ["arch=tiny", "height=64", "chunks=2", "batch=8"]


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_every_form_is_timed_against_the_exact_one():
    rows = run_benchmark("encoder", [*SMALL, "repeats=1", "memory=false"])
    assert [row["form"] for row in rows][:2] == ["exact", "exact, one group"]
    assert rows[0]["ratio"] == 1.0
    assert all(row["least"] <= row["ms"] <= row["most"] for row in rows)
    assert all(row["train"] > 0 and row["extract"] > 0 for row in rows)


@pytest.mark.slow
def test_the_memory_of_a_form_is_that_of_a_process_of_its_own():
    rows = run_benchmark("encoder", [*SMALL[:-1], "batch=64", "repeats=1"])
    assert all(row["device_mb"] is None for row in rows)
    if rows[0]["extra_mb"] is None:
        pytest.skip("this system does not tell a process's memory")
    maps = 64 * 16 * 32 * 16 * 4 / 2**20  # of one layer at half the size of the images
    assert all(row["extra_mb"] > 8 * maps for row in rows)


def test_a_step_is_split_into_its_kernels_by_falling_time():
    whole, *kernels = run_benchmark("kernels", [*SMALL, "steps=2", "most=5"])
    assert whole["kernel"] == "whole step"
    assert whole["share"] == 1.0
    assert kernels[-1]["kernel"] == "all others"
    times = [row["ms"] for row in kernels[:-1]]
    assert len(times) == 5
    assert times == sorted(times, reverse=True)
    assert any("conv" in row["kernel"] for row in kernels)
    assert all(row["calls"] > 0 for row in kernels)
