"""Functions compiled by numba, with and without a place to keep them."""

import importlib
import sys

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


def test_a_kept_function_is_compiled_anew_when_another_file_changes_that_it_calls(
    tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    head = "from common.jit import jit\n{}\n@jit()\ndef {}(x):\n    return {}\n"
    (tmp_path / "outer_kernel.py").write_text(
        head.format("from middle_kernel import middle", "outer", "middle(x)")
    )
    (tmp_path / "middle_kernel.py").write_text(
        head.format("from inner_kernel import inner", "middle", "inner(x)")
    )
    for factor in (2, 30):
        (tmp_path / "inner_kernel.py").write_text(head.format("", "inner", f"{factor} * x"))
        for name in ("outer_kernel", "middle_kernel", "inner_kernel"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        assert importlib.import_module("outer_kernel").outer(1) == factor
