"""What surrounds a command's work: the live console, Ctrl-C, JSON for programs."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import typer

from tools.console import RunConsole
from tools.layout import json_text

INTERRUPTED = 130  # exit code after Ctrl-C: 128 + SIGINT


@contextmanager
def watched(json: bool, run: Path | None = None) -> Iterator[RunConsole]:
    """A console that shows what happens; quiet for programs and on all ranks but the first.

    With `json`, whatever a library prints goes to standard error. Ctrl-C ends with a word on
    how to go on.
    """
    console = RunConsole(quiet=json or not speaks(), run=run)
    try:
        with console, redirect_stdout(sys.stderr if json else sys.stdout):
            yield console
    except KeyboardInterrupt:
        if speaks():
            typer.secho(console.how_to_go_on(), fg="yellow", err=True)
        raise typer.Exit(INTERRUPTED) from None


def print_json(value: Any) -> None:
    """The one document on standard output."""
    if speaks():
        typer.echo(json_text(value))


def speaks() -> bool:
    """Whether this process speaks for the run: the only one, or the first that torchrun started."""
    return os.environ.get("RANK", "0") == "0"
