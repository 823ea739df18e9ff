"""Functions compiled by numba, with and without a place to keep them."""

import pytest

jit = pytest.importorskip("common.jit", reason="no numba for this Python")


def doubled(x):
    return 2 * x


def test_a_function_is_compiled_also_where_nothing_can_be_kept(monkeypatch):
    asked, njit = [], jit.njit

    def no_place(cache=False, **options):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(jit, "njit", no_place)
    assert jit.jit()(doubled)(3) == 6
    assert asked == [True, False]
