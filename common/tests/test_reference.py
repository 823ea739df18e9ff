"""Comparison with stored cases: what passes, what fails, and what is no case."""

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.reference import close, close_gradient, equal, load_case


def test_a_difference_within_the_tolerance_passes_and_beyond_fails():
    assert close("x", torch.tensor([1.0, 2.0]), np.array([1.0, 2.0 + 1e-7]), 1e-6).passed
    assert not close("x", torch.tensor([1.0, 2.0]), np.array([1.0, 2.1]), 1e-6).passed


def test_the_relative_part_allows_for_large_values():
    assert close("x", np.array([1000.001]), np.array([1000.0]), 0.0, relative=1e-5).passed
    assert not close("x", np.array([1.001]), np.array([1.0]), 0.0, relative=1e-5).passed


def test_values_that_are_not_numbers_and_other_shapes_fail():
    assert not close("x", np.array([np.nan]), np.array([1.0]), 1.0).passed
    assert not close("x", np.zeros(3), np.zeros(4), 1.0).passed
    assert not equal("x", np.zeros(3, int), np.zeros(4, int)).passed


def test_unequal_integers_are_counted():
    check = equal("x", [1, 2, 3], [1, 5, 6])
    assert (check.difference, check.passed) == (2.0, False)


@pytest.mark.parametrize(
    ("largest", "difference", "passed"),
    [(1e-3, 0.9e-6, True), (1e-3, 1.1e-6, False), (100.0, 0.9e-3, True), (100.0, 1.1e-3, False)],
)
def test_a_gradient_may_differ_by_its_tolerance_or_by_a_share_of_its_largest_entry(
    largest, difference, passed
):
    check = close_gradient("x", np.array([largest, difference]), np.array([largest, 0.0]))
    assert check.passed == passed


def test_one_number_may_be_stored_as_an_array_of_one():
    assert close("x", torch.tensor(1.0), np.array([1.0]), 1e-9).passed
    assert equal("x", 3, np.array([3])).passed
    assert not equal("x", 3, np.array([4])).passed


def test_float32_values_stored_as_float64_are_compared_as_float32():
    assert close("x", 0.999, np.float64(np.float32(0.999)), 1e-9).passed
    assert not close("x", 0.999, np.float64(0.999) + 3e-8, 1e-9).passed


def test_settings_may_be_stored_by_any_program(tmp_path):
    text = '{"k1": 20.0, "eps": 0.5}'
    for stored in (text, text.encode(), [text], np.frombuffer(text.encode(), np.uint8)):
        np.savez(tmp_path / "x.npz", meta=stored)
        meta = load_case(tmp_path / "x.npz").meta
        assert meta == {"k1": 20, "eps": 0.5}
        assert isinstance(meta["k1"], int), "a size or a seed may not have a fraction"


def test_a_file_that_is_damaged_or_without_settings_is_no_case(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    with pytest.raises(UserError, match="not a reference case"):
        load_case(tmp_path / "x.npz")
    np.savez(tmp_path / "z.npz", meta=np.zeros(0))
    with pytest.raises(UserError, match="not a reference case"):
        load_case(tmp_path / "z.npz")
    np.savez(tmp_path / "z.npz", meta="[1]")
    with pytest.raises(UserError, match="not a reference case"):
        load_case(tmp_path / "z.npz")
    (tmp_path / "y.npz").write_bytes(b"nothing")
    with pytest.raises(UserError, match="not a reference case"):
        load_case(tmp_path / "y.npz")
    damaged = bytearray((tmp_path / "x.npz").read_bytes())
    damaged[80] ^= 1  # in the numbers, so that their checksum is another
    (tmp_path / "y.npz").write_bytes(damaged)
    with pytest.raises(UserError, match=r"y\.npz is not a reference case .*Bad CRC-32"):
        load_case(tmp_path / "y.npz")
