"""A run folder: what lies in it, and how it stays whole through any interruption.

    recipe.json       every setting, written before the first epoch
    environment.json  versions, devices, data set, changes
    log.jsonl         one JSON object per line: epochs, tests, warnings
    last.pt           the last completed epoch: all that an exact continuation needs
    best.pt           the network of the best test so far
    result.json       the results, written at the end
    report/           the page written at the end
    lock              held by the process that trains here

Files are written to a temporary name, synced and renamed, so a reader finds the old or the
new one and never a torn one. Checkpoints are ordinary torch files of tensors and plain values;
the CRC-32 that the format keeps for every record is verified before anything is read from it.
"""

import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, TextIO

import torch

from common.errors import UserError
from common.records import EVENT, EVENTS, FILES, misfit, require_run_folder
from common.types import Tick

if sys.platform != "win32":
    import fcntl

FORMAT = 1
LONGEST_NAME = 200  # of a run folder; file systems take 255 bytes, numbers included
Event = dict[str, Any]
Observer = Callable[[Event], None]


def ticks(observer: Observer, what: str) -> Tick:
    """A progress callback of (done, total) that tells the observer what is being done."""
    return lambda done, total: observer(
        {"event": "progress", "what": what, "done": done, "total": total}
    )


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    with _written_atomically(path) as file:
        file.write(content)


