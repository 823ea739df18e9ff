"""How many cores there are for this process, and for each where a run has several here."""

import os


def usable_cores() -> int:
    """Cores that the system lets this process use; all of them where it does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processes_here() -> int:
    """Processes of this run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def own_cores() -> int:
    """This process's share of the usable cores, among the run's processes on this machine."""
    return max(usable_cores() // processes_here(), 1)
