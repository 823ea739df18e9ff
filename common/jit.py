"""Functions compiled by numba, kept between processes where there is a place for them."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit


def jit(*, inner: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator: compile the function at its first call; it runs beside other threads.

    What was compiled is kept for the next process, unless neither the package's folder nor the
    user's home can be written: then every process compiles anew.

    A count that starts at 0 and is handed to another kernel has to start as np.int64(0). A plain 0
    is of a type of its own, for which numba would compile the other kernel as well.

    Args:
        inner: only other kernels call it, so what Python would call is not compiled.
        options: of numba's `njit`.
    """
    options |= {"nogil": True, "no_cpython_wrapper": inner, "no_cfunc_wrapper": True}

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            function.__qualname__ += _mark_of_callees(function)
            return njit(cache=True, **options)(function)
        except (OSError, RuntimeError):  # no source to look at, no folder for the cache
            return njit(**options)(function)

    return compiled


def _mark_of_callees(function: Any) -> str:
    """Digits that change with the files of the other kernels that a function calls.

    Numba compiles these into it, but looks for changes in its own file alone. So the digits go into
    the name under which it is kept; "" where all that it calls stands in its own file.
    """
    called: list[Any] = [function.__globals__.get(name) for name in function.__code__.co_names]
    kernels = [kernel.py_func for kernel in called if hasattr(kernel, "py_func")]
    elsewhere = [kernel for kernel in kernels if kernel.__module__ != function.__module__]
    digest = hashlib.sha256()
    for kernel in elsewhere:
        digest.update(kernel.__qualname__.encode())  # with the digits of what that one calls
        digest.update(Path(kernel.__code__.co_filename).read_bytes())
    return f"_{digest.hexdigest()[:12]}" if elsewhere else ""
