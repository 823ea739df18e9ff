"""Errors that are told in a sentence, without a traceback."""


class UserError(Exception):
    """A mistake in input or set-up, said in one sentence with what to do about it.

    `tools` prints the message in red without a traceback and exits with code 2. Whatever is
    not a `UserError` is a broken assumption of ours and keeps its traceback.
    """


class LostProcess(Exception):
    """Another process of the run ended early or cannot be reached; the run can be resumed."""
