"""The command `tools`, also as `python -m tools`; Ctrl-C ends it quietly while it still loads."""

from tools.process import INTERRUPTED


def main() -> None:
    """Load the command line and run it."""
    try:
        from tools.cli import main as command
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    command()


if __name__ == "__main__":
    main()
