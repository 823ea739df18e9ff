"""How many cores there are for this process."""

import os


def usable_cores() -> int:
    """Cores that the system lets this process use; all of them where it does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
