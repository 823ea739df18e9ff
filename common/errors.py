"""Errors that are told in a sentence, without a traceback."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches


class UserError(Exception):
    """A mistake in input or set-up, said in one sentence with what to do about it.

    `tools` prints the message in red without a traceback and exits with code 2. Whatever is
    not a `UserError` is a broken assumption of ours and keeps its traceback.
    """


class TrainingStopped(UserError):
    """This run cannot go on, by its labels or its numbers; others, as of a sweep, may.

    Raised by all processes of a run alike.
    """


class MissingPackage(UserError):
    """What was asked for needs an optional package, which the message names."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence with the known name that is nearest in any case, after a blank; else "".

    Of dotted names the last parts are compared; the last of equal ones is told.
    """
    names = {found.lower().rpartition(".")[2]: found for found in known}
    near = get_close_matches(name.lower().rpartition(".")[2], names, n=1)
    return f" Did you mean {names[near[0]]!r}?" if near else ""


def counted(count: int, thing: str) -> str:
    """'1 image', '2,020 images'."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def shortened(items: Iterable[object], limit: int = 10) -> str:
    """The first few, and how many more there are."""
    texts = [str(item) for item in items]
    more = f" and {len(texts) - limit:,} more" if len(texts) > limit else ""
    return ", ".join(texts[:limit]) + more


def listed(items: Sequence[str], limit: int) -> list[str]:
    """An indented line for each of the first few, and one for how many more there are."""
    more = [f"  and {len(items) - limit:,} more"] if len(items) > limit else []
    return [f"  {item}" for item in items[:limit]] + more


class LostProcess(Exception):
    """Another process of the run ended early or cannot be reached; the run can be resumed."""


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn an `OSError` raised inside into a `UserError` that says what failed.

    Args:
        what: e.g. "labels.csv cannot be read".

    Raises:
        UserError: `what`, with the system's reason.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{what}: {reason}. Correct its permissions or its place.") from None
