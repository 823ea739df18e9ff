"""What a run records about the world it ran in, and how that differs from the recipe."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from common.arithmetic import compiles, has_fast_bfloat16, missing_for_compiling
from common.data.catalogue import DATASETS
from common.data.check import SplitCounts, count_differences
from common.data.datasets import fingerprint
from common.recipe import Dbscan, Recipe, chunks_per_process
from common.run import Observer, RunDir
from common.team import Team
from common.types import SPLITS, Dataset
from tools.assemble import Found, left_out
from tools.layout import MISSING
from tools.lookup import recipe_before_changes
from tools.options import RunOptions
from tools.recipes import settings_of

PACKAGES = ("unreid", "torch", "torchvision", "numpy", "scipy", "scikit-learn", "numba", "Pillow")


def environment(
    recipe: Recipe,
    base: Recipe,
    target: Found,
    source: Found | None,
    options: RunOptions,
    team: Team,
) -> dict[str, Any]:
    """The content of `environment.json`; `bn_chunks` are the groups that the processes make."""
    several = target.dataset.train.num_cams > 1
    sampling = recipe.sampling  # which draws no partner of an image where K is 0 or 1
    return {
        **surroundings(recipe, len(target.dataset.train), team),
        "precision": recipe.precision,
        "bn_chunks": _groups(recipe, team),
        "images": options.images,
        "dataset": dataset_record(target),
        "source": dataset_record(source) if source else None,
        "cameras": {
            "sampler": several and sampling.cameras and sampling.instances > 1,
            "clustering": several and _centers_cameras(recipe),
            "loss": False,
            "rule": target.dataset.camera_rule,
        },
        "changes": [f"{name}={value}" for name, value in changes(recipe, base).items()],
        "deviations": [
            *deviations(recipe, base, team),
            *other_releases(target, source),
            *other_images(target, source),
        ],
        "resumptions": [],
    }


def _centers_cameras(recipe: Recipe) -> bool:
    if recipe.supervised:  # which clusters nothing
        return False
    return isinstance(recipe.clustering, Dbscan) and recipe.clustering.center_cameras


def _groups(recipe: Recipe, team: Team) -> int:
    """Parts of a batch that batch norm treats apart, over all processes."""
    return chunks_per_process(recipe.bn_chunks, team.size) * team.size


def surroundings(recipe: Recipe, images: int, team: Team) -> dict[str, Any]:
    """What a run does not choose: versions, code, devices, threads, whether it is compiled.

    Args:
        images: to train on.
    """
    return {
        "versions": {"python": platform.python_version(), **package_versions()},
        "commit": commit(),
        "device": device_name(team.device),
        "devices": team.size,
        "threads": torch.get_num_threads(),
        "compiled": compiles(recipe.precision, team.device, recipe.steps(images)),
    }


def note_resumption(
    run: RunDir, recipe: Recipe, images: int, team: Team, observer: Observer
) -> None:
    """Record where the run goes on, and warn where that is not where it was started."""
    record, now = run.read_json("environment.json"), surroundings(recipe, images, team)
    found = deviations(recipe, recipe_before_changes(recipe), team)
    with run.reading("environment.json"):
        changed = changed_surroundings(record, now)
        told = record.get("deviations", [])
        again = {**now, "changed": changed, "deviations": found}
        record = {**record, "resumptions": [*record.get("resumptions", []), again]}
    run.write_json("environment.json", record)
    if changed:
        text = (
            f"since the run was started, there have been changes: {'; '.join(changed)}. So it need "
            "not end like one that was never stopped."
        )
        observer({"event": "warning", "text": text})
    for sentence in found:
        if sentence not in told:
            observer({"event": "warning", "text": sentence})


def changed_surroundings(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two surroundings, with both values: "torch 2.4.0, now 2.5.1"."""
    was, now = ({**world["versions"], **world} for world in (then, now))
    names = [name for name in now if name != "versions"]
    names += [name for name in then["versions"] if name not in now]
    return [
        f"{name} {was.get(name, MISSING)}, now {now.get(name, MISSING)}"
        for name in names
        if was.get(name) != now.get(name)
    ]


def package_versions() -> dict[str, str]:
    """Installed versions of what decides results."""
    found = {}
    for name in (*PACKAGES, "faiss-gpu", "faiss-cpu", "infomap"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Short hash of the checkout, with "+" for uncommitted changes; "" outside one."""
    folder = Path(__file__).parent
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()


def device_name(device: torch.device) -> str:
    """E.g. "NVIDIA H200" or "cpu (x86_64, 2 threads)"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()}, {torch.get_num_threads()} threads)"


def dataset_record(found: Found) -> dict[str, Any]:
    """Name, version, origin, fingerprint and counts."""
    dataset = found.dataset
    return {
        "name": dataset.name,
        "version": dataset.version,
        "root": dataset.root,
        "origin": vars(found.origin),
        "dropped": list(found.dropped),
        "fingerprint": fingerprint(dataset),
        **{split: vars(counts) for split, counts in split_counts(dataset).items()},
    }


def split_counts(dataset: Dataset) -> dict[str, SplitCounts]:
    """Images, identities and cameras by split."""
    return {split: SplitCounts.of(getattr(dataset, split)) for split in SPLITS}


def changes(recipe: Recipe, base: Recipe) -> dict[str, str]:
    """Settings that differ from the paper's recipe, kinds of clustering and schedule among them."""
    was, now = settings_of(base), settings_of(recipe)
    return {name: str(value) for name, value in now.items() if was.get(name) != value}


def deviations(recipe: Recipe, base: Recipe, team: Team) -> list[str]:
    """Sentences on how the run differs from the recipe, forced by the machine or asked for."""
    found = []
    if recipe.bn_chunks % team.size:
        found.append(
            f"bn_chunks={recipe.bn_chunks} is not divisible by {team.size} processes: batch norm "
            f"splits the batch into {_groups(recipe, team)} groups."
        )
    per_group = base.sampling.batch_size / base.bn_chunks
    ours = recipe.sampling.batch_size / _groups(recipe, team)
    if ours != per_group:
        found.append(
            f"batch norm sees {ours:g} images at a time, {per_group:g} in the recipe; this can "
            "change results by several points (docs/fidelity.md)."
        )
    if recipe.precision == "fast":
        found.append(
            "precision fast: rounding differs from float32."
            if has_fast_bfloat16(team.device)
            else "precision fast: this device has no fast bfloat16, the network stays in float32."
        )
        if team.device.type == "cuda" and (missing := missing_for_compiling()):
            found.append(
                "precision fast: long runs are not compiled here, for want of "
                f"{', '.join(missing)}, and take longer."
            )
    if changed := changes(recipe, base):
        said = ", ".join(f"{name}={value}" for name, value in changed.items())
        found.append(f"settings differ from the recipe: {said}.")
    return found


def other_releases(*data: Found | None) -> list[str]:
    """A sentence for every data set of another release than the published numbers are on."""
    there = [found.dataset for found in data if found]
    papers = {d.name: DATASETS[d.name].papers_version for d in there if d.name in DATASETS}
    return [
        f"{d.name} is of version {d.version}, the published numbers are on {papers[d.name]}."
        for d in there
        if papers.get(d.name) and d.version != papers[d.name]
    ]


def other_images(*data: Found | None) -> list[str]:
    """Sentences on images left out and on counts not as published; the check has warned of them."""
    texts = []
    for found in filter(None, data):
        name = found.dataset.name
        if found.dropped:
            texts.append(left_out(name, found.dropped))
        texts += count_differences(name, split_counts(found.dataset))
    return texts
