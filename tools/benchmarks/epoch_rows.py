"""What was measured of an epoch, counted up to the whole epoch and schedule, as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from common.recipe import Recipe
from tools.benchmarks.laps import ITERATED, PARTS

NETWORK = ("forward", "backward", "extraction", "test extraction")
ONCE = tuple(part for part in PARTS if part not in ITERATED)


@dataclass(frozen=True)
class Measured:
    """Seconds of each counted epoch, and what else was seen.

    Args:
        parts: of every part, with waits for the device at every mark.
        undisturbed: the same without them; on a GPU only sums mean anything.
        search: of one more neighbour search on the features that were clustered.
        factors: how many times a part's seconds stand in a whole epoch; 1 where it ran in full.
        images: training images per epoch, and images extracted for labels and test.
        host_mb, device_mb: largest memory of the process, None where it is not known.
    """

    parts: list[dict[str, float]]
    undisturbed: list[dict[str, float]]
    search: float
    factors: dict[str, float]
    images: tuple[int, int, int]
    host_mb: float | None
    device_mb: float | None

    @property
    def whole(self) -> dict[str, float]:
        """Seconds of the parts in a whole epoch, the mean of those measured."""
        return {part: self.factors[part] * fmean(_sums(self.parts, [part])) for part in PARTS}

    @property
    def training(self) -> float:
        """Undisturbed seconds of a whole epoch's iterations, the mean of those measured."""
        factor = self.factors[ITERATED[0]]  # the same for all of them
        return factor * fmean(_sums(self.undisturbed, ITERATED))


def rows_of(measured: Measured, paper: Recipe) -> list[dict[str, Any]]:
    """Seconds of the parts, their sums, rates, memory, and the paper's schedule."""
    whole = measured.whole
    total = sum(whole.values())
    cut = {part for part, factor in measured.factors.items() if factor != 1}

    def seconds(what: str, ran: list[float], epoch: float, projected: bool) -> dict[str, Any]:
        row = {"what": what, "unit": "s", **_spread(ran), "epoch": epoch}
        return {**row, "share": epoch / total, "projected": projected}

    rows = []
    for part in PARTS:
        rows.append(seconds(part, _sums(measured.parts, [part]), whole[part], part in cut))
        if part == "clustering":
            rest = max(whole[part] - measured.search, 0.0)
            rows.append(seconds("of it search", [measured.search], measured.search, False))
            rows.append(seconds("of it the rest", [rest], rest, False))
    outside = [part for part in PARTS if part not in NETWORK]
    epoch = sum(whole[part] for part in outside)
    ran = _sums(measured.parts, outside)
    rows.append(seconds("outside forward, backward, extraction", ran, epoch, bool(cut)))
    rows.append(seconds("all parts", _sums(measured.parts, PARTS), total, bool(cut)))
    undisturbed = seconds(
        "all, undisturbed",
        _sums(measured.undisturbed, PARTS),
        measured.training + sum(whole[part] for part in ONCE),
        bool(cut),
    )
    del undisturbed["share"]  # of another sum
    return [*rows, undisturbed, *_rates(measured), *_memory(measured), _schedule(measured, paper)]


def _sums(epochs: list[dict[str, float]], parts: Sequence[str]) -> list[float]:
    """Seconds of these parts together, for every epoch."""
    return [sum(epoch[part] for part in parts) for epoch in epochs]


def _spread(found: list[float]) -> dict[str, float]:
    """The mean of the counted epochs, so that sums are those of their parts; least and most."""
    return {"measured": fmean(found), "least": min(found), "most": max(found)}


def _rates(measured: Measured) -> list[dict[str, Any]]:
    trained, *extracted = measured.images
    taken = {"training": (trained, _sums(measured.undisturbed, ITERATED))}
    for part, images in zip(("extraction", "test extraction"), extracted, strict=True):
        taken[part] = images, _sums(measured.parts, [part])
    return [
        {"what": what, "unit": "images/s", **_spread([images / one for one in seconds])}
        for what, (images, seconds) in taken.items()
        if images and all(seconds)
    ]


def _memory(measured: Measured) -> list[dict[str, Any]]:
    found = {"host memory, peak": measured.host_mb, "device memory, peak": measured.device_mb}
    return [{"what": what, "unit": "MB", "measured": mb} for what, mb in found.items()]


def _schedule(measured: Measured, paper: Recipe) -> dict[str, Any]:
    """Epochs, tests among them, and the test before the first.

    What comes before is not counted: reading images, and compiling in the first steps.
    """
    whole = measured.whole
    test = whole["test extraction"] + whole["evaluation"]
    epoch = measured.training + sum(whole[part] for part in ONCE) - test
    tests = 1 + sum(paper.due(number) for number in range(paper.epochs))
    hours = (paper.epochs * epoch + tests * test) / 3600
    what = f"{paper.epochs} epochs, {tests} tests"
    return {"what": what, "unit": "h", "epoch": hours, "projected": True}
