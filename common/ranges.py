"""Ranges of settings, checked where the settings are made."""

import math
from typing import Any

from common.errors import UserError

SAID = {
    "(0, inf)": "must be above 0",
    "[0, inf)": "must not be negative",
    "[1, inf)": "must be at least 1",
}


def require_range(settings: Any, interval: str, *names: str, group: str = "settings") -> None:
    """Stop where one of the named settings does not lie in the interval.

    Args:
        settings: what holds them.
        interval: as in the documentation, e.g. "[0, 1]", "(0, 1]" or "(0, inf)".
        group: what stands before the dot of their names; "" for settings of the recipe itself.

    Raises:
        UserError: with name, value and interval; also for a value that is no number.
    """
    low, high = map(float, interval[1:-1].split(","))
    for name in names:
        value = getattr(settings, name)
        above = value >= low if interval[0] == "[" else value > low
        below = value <= high if interval[-1] == "]" else value < high
        if not (above and below):
            must = SAID.get(interval, f"must lie in {interval}")
            must = "must be finite" if high == math.inf and not value < high else must
            raise UserError(f"{group}{'.' if group else ''}{name}={value}: {must}.")


def require_ordered(settings: Any, *names: str, group: str) -> None:
    """Stop where one of the named pairs (low, high) does not ascend from above 0."""
    for name in names:
        low, high = getattr(settings, name)
        if not 0 < low <= high < float("inf"):
            raise UserError(f"{group}.{name}={low},{high}: must be two numbers, 0 < low <= high.")
