"""Many images probed at once, in processes of their own.

The processes are plain programs that read portions of names and write answers. Unlike forked
ones they inherit no locks of torch's threads; unlike spawned ones they do not run the caller's
main module again, so that a check works in any script; and they end when the caller does.
"""

import json
import queue
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

from common.cores import usable_cores
from common.data import probe

_PORTION = 64  # images per question
_WORTH_PROCESSES = 1_000  # below, starting processes takes longer than the work

Answers = Iterator[tuple[list[str], list[str]]]
_Process = subprocess.Popen[str]


def probed(paths: list[str], workers: int | None = None) -> Answers:
    """Portions of the names with what is wrong with each, in order.

    Args:
        workers: processes; None for one per usable core, 0 or 1 for none beside this one.
    """
    portions = [paths[i : i + _PORTION] for i in range(0, len(paths), _PORTION)]
    if workers is None:
        workers = usable_cores() if len(paths) >= _WORTH_PROCESSES else 1
    workers = min(workers, len(portions))
    if workers > 1:
        yield from _in_processes(portions, workers)
    else:
        yield from ((portion, probe.probe_all(portion)) for portion in portions)


def _in_processes(portions: list[list[str]], workers: int) -> Answers:
    idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()

    def ask(portion: list[str]) -> list[str]:
        process = idle.get()
        try:
            return _answer(process, portion)
        finally:
            idle.put(process)

    with ExitStack() as ending:
        for _ in range(workers):
            # A session of its own: Ctrl-C reaches this process alone, which then ends them.
            process = subprocess.Popen(
                [sys.executable, "-P", probe.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            ending.callback(_end, process)
            idle.put(process)
        threads = ThreadPoolExecutor(workers)
        ending.callback(threads.shutdown, cancel_futures=True)
        yield from zip(portions, threads.map(ask, portions), strict=True)


def _answer(process: _Process, portion: list[str]) -> list[str]:
    if process.stdin is None or process.stdout is None:
        raise ValueError("a process that probes images needs both pipes")
    try:
        process.stdin.write(json.dumps(portion) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
    except BrokenPipeError:
        answer = ""
    if not answer:
        raise RuntimeError(f"a process died while it decoded images from {portion[0]} on.")
    reasons: list[str] = json.loads(answer)
    return reasons


def _end(process: _Process) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with suppress(BrokenPipeError):  # a question that nobody will answer
            if pipe:
                pipe.close()
