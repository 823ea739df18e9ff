"""Work on blocks of rows in threads; results come back in block order."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Result = TypeVar("Result")


def in_blocks(
    work: Callable[[int, int], Result], count: int, size: int | None = None
) -> list[Result]:
    """Call `work(start, stop)` for consecutive blocks of `count` rows.

    As many threads as torch uses run at a time, so `work` should release the interpreter
    lock. What a caller does with the ordered list cannot depend on the number of threads.

    Args:
        size: rows per block; by default small enough to even out unequal blocks.
    """
    threads = torch.get_num_threads()
    size = size or max(256, -(-count // (8 * threads)))
    bounds = [(start, min(start + size, count)) for start in range(0, count, size)]
    if threads == 1 or len(bounds) == 1:
        return [work(start, stop) for start, stop in bounds]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda bound: work(*bound), bounds))
