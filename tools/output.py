"""What surrounds a command's work: the live console, Ctrl-C, lost processes, JSON for programs."""

import errno
import io
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import typer

from common.errors import LostProcess, UserError
from tools.console import RunConsole
from tools.layout import json_text, shell_command
from tools.process import INTERRUPTED

LOST, MISTAKE = 1, 2  # exit codes: a process or the GPU was lost; the user can put it right
LET_THE_FIRST_SPEAK = 15  # seconds; a mistake known to all ends the team before others repeat it
NO_MEMORY = ("out of memory", "can't allocate memory")  # CUDA's and torch's words on a CPU
GPU_ERRORS = ("CUDA error", "CUDA driver error", "cuDNN error", "HIP error")  # torch's words
BLOCKING = "CUDA_LAUNCH_BLOCKING"  # with 1, CUDA's driver lets every call wait for the GPU
FULL = (errno.ENOSPC, errno.EDQUOT)
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG)
RUN_NOTE = "UNREID_RUN_NOTE"  # names the file in which `--gpus` wants to find the run folder


def open_closed_streams() -> None:
    """Let what is said to a stream that the caller has closed (`>&-`) go nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, "w")))


def escape_unprintable() -> None:
    """Print characters that the output's encoding lacks as backslash escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def watched(json: bool, run: Path | None = None) -> Iterator[RunConsole]:
    """A console that shows what happens; quiet for programs and on all ranks but the first.

    With `json`, whatever a library prints goes to standard error. Ctrl-C and the loss of another
    process or of the GPU end with a word on how to go on.

    Raises:
        UserError: there was not enough memory, on the device or on the host.
    """
    console = RunConsole(quiet=json or not speaks(), run=run)
    if run and speaks():
        note_run(run)
    try:
        with console, redirect_stdout(sys.stderr if json else sys.stdout):
            yield console
    except KeyboardInterrupt:
        if speaks() and RUN_NOTE not in os.environ:  # the command with --gpus says it itself
            say_stopped(console.run)
        raise typer.Exit(INTERRUPTED) from None
    except LostProcess as error:
        if RUN_NOTE in os.environ:
            time.sleep(LET_THE_FIRST_SPEAK)  # the command with --gpus knows which one it was
        let_the_first_speak()
        typer.secho(f"error: {error}. {how_to_go_on(console.run)}".rstrip(), fg="red", err=True)
        raise typer.Exit(LOST) from None
    except (MemoryError, RuntimeError) as error:
        cause = ". ".join(str(error).partition("\n")[0].split(". ")[:3])
        if isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY):
            raise UserError(
                f"there is not enough memory ({cause}). Free some. Where the command takes them, "
                "--images host or disk and more --gpus help; a smaller sampling.batch_size needs a "
                "new run. "
                f"{'' if launched() else how_to_go_on(console.run)}".rstrip()
            ) from None
        if not (lost := _lost(cause)):
            raise
        hint = "" if RUN_NOTE in os.environ else how_to_go_on(console.run)  # said by the command
        typer.secho(f"error: {lost} {hint}".rstrip(), fg="red", err=True)
        raise typer.Exit(LOST) from None


def _lost(cause: str) -> str:
    """What was lost and what helps; "" for a broken assumption of ours.

    A GPU tells an error some calls later, so a traceback would name another place, unless every
    call waits for it.
    """
    cause = cause.rstrip(". ")
    if cause.startswith("DataLoader worker"):
        return (
            f"a process that reads images was ended, as systems do for want of memory ({cause}). "
            "Start fewer --workers, or keep the images elsewhere (--images host or device)."
        )
    if cause.startswith(GPU_ERRORS) and os.environ.get(BLOCKING) != "1":
        return (
            f"the GPU failed ({cause}). If it fails again, the system's log may say why, and "
            f"{BLOCKING}=1 in the environment shows where."
        )
    return ""


def sentence_of(error: Exception) -> str:
    """What the user can put right, "" where typer has shown a help for it.

    Names come from anywhere, so what would steer a terminal is escaped.

    Raises:
        Exception: the error itself, a broken assumption of ours.
    """
    text = _of_the_system(error) if isinstance(error, OSError) else None
    text = str(error) if isinstance(error, UserError) else text
    if hasattr(error, "format_message"):  # what typer raises has no class of a public name
        text = _of_the_command_line(error.format_message())
    if text is None:
        raise error
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def _of_the_command_line(text: str) -> str:
    """A command, option or value that typer refuses, with what helps."""
    end = "" if text.endswith((".", "?")) else "."
    return text and f"{text}{end} With --help, a command says what it takes."


def _of_the_system(error: OSError) -> str | None:
    """A full disk, or a place that nothing can be looked for in; None for any other error."""
    if error.errno in FULL:
        place = f"{error.filename} lies on" if error.filename else "the output goes to"
        return (
            f"no space is left on the disk that {place}. Free some; a run that has begun can be "
            "resumed."
        )
    if error.errno in CLOSED and error.filename:
        return (
            f"{error.filename} cannot be used: {error.strerror}. Correct its permissions or its "
            "place."
        )
    return None


def say_stopped(run: Path | None, options: Sequence[str] = ()) -> None:
    """The word after Ctrl-C and the like."""
    typer.secho(f"stopped. {how_to_go_on(run, options)}".rstrip(), fg="yellow", err=True)


def how_to_go_on(run: Path | None, options: Sequence[str] = ()) -> str:
    """What a user should know whose run has stopped; nothing where there is no run folder yet."""
    if run is None:
        return ""
    if (run / "result.json").is_file():
        return f"{run} is finished; {shell_command('report', run)} writes its page."
    command = shell_command("resume", run, *options)
    return f"{command} continues after the last completed epoch."


def note_run(run: Path) -> None:
    """Leave the run folder's name for the command that started this process with `--gpus`."""
    if RUN_NOTE in os.environ:
        Path(os.environ[RUN_NOTE]).write_bytes(os.fsencode(run))


def launched() -> bool:
    """Whether this process is one of a team that `--gpus` or torchrun started."""
    return {"WORLD_SIZE", "RANK"} <= os.environ.keys()  # as `join_team` has it


def let_the_first_speak() -> None:
    """Let the first process of this machine say what all know, and be ended with it meanwhile.

    One of each machine: that of another may be lost, and what it says is read there alone.
    """
    if launched() and os.environ.get("LOCAL_RANK", os.environ["RANK"]) != "0":
        time.sleep(LET_THE_FIRST_SPEAK)


def print_json(value: Any) -> None:
    """The one document on standard output."""
    if speaks():
        typer.echo(json_text(value))


def speaks() -> bool:
    """Whether this process speaks for the run: the only one, or the first of a team."""
    return not launched() or os.environ["RANK"] == "0"
