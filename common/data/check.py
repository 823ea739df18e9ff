"""What is wrong with a data set, found before training: counts, matches, every single image."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from common.cores import usable_cores
from common.data.catalogue import DATASETS
from common.data.labelled_folder import LABELS
from common.data.probe import probe_all
from common.data.programs import answers
from common.data.published import NONE, Published
from common.data.scan import relabelled
from common.errors import UserError, counted, listed, shortened
from common.types import SPLITS, Dataset, Samples, Tick

TEST = SPLITS[1:]

_SHOWN = 20
_PORTION = 64  # images between two signs of life
_WORTH_PROCESSES = 1_000  # below, starting processes takes longer than the work


@dataclass(frozen=True)
class SplitCounts:
    """What one split holds; identities are those that are known."""

    images: int
    ids: int
    cameras: int

    @classmethod
    def of(cls, samples: Samples) -> "SplitCounts":
        """Those of a split's images."""
        return cls(len(samples), samples.num_ids, samples.num_cams)


@dataclass(frozen=True)
class DataReport:
    """Result of a check.

    Args:
        found: counts by split.
        cameras: over all splits.
        published: counts of the publication, where there are any.
        errors: what no training should start with, apart from single images.
        warnings: what a strict check refuses, e.g. counts that differ.
        notes: worth knowing.
        unmatched_ids: identities with a query without a gallery image from another camera.
        bad_images: file name to what is wrong with it.
        images_read: whether the images were opened.
    """

    name: str
    root: str
    version: str
    found: dict[str, SplitCounts]
    cameras: int
    published: Published
    errors: list[str]
    warnings: list[str]
    notes: list[str]
    unmatched_ids: list[int]
    bad_images: dict[str, str]
    images_read: bool

    @property
    def sound(self) -> bool:
        """Nothing but warnings and notes."""
        return not self.errors and not self.bad_images


def check_dataset(
    dataset: Dataset,
    *,
    read_images: Collection[str] = SPLITS,
    workers: int | None = None,
    progress: Tick | None = None,
) -> DataReport:
    """Look at counts, matches, repeated names and, unless told not to, every image in full.

    Args:
        read_images: splits whose images are decoded.
        workers: processes that decode; None for one per usable core where images are many, 0 or 1
            for this process.
        progress: called with images done and images in all.
    """
    splits = {split: getattr(dataset, split) for split in SPLITS}
    published = _published(dataset.name)
    found = {split: SplitCounts.of(samples) for split, samples in splits.items()}
    cameras = len(np.unique(np.concatenate([s.cams for s in splits.values()])))
    matched = has_match(dataset.query, dataset.gallery)  # no queries under protocol "vehicleid"
    unmatched_ids = np.unique(dataset.query.pids[~matched]).tolist()
    errors = _structural_errors(dataset, published, matched)
    warnings = count_differences(dataset.name, found, cameras)
    warnings += _unmatched_warning(unmatched_ids, dataset) + _shared_images(splits)
    warnings += _unused_images(dataset)
    return DataReport(
        name=dataset.name,
        root=dataset.root,
        version=dataset.version,
        found=found,
        cameras=cameras,
        published=published,
        errors=errors,
        warnings=warnings,
        notes=_notes(dataset),
        unmatched_ids=unmatched_ids,
        bad_images=bad_images({s: splits[s] for s in read_images}, workers, progress),
        images_read=bool(read_images),
    )


def require_sound(report: DataReport, strict: bool = False, skip_bad: bool = False) -> None:
    """Refuse a data set with errors.

    Args:
        strict: warnings are errors too.
        skip_bad: images that cannot be used are no reason; the caller drops them.

    Raises:
        UserError: everything that was found, at most twenty lines of a kind.
    """
    problems = report.errors + (report.warnings if strict else [])
    lines = listed(problems, _SHOWN)
    if report.bad_images and not skip_bad:
        lines.append(f"{counted(len(report.bad_images), 'image')} cannot be used:")
        bad = [f"{path}: {reason}" for path, reason in report.bad_images.items()]
        lines += listed(bad, _SHOWN)
        lines.append("Replace them, or leave them out with --skip-bad-images.")
    if lines:
        raise UserError("\n".join([f"{report.name} at {report.root} is not sound.", *lines]))


def leave_out(dataset: Dataset, paths: Collection[str]) -> Dataset:
    """The data set without the images of these names.

    Training identities are numbered again where one has disappeared; cameras are not.

    Raises:
        UserError: nothing is left of a split.
    """
    unwanted = set(paths)
    kept: dict[str, Samples] = {}
    for split in SPLITS:
        samples: Samples = getattr(dataset, split)
        good = np.array([path not in unwanted for path in samples.paths], dtype=bool)
        if len(samples) and not good.any():
            raise UserError(f"{dataset.name}: no image of {split} can be used. Restore the data.")
        kept[split] = samples.take(good)
    train = relabelled(kept["train"])
    return replace(dataset, train=train, query=kept["query"], gallery=kept["gallery"])


def has_match(query: Samples, gallery: Samples) -> np.ndarray:
    """(Q,) bool: whether the gallery shows the query's identity from another camera."""
    joined = query.join(gallery)
    pid, cam = (np.unique(ids, return_inverse=True)[1] for ids in (joined.pids, joined.cams))
    pid_and_cam = pid * (1 + cam.max(initial=0)) + cam
    images, junk = (
        _occurrences(ids[len(query) :], ids[: len(query)]) for ids in (pid, pid_and_cam)
    )
    return images > junk


