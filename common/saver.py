"""Checkpoints that are written while the run goes on."""

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from torch import Tensor

from common.run import RunDir

State = dict[str, Any]


class Saver:
    """Writes a run's checkpoints, one after the other.

    On an accelerator an epoch takes seconds, and to write what it leaves half a second. There a
    copy is written while the next epoch runs. If that fails, the next write or the end of the block
    raises it; what was saved before is intact.

    Args:
        beside: write beside the run, at the price of a copy in the host's memory.
    """

    def __init__(self, run: RunDir, beside: bool) -> None:
        self._run = run
        self._pool = ThreadPoolExecutor(1) if beside else None
        self._writing: Future[None] | None = None

    def write(self, files: dict[str, State]) -> None:
        """Write these files in their order, none before those of the last call.

        Raises:
            UserError: the disk is full or the folder cannot be written.
        """
        self._finish()
        if self._pool:
            copies = {name: _on_host(state) for name, state in files.items()}
            self._writing = self._pool.submit(self._write, copies)
        else:
            self._write(files)

    def _write(self, files: dict[str, State]) -> None:
        for name, state in files.items():
            self._run.save(name, state)

    def _finish(self) -> None:
        """Wait for what is being written."""
        writing, self._writing = self._writing, None
        if writing:
            writing.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Also where a run stops, so that its last epoch is kept."""
        try:
            self._finish()
        finally:
            if self._pool:
                self._pool.shutdown()


def _on_host(value: Any) -> Any:
    """A copy of a state, which changes no more."""
    match value:
        case Tensor():
            return value.detach().to("cpu", copy=True)
        case dict():
            return {key: _on_host(one) for key, one in value.items()}
        case list() | tuple():
            return type(value)(map(_on_host, value))
    return value
