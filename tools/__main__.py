"""The command `tools`, also as `python -m tools`; Ctrl-C ends it quietly, as often as it comes."""

import gc

from tools.process import INTERRUPTED, end_undisturbed


def main() -> None:
    """Load the command line and run it."""
    try:
        from tools.cli import main as command

        command()
    except KeyboardInterrupt:  # while it loads, or after the word on how to go on
        raise SystemExit(INTERRUPTED) from None
    finally:
        end_undisturbed()
        # The interpreter ends by looking for cycles in all that is left. In what torch and its
        # like have loaded, that takes seconds, after the last line of the command.
        gc.freeze()


if __name__ == "__main__":
    main()
