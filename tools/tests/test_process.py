"""Memory and threads are set before torch is imported, and leave the user's own settings alone; a
process of a team ends with the one that started it; no stream, disk, memory or GPU ends one in a
traceback."""

import errno
import gc
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import tools.__main__
import tools.cli
import tools.reproduce
from common.errors import LostProcess, UserError
from common.run import RunDir
from tools.output import (
    RUN_NOTE,
    escape_unprintable,
    open_closed_streams,
    print_json,
    sentence_of,
    watched,
)
from tools.process import INTERRUPTED, keep_memory_and_let_threads_sleep

PROGRAM = """
import os, sys
from tools.process import keep_memory_and_let_threads_sleep
keep_memory_and_let_threads_sleep()
assert "torch" not in sys.modules
print(os.environ["OMP_WAIT_POLICY"])
import numpy
print(numpy.ones((3000, 3000)).sum())
"""


def said(**environment):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_threads_wait_asleep_and_large_buffers_work():
    assert said() == ["passive", "9000000.0"]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_is_said_to_a_closed_stream_goes_nowhere(monkeypatch, stream):
    monkeypatch.setattr(sys, stream, None)
    open_closed_streams()
    with getattr(sys, stream) as opened:
        print("said", file=opened)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_character_that_a_stream_cannot_encode_is_escaped(monkeypatch, stream):
    monkeypatch.setattr(sys, stream, io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    escape_unprintable()
    print("für", file=getattr(sys, stream), flush=True)
    assert getattr(sys, stream).buffer.getvalue() == b"f\\xfcr\n"


def test_a_full_disk_is_told_in_a_sentence_wherever_it_is_met():
    full = OSError(errno.ENOSPC, "No space left on device")
    assert "the output goes to. Free some" in sentence_of(full)
    full.filename = "cache"
    assert "no space is left on the disk that cache lies on" in sentence_of(full)
    with pytest.raises(OSError, match="Input/output error"):  # a traceback
        sentence_of(OSError(errno.EIO, "Input/output error"))


def test_a_place_that_is_closed_is_told_in_a_sentence_wherever_it_is_met():
    closed = PermissionError(errno.EACCES, "Permission denied", "ana/run\x1b")
    assert sentence_of(closed).startswith("ana/run\\x1b cannot be used: Permission denied.")
    with pytest.raises(OSError, match="too long") as caught:
        RunDir.open(Path(300 * "a"))
    assert "File name too long. Correct its permissions or its place." in sentence_of(caught.value)


@pytest.fixture
def call_that_meets(call, monkeypatch):
    """`call_that_meets(error)`: the command whose run has begun when the error is raised."""

    def run(error):
        def begun(*given, observer, **options):
            observer({"event": "run", "path": "runs/mine"})
            raise error

        monkeypatch.setattr(tools.reproduce, "reproduce", begun)
        return call("reproduce", "hhcl", "synthetic")

    return run


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (
            torch.OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of "
                "79.11 GiB of which 1.50 GiB is free. Of the allocated memory 70 GiB is "
            ),
            "(CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 "
            "GiB of which 1.50 GiB is free).",
        ),
        (torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel"), "(CUDA error: out of"),
        (MemoryError("Unable to allocate 728. TiB for an array"), "(Unable to allocate 728. TiB"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "can't allocate"),
    ],
)
def test_too_little_memory_is_one_sentence_with_the_way_to_go_on(call_that_meets, error, cause):
    called = call_that_meets(error)
    assert called.code == 2
    assert called.err.startswith("error: there is not enough memory (")
    assert cause in called.err
    assert "Where the command takes them, --images" in called.err, "`tools bench` does not"
    assert "`tools resume runs/mine` continues" in called.err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            torch.AcceleratorError("CUDA error: device-side assert triggered\nCUDA kernel errors"),
            "the GPU failed (CUDA error: device-side assert triggered).",
        ),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
            "of memory (DataLoader worker (pid 7) is killed by signal: Killed). Start fewer",
        ),
    ],
)
def test_a_lost_gpu_or_reading_process_is_one_sentence_with_the_way_to_go_on(
    call_that_meets, error, said
):
    called = call_that_meets(error)
    assert called.code == 1
    assert said in called.err
    assert "`tools resume runs/mine` continues" in called.err


@pytest.mark.parametrize(("local_rank", "waits"), [("0", []), ("1", [15])])
@pytest.mark.parametrize(("error", "code"), [(LostProcess("It is gone"), 1), (UserError("No"), 2)])
def test_what_all_processes_know_is_told_at_once_by_one_of_each_machine(
    call_that_meets, monkeypatch, local_rank, waits, error, code
):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    for name, value in {"WORLD_SIZE": "4", "RANK": "2", "LOCAL_RANK": local_rank}.items():
        monkeypatch.setenv(name, value)
    called = call_that_meets(error)
    assert (called.code, slept) == (code, waits)
    assert called.err.startswith(f"error: {error}")


