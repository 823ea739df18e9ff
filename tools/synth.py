"""`tools data synth`: draw a synthetic data set, and make sure that the runs find one."""

import time
from pathlib import Path
from typing import Any

from common.data.synthetic import (
    SYNTHETIC_SETS,
    SyntheticSettings,
    is_complete,
    write_synthetic,
)
from common.data.synthetic.schedule import GALLERY, QUERY, TRAIN, all_shots
from common.errors import UserError
from common.types import Tick


def synth(
    data_root: Path,
    name: str = "synthetic",
    *,
    strength: str = "default",
    seed: int = 0,
    ids: int = 100,
    cameras: int = 6,
    out: Path | None = None,
    workers: int | None = None,
    progress: Tick | None = None,
) -> dict[str, Any]:
    """Draw the set `name` into `<data_root>/<name>`, or into `out`.

    Args:
        ids: training identities; half as many are for the test, and as many again are
            distractors.
        progress: called with the images drawn so far and all of them.

    Returns:
        {"name", "folder", "settings", "images", "ids", "cameras", "seconds"}; images and
        ids by split.

    Raises:
        UserError: an unknown name, a setting that is not possible, or a folder that holds
            something else.
    """
    if name not in SYNTHETIC_SETS:
        raise UserError(f"unknown set {name!r}. Choose one of {', '.join(SYNTHETIC_SETS)}.")
    folder = out if out is not None else data_root / name
    settings = SyntheticSettings(
        strength=strength,
        seed=seed,
        train_ids=ids,
        test_ids=max(1, ids // 2),
        distractors=ids // 2,
        cameras=cameras,
        part=SYNTHETIC_SETS[name],
    )
    start = time.perf_counter()
    write_synthetic(folder, settings, workers, progress)
    shots = list(all_shots(settings))
    splits = {"train": TRAIN, "query": QUERY, "gallery": GALLERY}
    people = {split: [s.pid for s in shots if s.folder == f] for split, f in splits.items()}
    return {
        "name": name,
        "folder": str(folder),
        "settings": settings.record(),
        "images": {split: len(pids) for split, pids in people.items()},
        "ids": {split: len(set(pids)) for split, pids in people.items()},
        "cameras": len({shot.camera for shot in shots}),
        "seconds": time.perf_counter() - start,
    }


def ensure_synthetic(data_root: Path, name: str, *, progress: Tick | None = None) -> Path:
    """Folder of the set `name`; drawn with default settings where there is none.

    A complete set of other settings, made by `tools data synth`, is taken as it is.

    Raises:
        UserError: the folder holds something else, or a set of another drawing version.
    """
    folder = data_root / name
    if is_complete(folder):
        return folder
    settings = SyntheticSettings(part=SYNTHETIC_SETS[name])
    return write_synthetic(folder, settings, progress=progress)
