"""How many cores there are for this process, and for each where a run has several here."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")  # as version 2 of the kernel's interface has it
OWN_CGROUP = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Cores that the system lets this process use; all of them where it does not tell.

    A container or batch job may have all cores and the time of few: a share counts as a core.
    """
    told = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if told else os.cpu_count() or 1
    for limit in (group / "cpu.max" for group in control_groups()):
        time, period = limit.read_text("ascii").split() if limit.is_file() else ("max", "")
        if time != "max":
            cores = min(cores, math.ceil(int(time) / int(period)))
    return cores


def processes_here() -> int:
    """Processes of this run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def own_cores() -> int:
    """This process's share of the usable cores, among the run's processes on this machine."""
    return max(usable_cores() // processes_here(), 1)


def control_groups() -> list[Path]:
    """Folders of this process's control group and of those around it, e.g. a batch job's."""
    lines = os.fsdecode(OWN_CGROUP.read_bytes()).splitlines() if OWN_CGROUP.is_file() else []
    own = CGROUP / next((line[4:] for line in lines if line.startswith("0::/")), "")
    return [group for group in (own, *own.parents) if group.is_relative_to(CGROUP)]
