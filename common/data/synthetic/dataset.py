"""A synthetic data set on disk: drawn in parallel, recorded when complete, never overwritten."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from common.cores import usable_cores
from common.data.synthetic.drawing import draw_everyone, write_whole
from common.data.synthetic.schedule import FOLDERS, all_shots
from common.data.synthetic.settings import DRAWING, SyntheticSettings, differences, read_record
from common.errors import UserError, explained
from common.types import Tick

COMPLETE = "synthetic.json"
UNFINISHED = "synthetic.unfinished.json"


def write_synthetic(
    root: Path,
    settings: SyntheticSettings,
    workers: int | None = None,
    progress: Tick | None = None,
) -> Path:
    """Draw a data set in the layout of Market-1501 into `root`, unless it is there already.

    The bytes of every image follow from the settings alone, whatever the number of processes.
    `synthetic.json` is written last: a folder that has it is complete. An interrupted set is
    drawn again, and what belongs to other settings is never touched.

    Args:
        root: the set's own folder, made if missing.
        workers: processes; None for one per core, fewer for a small set; 0 or 1 for none
            beside this one.
        progress: called with the number of images drawn so far and of all.

    Returns:
        `root`.

    Raises:
        UserError: a folder that holds something else or cannot be written.
    """
    total = sum(1 for _ in all_shots(settings))
    workers = _default_workers(total) if workers is None else workers
    with explained(f"{root} cannot be read or written"):
        _refuse_other_content(root, settings)
        if (root / COMPLETE).exists() and _count_images(root) == total:
            return root
        _draw(root, settings, workers, lambda done: progress(done, total) if progress else None)
    return root


def is_complete(root: Path) -> bool:
    """Whether a set of whatever settings was drawn here to the end by this drawing code."""
    record = root / COMPLETE
    return record.exists() and read_record(record).get("drawing") == DRAWING


def lost_images(root: Path) -> list[str]:
    """What the folder lacks of a set that was drawn here to the end, in words; [] if nothing."""
    if not is_complete(root):
        return []
    record = read_record(root / COMPLETE)
    settings = SyntheticSettings(
        **{f.name: record.get(f.name, f.default) for f in fields(SyntheticSettings)}
    )
    total = sum(1 for _ in all_shots(settings))
    lost = total - _count_images(root)
    return [f"{lost:,} of its {total:,} images"] if lost > 0 else []


def version(root: Path) -> str:
    """How the set differs from the default one, e.g. "strength hard, seed 3"; "" if it does not."""
    record = root / COMPLETE
    if not record.exists():
        return ""
    found, usual = read_record(record), SyntheticSettings().record()
    changed = {name: found.get(name) for name, value in usual.items() if found.get(name) != value}
    changed.pop("part", None)
    return ", ".join(f"{name} {value}" for name, value in changed.items())


def _draw(
    root: Path, settings: SyntheticSettings, workers: int, progress: Callable[[int], None]
) -> None:
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    record = json.dumps(settings.record(), indent=2).encode()
    write_whole(root / UNFINISHED, record)
    (root / COMPLETE).unlink(missing_ok=True)
    done = 0
    progress(done)
    for drawn in draw_everyone(root, settings, workers):
        done += drawn
        progress(done)
    write_whole(root / COMPLETE, record)
    (root / UNFINISHED).unlink(missing_ok=True)


def _default_workers(total: int) -> int:
    """One process per core, with 800 images each at least: to start one takes a second."""
    return max(1, min(usable_cores(), total // 800))


def _count_images(root: Path) -> int:
    return sum(1 for folder in FOLDERS for _ in (root / folder).glob("*.jpg"))


def _refuse_other_content(root: Path, settings: SyntheticSettings) -> None:
    if not root.exists():
        return
    if not root.is_dir():
        raise UserError(f"{root} is a file. Name a folder for the synthetic set.")
    records = [root / name for name in (COMPLETE, UNFINISHED) if (root / name).exists()]
    if not records and any(root.iterdir()):
        raise UserError(
            f"{root} is not empty and holds no synthetic set. Name another folder: nothing is "
            "overwritten."
        )
    for record in records:
        if other := differences(read_record(record), settings.record()):
            raise UserError(
                f"{root} holds another synthetic set: {', '.join(other)}. Name another folder, "
                "or delete this one."
            )
