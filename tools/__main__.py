"""`python -m tools` is the command `tools`."""

from tools.cli import main

if __name__ == "__main__":
    main()
