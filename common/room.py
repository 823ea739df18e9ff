"""What is left of the memory and the disk of this machine."""

import os
import re
import shutil
from pathlib import Path

import torch

from common.cores import control_groups, processes_here, told

MEMINFO = Path("/proc/meminfo")
SHARED = Path("/dev/shm")
NO_LIMIT = 2**62


def host_room() -> int:
    """Bytes for each process of the run here, within the limits of a container or a batch job."""
    return min(_available(), *map(_group_room, control_groups("memory"))) // processes_here()


def device_room(device: torch.device) -> int:
    """Free bytes on a GPU, with those that torch keeps of an earlier run; 0 for a CPU."""
    if device.type != "cuda":
        return 0
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept


def disk_room(folder: Path) -> int:
    """Free bytes where a folder is or would be."""
    place = folder.resolve()
    existing = next(path for path in (place, *place.parents) if path.exists())
    return shutil.disk_usage(existing).free


def shared_room() -> int:
    """Bytes for each process of the run here of the memory that it shares with its workers.

    Containers often have 64 MB of it, less than one batch.
    """
    usage = shutil.disk_usage(SHARED) if SHARED.is_dir() else None
    free = usage.free if usage and usage.total else NO_LIMIT
    return free // processes_here()


def _available() -> int:
    if available := re.search(r"^MemAvailable: +(\d+) kB$", told(MEMINFO), re.MULTILINE):
        return int(available[1]) * 1024
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 4 * 2**30  # a machine that does not tell, e.g. Windows


def _group_room(group: Path) -> int:
    """Bytes below a group's limit; files in memory count as free, since the kernel drops them."""
    names = (("max", "limit_in_bytes"), ("current", "usage_in_bytes"))  # of versions 2 and 1
    limit, used = (told(group / f"memory.{v2}") or told(group / f"memory.{v1}") for v2, v1 in names)
    if not (limit.strip().isdecimal() and used.strip().isdecimal()):  # "max", or no such group
        return NO_LIMIT
    stat = told(group / "memory.stat")  # version 1 adds the groups within, as total_..., at the end
    kinds = dict(re.findall(r"^(?:total_)?((?:in)?active_file) (\d+)$", stat, re.MULTILINE))
    return max(int(limit) - int(used) + sum(map(int, kinds.values())), 0)