@contextmanager
def _written_atomically(path: Path) -> Iterator[BinaryIO]:
    """The new content of a file, which takes its place at the end of the block."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException as error:  # Ctrl-C too: half a checkpoint may be gigabytes
        temporary.unlink(missing_ok=True)
        # When a write fails or is stopped, torch's writer goes on to fail in a way of its own.
        cause = error.__context__ if isinstance(error, RuntimeError) else error
        if isinstance(cause, OSError):
            raise _unwritable(path, cause) from None
        if isinstance(cause, KeyboardInterrupt):
            raise cause from None
        raise


def _mending(name: str) -> str:
    """What to do about a damaged JSON file of a run: its result alone can be made again."""
    if name == "result.json":
        return "Delete it and resume the run, which writes it again."
    return "Put a copy back, or start a new run."


def _unwritable(path: Path, error: OSError) -> UserError:
    """What is left of a run whose file, or page, could not be written."""
    if not path.parent.is_dir():
        return UserError(
            f"{path.parent} is no longer there, so {path.name} could not be written. Resume the "
            "run where its folder is now; if it is gone, start a new run."
        )
    if any((folder / "result.json").is_file() for folder in path.parents[:2]):
        return UserError(
            f"could not write {path}: {error.strerror}. Free space; the run is finished, its "
            "results are in result.json, and `tools report` writes its page again."
        )
    return UserError(
        f"could not write {path}: {error.strerror}. Free space, or move the run folder to where "
        "there is some; what was saved before is intact and the run can be resumed."
    )


class RunDir:
    """The folder of one run.

    Args:
        path: the folder; it must exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def create(root: Path, name: str) -> "RunDir":
        """A new folder below `root`; a number is added rather than anything overwritten.

        Raises:
            UserError: it cannot be made, or there are 9,999 of the name.
        """
        for number in range(1, 10_000):
            path = root / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir(parents=True)
                return RunDir(path)
            except FileExistsError:
                continue
            except OSError as error:
                raise UserError(
                    f"cannot create {path}: {error.strerror}. Choose another --runs-root."
                ) from None
        raise UserError(f"{root} holds 9,999 runs named {name}. Choose another --name.")

    @staticmethod
    def require_place(root: Path, name: str, standard: str = "") -> None:
        """Refuse, before any work, what `create` could not make; nothing is left behind.

        Args:
            name: that a user has chosen; "" takes `standard`.

        Raises:
            UserError: `name` is no plain file name, `standard` is too long, or nothing can be
                written in `root`.
        """
        if not name and len(os.fsencode(standard)) > LONGEST_NAME:
            raise UserError(
                f"the run folder would be called {standard[:60]!r}..., longer than {LONGEST_NAME} "
                "bytes. Choose a shorter name with --name."
            )
        plain = name.isprintable() and not {"/", "\\"} & set(name) and name not in (".", "..")
        if not plain or len(name.encode()) > LONGEST_NAME:
            raise UserError(
                f"--name {name[:60]!r}: write a plain file name of at most {LONGEST_NAME} "
                "bytes. The folder for the run folders is --runs-root."
            )
        try:
            there = next(place for place in (root, *root.absolute().parents) if place.exists())
            TemporaryDirectory(prefix=".unreid-", dir=there).cleanup()
        except OSError as error:
            raise UserError(
                f"no run folder can be made in {root}: {error.strerror}. Choose another "
                "--runs-root."
            ) from None

    @staticmethod
    def open(path: Path) -> "RunDir":
        """An existing run.

        Raises:
            UserError: the folder is missing or holds no run.
        """
        require_run_folder(path)
        return RunDir(path)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no other process train here; however this one ends, the folder is free again.

        Raises:
            UserError: another process trains here, or the folder cannot be written.
        """
        try:
            file = (self.path / "lock").open("a")
        except OSError as error:
            raise _unwritable(self.path / "lock", error) from None
        with file:
            if not _locked(file):
                raise UserError(
                    f"another process trains in {self.path}. Wait until it has ended, or stop it, "
                    "before you resume the run."
                )
            for left in self.path.glob(".*.part"):  # by a process killed as it wrote
                left.unlink(missing_ok=True)
            yield

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file of this run, whole or not at all; errors as in `write_atomically`."""
        write_atomically(self.path / name, json.dumps(value, indent=2).encode())

    def read_json(self, name: str) -> Any:
        """Content of a JSON file of this run.

        Raises:
            UserError: it is missing, cannot be read, is no JSON or has not the shape of its name.
        """
        try:
            value = json.loads((self.path / name).read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(
                f"{self.path / name} cannot be read: {error}. {_mending(name)}"
            ) from None
        if wrong := misfit(value, FILES.get(name, object)):
            raise self._unfit(name, wrong)
        return value

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Turn errors from unpacking a run's file into a `UserError` that names the file.

        Raises:
            UserError: what a run writes is not there: the file was damaged or exchanged.
        """
        try:
            yield
        except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            raise self._unfit(name, f"{type(error).__name__}: {error}") from None

    def _unfit(self, name: str, reason: str) -> UserError:
        return UserError(
            f"{self.path / name} does not hold what a run writes there ({reason}). {_mending(name)}"
        )

    def log(self, event: Event) -> None:
        """Append one line to the log; it is on the disk before the checkpoint of its epoch.

        Raises:
            UserError: the disk is full or the folder cannot be written.
        """
        path = self.path / "log.jsonl"
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(event) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _unwritable(path, error) from None

    def events(self) -> list[Event]:
        """The lines of the log; what a kill or a power loss left of one is left out.

        Raises:
            UserError: a whole line that no run writes.
        """
        path = self.path / "log.jsonl"
        if not path.is_file():
            return []
        events = []
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if not isinstance(event, dict):
                continue
            if wrong := misfit(event, EVENTS.get(str(event.get("event")), EVENT)):
                raise self._unfit(path.name, f"line {number}: {wrong}")
            events.append(event)
        return events

    def rewind_log(self, epoch: int) -> None:
        """Drop the lines of epochs after `epoch`: an interrupted one is run again."""
        kept = [event for event in self.events() if event.get("epoch", -1) <= epoch]
        text = "".join(json.dumps(event) + "\n" for event in kept)
        write_atomically(self.path / "log.jsonl", text.encode())

    def clear_log(self) -> None:
        """Drop all lines: a run that was stopped before its first checkpoint begins anew."""
        write_atomically(self.path / "log.jsonl", b"")

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Write a checkpoint: tensors, numbers, texts, lists and dicts of them.

        Raises:
            UserError: the disk is full or the folder cannot be written.
        """
        with _written_atomically(self.path / name) as file:
            torch.save({"format": FORMAT, **state}, file)

    def has_begun(self) -> bool:
        """Whether there is a checkpoint from which the run goes on, and that can be read.

        Raises:
            UserError: there was one: begun anew, the run would lose its best network as well.
                Or as in `load_checkpoint`.
        """
        last = self.path / "last.pt"
        if not last.is_file() and (self.path / "best.pt").is_file():
            raise UserError(
                f"{last} is missing, and best.pt shows that there was one. Put a copy back, or "
                "start a new run."
            )
        if begun := last.is_file():
            load_checkpoint(last)
        return begun

    def load(self, name: str) -> dict[str, Any]:
        """Read a checkpoint of this run onto the CPU.

        Raises:
            UserError: there is none yet, or as in `load_checkpoint`.
        """
        path = self.path / name
        if not path.is_file():
            raise UserError(
                f"{path} does not exist: the run has not completed an epoch. Let it train on, or "
                "resume it."
            )
        return load_checkpoint(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read and verify one of our checkpoints, without running anything in it.

    Its tensors are read from the file where they are used: a bank of all images fills memory only
    once, and none where only the labels are wanted. What outlives the call that loads is copied.

    Raises:
        UserError: damaged, not ours, or of another version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        state = None if damaged else torch.load(path, "cpu", weights_only=True, mmap=True)
    except Exception as error:  # zip, pickle and torch each raise their own kinds
        raise UserError(
            f"{path} is damaged, or no checkpoint that can be read safely "
            f"({type(error).__name__}). Put a copy back, or use last.pt or best.pt of a run folder."
        ) from None
    if damaged:
        raise UserError(
            f"{path} is damaged: the checksum of {damaged} does not match. "
            "Put a copy back, or start a new run."
        )
    if not isinstance(state, dict) or "format" not in state:
        raise UserError(
            f"{path} is not a checkpoint of this program. Use last.pt or best.pt of a run folder."
        )
    if state["format"] != FORMAT:
        raise UserError(
            f"{path} has checkpoint format {state['format']}, this version reads {FORMAT}. "
            "Use the version that wrote it (see environment.json)."
        )
    return state


def _locked(file: TextIO) -> bool:
    """Lock a file for this process; False where another one has. Windows knows no such locks.

    Record locks, because processes that read images do not inherit them, and may live on for a
    while when this one is killed.
    """
    if sys.platform == "win32":
        return True
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # some network file systems have no locks either
        pass
    return True


def _sync_folder(folder: Path) -> None:
    """Make a rename durable, on platforms that can sync a folder."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
