"""Work in blocks: in threads, with results in order; how large a block may be; who watches."""

import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from threading import RLock
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

from common.types import Tick

Item = TypeVar("Item")
Result = TypeVar("Result")

UNTOLD_MEMORY = 16 << 30  # bytes, assumed of an accelerator that is not asked
WEIGHING, AVERAGING, SUMMING = "weighing neighbours", "averaging neighbours", "comparing neighbours"

_one_at_a_time = RLock()  # of two callers at once, the later one would restore the other's 1

Watcher = Callable[[str, int, int], None]
_watcher: ContextVar[Watcher | None] = ContextVar("_watcher", default=None)


@contextmanager
def label_progress(progress: Watcher) -> Iterator[None]:
    """Let `progress` hear what is being done for labels, and how far it is, as a `Tick` has it.

    For a million images it takes minutes. A context and no argument, since the methods' own rules
    for labels lie between the two.
    """
    token = _watcher.set(progress)
    try:
        yield
    finally:
        _watcher.reset(token)


def telling(what: str) -> Tick:
    """A callback that tells whoever watches how far `what` is."""

    def tell(done: int, total: int) -> None:
        if progress := _watcher.get():
            progress(what, done, total)

    return tell


tell = telling("comparing images")


def told(what: str, items: Sequence[Item]) -> Iterator[Item]:
    """The items, each told of as done when the next one is asked for."""
    progress = telling(what)
    for done, item in enumerate(items, 1):
        yield item
        progress(done, len(items))


def entries_on(device: torch.device, most: int) -> int:
    """float32 numbers in a block on an accelerator: `most`, or a sixteenth of a small memory."""
    memory = UNTOLD_MEMORY
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
    return min(most, memory // 64)


def in_threads(
    work: Callable[[Item], Result], items: Sequence[Item], progress: Tick | None = None
) -> list[Result]:
    """[work(item) for item in items], as many at a time as torch uses threads.

    `work` should release the interpreter lock. Meanwhile torch and NumPy compute with one thread
    per item: their own threads would wait for each other's work in busy loops, beside ours. A
    second caller waits for the first; `work` calls nothing of this kind.

    Args:
        progress: called with items done and items in all, by the calling thread.
    """
    with _one_at_a_time, _libraries().limit(limits=1, user_api="blas"):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return _shared_out(work, items, threads, progress)
        finally:
            torch.set_num_threads(threads)


def _shared_out(
    work: Callable[[Item], Result], items: Sequence[Item], threads: int, progress: Tick | None
) -> list[Result]:
    """[work(item) for item in items] by so many threads, the calling one included.

    Each takes items until none is left: a task for each item would cost more than small items do.
    """
    waiting, found = deque(enumerate(items)), dict[int, Result]()

    def work_off(progress: Tick | None = None) -> None:
        try:
            for place, item in _taken(waiting):
                found[place] = work(item)
                if progress:
                    progress(len(found), len(items))
        except BaseException:
            waiting.clear()  # the other threads end as well
            raise

    with ThreadPoolExecutor(threads) as pool:  # a thread starts when it is given a task
        helpers = [pool.submit(work_off) for _ in items[1:threads]]
        work_off(progress)
    for helper in helpers:
        helper.result()  # raises what was raised there
    if progress and helpers:
        progress(len(items), len(items))
    return [found[place] for place in range(len(items))]


def _taken(waiting: deque[Item]) -> Iterator[Item]:
    """The entries, taken out one by one; several threads may take from the same."""
    while True:
        try:
            entry = waiting.popleft()
        except IndexError:
            return
        yield entry


@functools.cache
def _libraries() -> ThreadpoolController:
    """What NumPy multiplies with; looked for once, which takes milliseconds."""
    return ThreadpoolController()


def in_blocks(
    work: Callable[[int, int], Result],
    count: int,
    size: int | None = None,
    progress: Tick | None = None,
) -> list[Result]:
    """Results of `work(start, stop)` for consecutive blocks of `count` rows, in block order.

    What a caller makes of them cannot depend on the number of threads.

    Args:
        size: rows per block; by default small enough to even out unequal blocks.
        progress: as in `in_threads`.
    """
    size = size or max(256, -(-count // (8 * torch.get_num_threads())))
    bounds = [(start, min(start + size, count)) for start in range(0, count, size)]
    return in_threads(lambda bound: work(*bound), bounds, progress)