def _occurrences(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """How often each wanted value occurs among the values."""
    ordered = np.sort(values)
    return np.searchsorted(ordered, wanted, "right") - np.searchsorted(ordered, wanted, "left")


def count_differences(
    name: str, found: dict[str, SplitCounts], cameras: int | None = None
) -> list[str]:
    """A sentence for every count of a data set that is not the published one."""
    published, differing = _published(name), []
    for split in found:
        expected = getattr(published, split)
        for kind in ("images", "ids") if expected else ():
            ours, theirs = getattr(found[split], kind), getattr(expected, kind)
            if theirs is not None and ours != theirs:
                differing.append(f"{name}: {ours:,} {split} {kind}, published are {theirs:,}")
    if None not in (cameras, published.cameras) and cameras != published.cameras:
        differing.append(f"{name}: {cameras} cameras, published are {published.cameras}")
    note = f" ({published.note})" if published.note else ""
    return [f"{text}{note}." for text in differing]


def bad_images(
    splits: dict[str, Samples], workers: int | None = None, progress: Tick | None = None
) -> dict[str, str]:
    """File name to reason for every image that cannot be used; arguments as in `check_dataset`."""
    paths = list(dict.fromkeys(path for samples in splits.values() for path in samples.paths))
    portions = [paths[i : i + _PORTION] for i in range(0, len(paths), _PORTION)]
    if workers is None:
        workers = usable_cores() if len(paths) >= _WORTH_PROCESSES else 1
    bad: dict[str, str] = {}
    done = 0
    found = answers(probe_all, [[portion] for portion in portions], workers)
    for portion, reasons in zip(portions, found, strict=True):
        bad |= {path: why for path, why in zip(portion, reasons, strict=True) if why}
        done += len(portion)
        if progress:
            progress(done, len(paths))
    return bad


def _published(name: str) -> Published:
    return DATASETS[name].published if name in DATASETS else NONE


def _structural_errors(dataset: Dataset, published: Published, matched: np.ndarray) -> list[str]:
    lacking = _lacking(dataset, published)
    errors = [f"{dataset.name} has no {split} images. Restore them." for split in lacking]
    if not lacking and len(matched) and not matched.any():
        ids = shortened(np.unique(dataset.query.pids), _SHOWN)
        errors.append(
            f"{dataset.name} cannot be tested: no query has a gallery image of its identity from "
            f"another camera: {ids}. Correct the cameras, or leave the test part out."
        )
    for split in SPLITS:
        counts = Counter(getattr(dataset, split).paths)
        if repeated := [path for path, count in counts.items() if count > 1]:
            errors.append(f"{split} names images more than once: {shortened(repeated)}.")
    return errors


def _lacking(dataset: Dataset, published: Published) -> list[str]:
    """Splits without images that need some: published ones, both halves of a test, or training.

    A test part alone is enough to score trained weights on.
    """
    sizes = {split: len(getattr(dataset, split)) for split in SPLITS}
    tested = dataset.protocol == "market1501" and any(sizes[split] for split in TEST)
    needed = set(TEST) if tested else {"train"}
    needed |= {split for split in SPLITS if getattr(published, split)}
    return [split for split in SPLITS if split in needed and not sizes[split]]


def _unmatched_warning(unmatched: list[int], dataset: Dataset) -> list[str]:
    if not unmatched:
        return []
    return [
        f"{len(unmatched):,} of {dataset.query.num_ids:,} query identities have a query without a "
        f"match from another camera, which evaluation leaves out: {shortened(unmatched, _SHOWN)}."
    ]


def _shared_images(splits: dict[str, Samples]) -> list[str]:
    test = set(splits["query"].paths) | set(splits["gallery"].paths)
    if shared := sorted(test & set(splits["train"].paths)):
        return [f"training and test share {counted(len(shared), 'image')}: {shortened(shared)}."]
    return []


def _unused_images(dataset: Dataset) -> list[str]:
    found = []
    if dataset.unnamed:
        said = f"images of {dataset.name} that have no line in its {LABELS} are not used"
        found.append(f"{said}: {dataset.unnamed:,}.")
    if dataset.unread:
        said = f"images of {dataset.name} of kinds that are not read are not used"
        found.append(f"{said}: {shortened(dataset.unread)}. Convert them to jpg or png.")
    return found


def _notes(dataset: Dataset) -> list[str]:
    train = dataset.train
    notes = []
    if not len(train) and dataset.has_test:
        notes.append("there are no training images: weights can be tested here, not trained.")
    if train.num_cams == 1:
        notes.append("training images come from one camera: nothing can be learned across cameras.")
    counts = np.bincount(train.pids[train.pids >= 0])
    if alone := int((counts == 1).sum()):
        notes.append(f"{alone:,} training identities have one image only.")
    if len(train) and (train.pids < 0).all():
        notes.append("training identities are unknown.")
    for split in SPLITS:
        names = Counter(path.rpartition("/")[2] for path in getattr(dataset, split).paths)
        if repeated := [name for name, count in names.items() if count > 1]:
            text = f"{counted(len(repeated), 'file name')} of {split} in several folders: "
            notes.append(text + f"{shortened(repeated, 5)}.")
    if both := len(set(dataset.query.paths) & set(dataset.gallery.paths)):
        notes.append(f"{both:,} images are query and gallery at once.")
    return notes
