"""Ranges of settings, checked where the settings are made."""

from typing import Any

from common.errors import UserError


def require_range(settings: Any, interval: str, *names: str) -> None:
    """Stop where one of the named settings does not lie in the interval.

    Args:
        settings: the settings of a method.
        interval: as in the documentation, e.g. "[0, 1]", "(0, 1]" or "(0, inf)".

    Raises:
        UserError: with name, value and interval; also for a value that is no number.
    """
    low, high = map(float, interval[1:-1].split(","))
    for name in names:
        value = getattr(settings, name)
        above = value >= low if interval[0] == "[" else value > low
        below = value <= high if interval[-1] == "]" else value < high
        if not (above and below):
            said = {"(0, inf)": "must be above 0", "[0, inf)": "must not be negative"}
            must = said.get(interval, f"must lie in {interval}")
            raise UserError(f"settings.{name}={value}: {must}.")
