"""Several processes on this machine, and a word on how they ended."""

import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import typer

from common.cores import own_cores
from common.devices import require_devices
from common.team import start_team
from tools.layout import terminal
from tools.output import LOST, MISTAKE, RUN_NOTE, how_to_go_on, say_stopped
from tools.process import INTERRUPTED


def launch(processes: int, device: str, arguments: list[str]) -> int:
    """Run `tools ARGUMENTS` in that many processes; the exit code of the command.

    A process that was lost is named, and after a signal is said how to go on. A mistake of the
    user's has been told by the process that found it.

    Args:
        processes: one per GPU, or on the CPU.
        device: as on the command line.
        arguments: of the command line, without the program's name.

    Raises:
        UserError: the machine has fewer GPUs.
    """
    require_devices(device, processes)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(own_cores() // processes, 1)))
    with TemporaryDirectory() as folder:
        note = Path(folder) / "run"
        os.environ[RUN_NOTE] = str(note)
        try:
            failed = start_team(processes, [sys.executable, "-m", "tools", *arguments])
        except KeyboardInterrupt:
            failed = 0, INTERRUPTED
        finally:
            terminal().show_cursor()  # an ended process leaves its live line as it was
        if failed is None:
            return 0
        rank, code = failed
        if code == MISTAKE:
            return code
        run = Path(os.fsdecode(note.read_bytes())) if note.is_file() else None
    options = ["--gpus", str(processes), *(["--device", "cpu"] if device == "cpu" else [])]
    if code == INTERRUPTED:
        say_stopped(run, options)
        return code
    ended = f"was killed by {_signal(-code)}" if code < 0 else f"ended with exit code {code}"
    text = f"error: process {rank} of {processes} {ended}; the others were stopped."
    typer.secho(f"{text} {how_to_go_on(run, options)}", fg="red", err=True)
    return LOST


def _signal(number: int) -> str:
    """E.g. "signal 9 (SIGKILL)"; most real-time signals have no name."""
    known = number in list(signal.Signals)
    return f"signal {number} ({signal.Signals(number).name})" if known else f"signal {number}"
