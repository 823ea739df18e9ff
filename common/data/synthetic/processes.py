"""A set drawn by several processes.

They are plain programs: forked processes would inherit the locks of the caller's threads, and
spawned ones would run the caller's main module again, which not every script allows.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from common.data.synthetic.drawing import draw_people, portions_of
from common.data.synthetic.settings import SyntheticSettings

_SOURCE = Path(__file__).parents[3]  # where `common` is found, wherever it was started from


def draw_everyone(root: Path, settings: SyntheticSettings, workers: int) -> Iterator[int]:
    """Draw the people in portions; yields the number of images of each portion.

    Raises:
        RuntimeError: a process ended early; what it had to say stands on standard error.
    """
    portions = portions_of(settings)
    workers = min(workers, len(portions))
    if workers <= 1:
        yield from (draw_people(root, settings, portion) for portion in portions)
        return
    with ExitStack() as ending:
        processes = []
        for first in range(workers):
            process = _started(root, settings, first, workers)
            ending.callback(_end, process)
            processes.append(process)
        for index in range(len(portions)):
            yield _next_answer(processes[index % workers])


def _started(
    root: Path, settings: SyntheticSettings, first: int, step: int
) -> "subprocess.Popen[str]":
    task = [str(root), json.dumps(asdict(settings)), str(first), str(step)]
    paths = [str(_SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])]
    # A session of its own: Ctrl-C reaches the caller alone, which then ends its processes.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "common.data.synthetic", *task],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _next_answer(process: "subprocess.Popen[str]") -> int:
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        code = process.wait()
        raise RuntimeError(f"a process that draws images ended early, with exit code {code}.")
    return int(line)


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
