"""How much memory there is for keeping images, and how much disk for what a run writes."""

import os
import shutil
from pathlib import Path

import torch

from common.cores import processes_here

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def host_room() -> int:
    """Bytes for each process of the run on this machine, within the limit of a container."""
    return min(_available(), _container_room()) // processes_here()


def device_room(device: torch.device) -> int:
    """Free bytes on a GPU; 0 for a CPU."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


def disk_room(folder: Path) -> int:
    """Free bytes where a folder is or would be."""
    place = folder.resolve()
    existing = next(path for path in (place, *place.parents) if path.exists())
    return shutil.disk_usage(existing).free


def _available() -> int:
    if MEMINFO.is_file():
        for line in MEMINFO.read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 4 * 2**30  # a machine that does not tell, e.g. Windows


def _container_room() -> int:
    limit, used = CGROUP / "memory.max", CGROUP / "memory.current"
    if not (limit.is_file() and used.is_file()) or limit.read_text("ascii").strip() == "max":
        return 2**62
    return max(int(limit.read_text("ascii")) - int(used.read_text("ascii")), 0)
