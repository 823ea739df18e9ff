"""Functions compiled by numba, kept between processes where there is a place for them."""

from collections.abc import Callable
from typing import Any

from numba import njit


def jit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator: compile the function at its first call; it runs beside other threads.

    What was compiled is kept for the next process, unless neither the package's folder nor the
    user's home can be written: then every process compiles anew.

    Args:
        options: of numba's `njit`.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:  # no folder for the cache
            return njit(nogil=True, **options)(function)

    return compiled