def test_a_process_of_a_team_leaves_it_to_the_command_with_gpus_to_say_how_to_go_on(
    call_that_meets, monkeypatch, tmp_path
):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setenv(RUN_NOTE, str(tmp_path / "note"))
    assert call_that_meets(LostProcess("It is gone")).code == 1
    assert slept == [15]
    lost = call_that_meets(torch.AcceleratorError("CUDA error: device-side assert triggered"))
    assert lost.code == 1
    assert "resume" not in lost.err


@pytest.mark.parametrize(("rank", "first"), [(None, True), ("0", True), ("1", False)])
def test_the_first_process_alone_speaks(monkeypatch, capsys, rank, first):
    for name in ("WORLD_SIZE", "RANK"):
        monkeypatch.setenv(name, rank) if rank else monkeypatch.delenv(name, raising=False)
    print_json({"map": 50.0})
    assert bool(capsys.readouterr().out) == first
    with watched(json=False) as console:
        assert console.quiet != first
    with watched(json=True) as console:
        assert console.quiet


def test_a_gpu_that_every_call_waits_for_shows_where_it_fails(call_that_meets, monkeypatch):
    monkeypatch.setenv("CUDA_LAUNCH_BLOCKING", "1")
    with pytest.raises(torch.AcceleratorError):
        call_that_meets(torch.AcceleratorError("CUDA error: device-side assert triggered"))


def test_a_name_cannot_steer_the_terminal():
    assert sentence_of(UserError("no \x1b[31mü\x07,\nagain")) == "no \\x1b[31mü\\x07,\nagain"


def test_ctrl_c_while_the_command_line_loads_ends_it_quietly(tmp_path):
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")  # the first that takes long
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "tools", "--help"]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "", "")


def test_the_end_of_a_command_does_not_go_through_all_that_libraries_have_loaded(monkeypatch):
    frozen = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(gc))
    monkeypatch.setattr(tools.cli, "main", lambda: sys.exit(1))
    monkeypatch.setattr(tools.__main__, "end_undisturbed", lambda: None)  # this process goes on
    with pytest.raises(SystemExit):
        tools.__main__.main()
    assert frozen


STOPPED = """
import os, signal
from tools.process import stop_when_told
signal.signal(signal.SIGHUP, signal.SIG_IGN)
stop_when_told()
os.kill(os.getpid(), signal.SIGHUP)
try:
    os.kill(os.getpid(), signal.SIGTERM)
except KeyboardInterrupt:
    print("stopped")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="other signals")
def test_a_batch_system_stops_a_command_as_ctrl_c_does_and_nohup_keeps_it_going():
    done = subprocess.run([sys.executable, "-c", STOPPED], capture_output=True, check=True)
    assert done.stdout == b"stopped\n"


STOPPED_AGAIN = """
import atexit, os, signal, sys
import tools.__main__, tools.cli
from tools.process import STOPPING, stop_when_told

def command():
    stop_when_told()
    os.kill(os.getpid(), signal.SIGINT)

@atexit.register
def again():
    for name in ("SIGINT", *STOPPING):
        os.kill(os.getpid(), getattr(signal, name))

signal.signal(signal.SIGINT, signal.default_int_handler)
tools.cli.main = command
tools.__main__.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="other signals")
def test_a_second_ctrl_c_does_not_disturb_the_end_of_a_command():
    done = subprocess.run([sys.executable, "-c", STOPPED_AGAIN], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (INTERRUPTED, b"")


def test_a_policy_of_the_user_s_stays():
    assert said(OMP_WAIT_POLICY="active")[0] == "active"


@pytest.mark.skipif(sys.platform != "linux", reason="another C library")
def test_memory_is_kept_unless_the_environment_says_how(monkeypatch):
    set_to = []
    library = SimpleNamespace(mallopt=lambda *given: set_to.append(given))
    monkeypatch.setattr("ctypes.CDLL", lambda name: library)
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    keep_memory_and_let_threads_sleep()
    assert set_to == []
    for name in [name for name in os.environ if name.startswith("MALLOC_")]:
        monkeypatch.delenv(name)
    keep_memory_and_let_threads_sleep()
    assert len(set_to) == 3


STARTER = """
import os, subprocess, sys
child = "import time; from tools.process import end_with_parent as e; e(); print(1, flush=True)"
subprocess.Popen([sys.executable, "-c", child + "; time.sleep(60)"], stdout=sys.stdout)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no other system offers it")
def test_a_process_of_a_team_ends_with_the_command_that_started_it_even_when_that_is_killed():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", STARTER], **pipes) as starter:
        assert starter.stdout.readline() == b"1\n"
        starter.send_signal(signal.SIGKILL)
        starter.communicate(timeout=30)  # ends when no process holds its output any more
