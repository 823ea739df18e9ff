"""Numbers that a benchmark can run with."""

from collections.abc import Sequence

from common.errors import UserError


def require_least(least: int, **settings: int | Sequence[int]) -> None:
    """Stop where a named setting, or one of its numbers, is smaller.

    Raises:
        UserError: with its name and value.
    """
    for name, given in settings.items():
        for value in given if isinstance(given, Sequence) else (given,):
            if value < least:
                raise UserError(f"{name}={value}: must be at least {least}.")
