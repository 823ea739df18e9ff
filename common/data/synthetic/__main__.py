"""One of several processes that draw a set: every n-th portion, a line of output for each.

python -m common.data.synthetic ROOT SETTINGS FIRST STEP
"""

import json
import sys
from pathlib import Path

from common.data.synthetic.drawing import draw_people, portions_of
from common.data.synthetic.settings import SyntheticSettings


def main(root: str, settings: str, first: str, step: str) -> None:
    """Draw portions FIRST, FIRST + STEP, ... and tell the number of images of each."""
    wanted = SyntheticSettings(**json.loads(settings))
    for portion in portions_of(wanted)[int(first) :: int(step)]:
        sys.stdout.write(f"{draw_people(Path(root), wanted, portion)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
