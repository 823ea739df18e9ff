"""`tools doctor`: what this machine has, and what it lacks for the recipes."""

import platform
from pathlib import Path
from typing import Any

import numba
import torch

from common.arithmetic import has_fast_bfloat16, missing_for_compiling
from common.backbones.weights import cached_weights, weights_folder
from common.clustering import require_possible
from common.cores import own_cores
from common.errors import MissingPackage
from common.recipe import Approximate, Clustering, Dbscan, InfoMap
from common.room import device_room, disk_room, host_room
from methods import METHODS
from tools.data import list_datasets
from tools.environment import commit, package_versions

CPU = torch.device("cpu")


def examine(data_root: Path, runs_root: Path) -> dict[str, Any]:
    """Versions, devices, threads, memory, disk, data sets and initial weights, and hints.

    Sizes are in bytes. Nothing is downloaded or changed.
    """
    found: dict[str, Any] = {
        "versions": {"python": platform.python_version(), **package_versions(), "code": commit()},
        "system": f"{platform.system()} {platform.release()} ({platform.machine()})",
        "cpu": {
            "cores": own_cores(),
            "torch_threads": torch.get_num_threads(),
            "numba_threads": numba.config.NUMBA_NUM_THREADS,
            "vectors": torch.backends.cpu.get_cpu_capability(),
            "fast_bfloat16": has_fast_bfloat16(CPU),
        },
        "missing_for_compiling": missing_for_compiling(),
        "gpus": [_gpu(number) for number in range(torch.cuda.device_count())],
        "memory": {"free": host_room()},
        "disk": {"free": disk_room(runs_root), "folder": str(runs_root.resolve())},
        "optional": {
            "faiss": _possible(Dbscan(search=Approximate())),
            "infomap": _possible(InfoMap()),
        },
        "data_root": str(data_root.resolve()),
        "datasets": {row["name"]: row["found"] for row in list_datasets(data_root)},
        "weights_folder": str(weights_folder()),
        "weights": {arch: _weights(arch) for arch in _needed()},
    }
    return {**found, "hints": hints(found)}


def hints(found: dict[str, Any]) -> list[str]:
    """What could be missed, and how to get it."""
    said = []
    if not found["gpus"]:
        said.append("no CUDA device: the papers' recipes would take weeks; try dataset synthetic.")
    elif missing := found["missing_for_compiling"]:
        said.append(f"precision fast cannot compile long runs for want of {', '.join(missing)}.")
    if not found["optional"]["infomap"]:
        said.append("the infomap variants need a package: pip install -e '.[infomap]'.")
    if not found["optional"]["faiss"]:
        said.append("faiss cannot be imported: clustering.search=Approximate() is not available.")
    if missing := [arch for arch, path in found["weights"].items() if path is None]:
        said.append(
            f"no initial weights of {', '.join(missing)} in {found['weights_folder']}: "
            "torchvision's are downloaded when a run needs them, IBN-a files must be put there."
        )
    if not any(found["datasets"].values()):
        said.append(f"no data set in {found['data_root']}: `tools data list` says where they go.")
    return said


def _needed() -> list[str]:
    """Architectures whose ImageNet weights some recipe starts from."""
    recipes = [r for spec in METHODS.values() for r in (*spec.recipes, spec.user_recipe)]
    return sorted({r.encoder.arch for r in recipes if r.encoder.weights == "imagenet"})


def _weights(arch: str) -> str | None:
    path = cached_weights(arch)
    return str(path) if path else None


def _gpu(number: int) -> dict[str, Any]:
    device = torch.device("cuda", number)
    properties = torch.cuda.get_device_properties(device)
    return {
        "name": properties.name,
        "total": properties.total_memory,
        "free": device_room(device),
        "capability": f"{properties.major}.{properties.minor}",
    }


def _possible(clustering: Clustering) -> bool:
    """Whether a run could cluster so: what is installed need not be fit to be imported."""
    try:
        require_possible(clustering)
    except MissingPackage:
        return False
    return True
