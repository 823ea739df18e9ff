"""The compiled kernels, and whether they can be used."""

import functools
import logging

from torch import Tensor

try:
    from common.clustering import jaccard_kernels as jaccard
    from common.clustering import minima_kernels as minima
    from common.clustering import search_kernels as search
except ImportError:  # no numba for this Python
    AVAILABLE = False
else:
    AVAILABLE = True

__all__ = ["AVAILABLE", "jaccard", "minima", "search", "usable"]

_log = logging.getLogger(__name__)


def usable(features: Tensor) -> bool:
    """Whether the compiled form applies; the tensor form gives the same labels."""
    if features.device.type != "cpu":
        return False
    if not AVAILABLE:
        _report_missing()
    return AVAILABLE


@functools.cache
def _report_missing() -> None:
    _log.warning("numba cannot be used: clustering takes the slower tensor form, same labels.")
