"""The command `tools`, also as `python -m tools`; Ctrl-C ends it quietly while it still loads."""

import gc

from tools.process import INTERRUPTED


def main() -> None:
    """Load the command line and run it."""
    try:
        from tools.cli import main as command
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    try:
        command()
    finally:
        # The interpreter ends by looking for cycles in all that is left. In what torch and its
        # like have loaded, that takes seconds, after the last line of the command.
        gc.freeze()


if __name__ == "__main__":
    main()
