"""How many cores there are for this process, and for each where a run has several here."""

import math
import os
import re
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Cores that the system lets this process use; all of them where it does not tell.

    A container or batch job may have all cores and the time of few: a share counts as a core.
    """
    named = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if named else os.cpu_count() or 1
    for group in control_groups("cpu"):
        parts = (told(group / f"cpu.cfs_{part}_us") for part in ("quota", "period"))
        limit = told(group / "cpu.max") or "".join(parts)
        if share := re.fullmatch(r"([1-9]\d*)\s([1-9]\d*)\s", limit):  # not "max" or -1
            cores = min(cores, math.ceil(int(share[1]) / int(share[2])))
    return cores


def processes_here() -> int:
    """Processes of this run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def own_cores() -> int:
    """This process's share of the usable cores, among the run's processes on this machine."""
    return max(usable_cores() // processes_here(), 1)


def control_groups(controller: str) -> list[Path]:
    """Folders of this process's control group and of those around it, e.g. a batch job's.

    Version 2 of the kernel's interface has one tree of groups, version 1 one for each controller.

    Args:
        controller: "cpu" or "memory".
    """
    lines = re.findall(r"^\d+:([^:]*):/(.*)$", told(OWN_CGROUPS), re.MULTILINE)
    found: list[Path] = []
    for name, tree in (("", CGROUP), (controller, CGROUP / controller)):
        own = tree / next((path for names, path in lines if name in names.split(",")), "")
        found += [group for group in (own, *own.parents) if group.is_relative_to(tree)]
    return found


def told(file: Path) -> str:
    """What the kernel says in a file; "" where there is none that can be read."""
    try:
        return os.fsdecode(file.read_bytes())
    except OSError:
        return ""
