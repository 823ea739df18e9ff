"""A synthetic data set on disk: drawn in parallel, recorded when complete, never overwritten."""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path

from common.data.synthetic.camera import Camera, draw_camera
from common.data.synthetic.identity import draw_person
from common.data.synthetic.picture import HEIGHT, WIDTH, photograph
from common.data.synthetic.schedule import FOLDERS, all_shots, shots_of
from common.data.synthetic.settings import DRAWING, SyntheticSettings, differences, read_record
from common.data.synthetic.streams import Part, stream
from common.data.synthetic.strength import STRENGTHS
from common.errors import UserError

COMPLETE = "synthetic.json"
UNFINISHED = "synthetic.unfinished.json"
PORTION = 5  # people that a process draws at a time

Progress = Callable[[int, int], None]


def write_synthetic(
    root: Path,
    *,
    strength: str = "default",
    seed: int = 0,
    train_ids: int = 100,
    test_ids: int = 50,
    distractors: int = 50,
    cameras: int = 6,
    part: Part = "a",
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Draw a data set in the layout of Market-1501 into `root`, unless it is there already.

    The bytes of every image follow from the settings alone, whatever the number of processes.
    `synthetic.json` is written last: a folder that has it is complete. An interrupted set is
    drawn again, and what belongs to other settings is never touched.

    Args:
        root: the set's own folder, made if missing.
        strength, seed, train_ids, test_ids, distractors, cameras, part: see
            `SyntheticSettings`.
        workers: processes; by default one per core, fewer for a small set.
        progress: called with the number of images drawn so far and of all.

    Returns:
        `root`.

    Raises:
        UserError: a setting that is not possible, or a folder that holds something else.
    """
    settings = SyntheticSettings(strength, seed, train_ids, test_ids, distractors, cameras, part)
    _refuse_other_content(root, settings)
    total = sum(1 for _ in all_shots(settings))
    if (root / COMPLETE).exists() and _count_images(root) == total:
        return root

    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    record = json.dumps(settings.record(), indent=2).encode()
    _write_whole(root / UNFINISHED, record)
    (root / COMPLETE).unlink(missing_ok=True)
    done = 0
    for drawn in _draw_everyone(root, settings, workers or _default_workers(total)):
        done += drawn
        if progress is not None:
            progress(done, total)
    _write_whole(root / COMPLETE, record)
    (root / UNFINISHED).unlink(missing_ok=True)
    return root


def is_complete(root: Path) -> bool:
    """Whether a set of whatever settings was drawn here to the end by this drawing code."""
    record = root / COMPLETE
    return record.exists() and read_record(record).get("drawing") == DRAWING


def draw_people(root: Path, settings: SyntheticSettings, pids: range) -> int:
    """Write all images of these people and return how many they are."""
    seed, part = settings.seed, settings.part
    strength = STRENGTHS[settings.strength]
    drawn = 0
    for pid in pids:
        person = draw_person(stream(seed, part, "identity", pid), part)
        for shot in shots_of(pid, settings):
            rng = stream(seed, part, "image", pid, shot.camera, shot.number)
            camera = camera_of(seed, part, settings.strength, shot.camera)
            jpeg = photograph(person, camera, strength, rng, seed=seed, part=part)
            _write_whole(root / shot.folder / shot.name, jpeg)
            drawn += 1
    return drawn


@cache  # the same for all people that a process draws, and the scene takes a while
def camera_of(seed: int, part: Part, strength: str, number: int) -> Camera:
    rng = stream(seed, part, "camera", number)
    return draw_camera(rng, STRENGTHS[strength], number, HEIGHT, WIDTH)


def _draw_everyone(root: Path, settings: SyntheticSettings, workers: int) -> Iterator[int]:
    """Draw the people in portions; yields the number of images of each portion."""
    portions = [
        range(start, min(start + PORTION, settings.people))
        for start in range(0, settings.people, PORTION)
    ]
    if workers == 1:
        for portion in portions:
            yield draw_people(root, settings, portion)
        return
    # Not by forking: the caller may have threads, which do not survive it.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        jobs = [pool.submit(draw_people, root, settings, portion) for portion in portions]
        try:
            for job in as_completed(jobs):
                yield job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _default_workers(total: int) -> int:
    """One process per core; a set that one process draws in two seconds is not worth another."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, total // 800))


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


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file so that nobody, not even a second writer of the set, sees half of it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)
