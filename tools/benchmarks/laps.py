"""Seconds of the parts of an epoch, read at the hooks that the loop calls."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from common.method import Method
from common.run import Event

ITERATED = ("batches", "forward", "backward", "optimizer", "memory update", "losses")
PARTS = (
    "extraction",
    "clustering",
    "memory start",
    *ITERATED,
    "test extraction",
    "evaluation",
    "checkpoint",
)


class Laps:
    """Books the time since the last mark under the part that ends here, epoch by epoch.

    Before `apart` epochs are over no mark waits for the device, so the sum of an epoch's parts
    is its undisturbed time, while the parts themselves mean little on a GPU, which works behind
    the host. From then on every mark waits, and the parts are right.

    Args:
        wait: returns when the device is idle.
        apart: epochs without waiting.
    """

    def __init__(self, wait: Callable[[], object], apart: int) -> None:
        self.wait = wait
        self.apart = apart
        self.epochs: list[dict[str, float]] = []
        self.last = 0.0

    def next_epoch(self) -> None:
        """An epoch begins; the one before is over when the device is idle."""
        self.end()
        self.epochs.append(dict.fromkeys(PARTS, 0.0))

    def end(self) -> None:
        """The last epoch is over."""
        self.wait()
        self._book("checkpoint")

    def __call__(self, part: str) -> None:
        """What happened since the last mark was `part`."""
        if len(self.epochs) > self.apart:
            self.wait()
        self._book(part)

    def _book(self, part: str) -> None:
        now = time.perf_counter()
        if self.epochs:  # what comes before the first epoch is not counted
            self.epochs[-1][part] += now - self.last
        self.last = now


@contextmanager
def marked(method: Method, laps: Laps) -> Iterator[None]:
    """Mark where the method's hooks and every optimizer's step begin and end."""
    _surround(method, "clustering_features", laps.next_epoch, lambda: laps("extraction"))
    _surround(method, "assign", _nothing, lambda: laps("clustering"))
    _surround(method, "begin_epoch", _nothing, lambda: laps("memory start"))
    _surround(method, "training_step", lambda: laps("batches"), lambda: laps("forward"))
    _surround(method, "after_step", _nothing, lambda: laps("memory update"))
    _surround(method, "evaluated", lambda: laps("losses"), _nothing)  # the test begins with it
    before = register_optimizer_step_pre_hook(lambda *_: laps("backward"))
    after = register_optimizer_step_post_hook(lambda *_: laps("optimizer"))
    try:
        yield
        laps.end()
    finally:
        before.remove()
        after.remove()


def observer(laps: Laps) -> Callable[[Event], None]:
    """Marks what the loop tells of."""

    def hear(event: Event) -> None:
        match event:
            case {"event": "progress", "what": "training"}:
                laps("losses")
            case {"event": "progress", "what": "test features", "done": done, "total": total}:
                if done == total:
                    laps("test extraction")
            case {"event": "test"}:
                laps("evaluation")

    return hear


def _surround(
    method: Method, name: str, before: Callable[[], None], after: Callable[[], None]
) -> None:
    """Call something before and after a hook of this object."""
    hook = getattr(method, name)

    def surrounded(*arguments: Any) -> Any:
        before()
        result = hook(*arguments)
        after()
        return result

    setattr(method, name, surrounded)


def _nothing() -> None:
    """No mark."""
