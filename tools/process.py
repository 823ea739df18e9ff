"""How this process uses the machine: memory it keeps, how its threads wait, when it ends."""

import ctypes
import os
import signal
import sys

INTERRUPTED = 130  # exit code after Ctrl-C: 128 + SIGINT
STOPPING = ("SIGTERM", "SIGHUP")  # of a batch system or container, and of a terminal that closes
PR_SET_PDEATHSIG = 1  # of Linux's prctl
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # of glibc's mallopt


def keep_memory_and_let_threads_sleep() -> None:
    """Keep freed memory for the next batch, and let idle threads sleep. Before torch is imported.

    A training step allocates and frees the same large buffers again and again. By default glibc
    hands each back to the kernel, which clears its pages anew at the next step; on a virtual
    machine that took more time than the arithmetic. And OpenMP's threads wait in busy loops, which
    on a machine shared with anything else take the cores from those they wait for. Neither changes
    a number. Where the environment says otherwise, it is left alone.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library than glibc
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 1 << 30)
    mallopt(M_TOP_PAD, 1 << 26)


def end_with_parent() -> None:
    """Be ended when the process that started this one ends, however that happens.

    Linux only: elsewhere a process whose parent is killed goes on.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def stop_when_told() -> None:
    """Let a signal to stop end a command as Ctrl-C does: tidily, with a word on how to go on.

    Where it is ignored, as under nohup, it stays so.
    """
    for name in STOPPING:
        number = getattr(signal, name, None)  # Windows has not all
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def end_undisturbed() -> None:
    """Ignore further signals to stop: all is said, and what libraries do at the end takes a moment.

    A second Ctrl-C would add a traceback of theirs and end the command by the signal.
    """
    for name in ("SIGINT", *STOPPING):
        number = getattr(signal, name, None)  # Windows has not all
        if number is not None and signal.getsignal(number) is signal.default_int_handler:
            signal.signal(number, signal.SIG_IGN)
