"""A function called in several processes at once: to probe many images, or to draw them.

The processes are plain programs that read arguments and write answers, a line of JSON each. Unlike
forked ones they inherit no locks of torch's threads; unlike spawned ones they do not run the
caller's main module again, so that they work in any script; and they end when the caller does.
"""

import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from common.errors import UserError

Answer = TypeVar("Answer")

_SOURCE = Path(__file__).parents[2]  # where `common` is found, wherever it was started from
_SHOWN = 200  # characters of the arguments in a message


def answers(
    function: Callable[..., Answer], calls: Sequence[list[Any]], workers: int
) -> Iterator[Answer]:
    """What a function returns for each list of arguments, in their order.

    Args:
        function: of a module; it prints nothing, and takes and returns what JSON can hold.
        calls: lists of arguments.
        workers: processes; 0 or 1 for none beside this one.

    Raises:
        UserError: a process was killed.
        RuntimeError: a process ended early; what it had to say stands on standard error.
    """
    workers = min(workers, len(calls))
    if workers <= 1:
        yield from (function(*call) for call in calls)
        return
    idle: queue.SimpleQueue[subprocess.Popen[str]] = queue.SimpleQueue()

    def ask(call: list[Any]) -> Answer:
        process = idle.get()
        try:
            return _answer(process, call)
        finally:
            idle.put(process)

    processes: list[subprocess.Popen[str]] = []
    threads = ThreadPoolExecutor(workers)
    try:
        for _ in range(workers):
            processes.append(_started(function))
            idle.put(processes[-1])
        yield from threads.map(ask, calls)
    finally:
        for process in processes:
            process.kill()
        threads.shutdown(cancel_futures=True)
        for process in processes:
            process.communicate()  # closes the pipes and waits for the end


def _started(function: Callable[..., Any]) -> "subprocess.Popen[str]":
    paths = [str(_SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])]
    # A session of its own: Ctrl-C reaches the caller alone, which then ends its processes.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", __name__, function.__module__, function.__name__],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _answer(process: "subprocess.Popen[str]", call: list[Any]) -> Any:
    assert process.stdin is not None  # see `_started`
    assert process.stdout is not None
    question = json.dumps(call)
    with suppress(BrokenPipeError):
        process.stdin.write(f"{question}\n")
        process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        code = process.wait()
        if code < 0:
            raise UserError(
                f"a process that reads or draws images was killed by signal {-code}, as systems do "
                "for want of memory. Start fewer --workers."
            )
        raise RuntimeError(
            f"a process ended early, with exit code {code}, when it was given {question[:_SHOWN]}."
        )
    return json.loads(answer)


def main(module: str, name: str) -> None:
    """Answer the questions on standard input by a function of a module."""
    if hasattr(signal, "SIGPIPE"):  # end without a word when the caller was killed
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    function = getattr(import_module(module), name)
    for question in sys.stdin:
        print(json.dumps(function(*json.loads(question))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
