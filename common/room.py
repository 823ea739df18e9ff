"""What is left of the memory and the disk of this machine."""

import os
import shutil
from pathlib import Path

import torch

from common.cores import control_groups, processes_here

MEMINFO = Path("/proc/meminfo")
SHARED = Path("/dev/shm")
NO_LIMIT = 2**62


def host_room() -> int:
    """Bytes for each process of the run here, within the limits of a container or a batch job."""
    return min(_available(), *map(_group_room, control_groups())) // processes_here()


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
    if MEMINFO.is_file():
        for line in MEMINFO.read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 4 * 2**30  # a machine that does not tell, e.g. Windows


def _group_room(group: Path) -> int:
    """Bytes below a group's limit; files in memory count as free, since the kernel drops them."""
    limit, used, parts = (group / f"memory.{name}" for name in ("max", "current", "stat"))
    if not limit.is_file() or limit.read_text("ascii").strip() == "max":
        return NO_LIMIT
    kinds = dict(line.split() for line in parts.read_text("ascii").splitlines())
    files = sum(int(kinds.get(kind, 0)) for kind in ("active_file", "inactive_file"))
    room = int(limit.read_text("ascii")) - int(used.read_text("ascii")) + files
    return max(room, 0)
