"""What was measured of an epoch, counted up to the whole epoch and schedule, as a table."""

from dataclasses import dataclass
from typing import Any

from common.recipe import Recipe
from tools.benchmarks.laps import ITERATED, PARTS

NETWORK = ("forward", "backward", "extraction", "test extraction")
ONCE = tuple(part for part in PARTS if part not in ITERATED)


@dataclass(frozen=True)
class Measured:
    """Seconds of an epoch, and what else was seen.

    Args:
        parts: of every part, with waits for the device at every mark.
        undisturbed: the same without them; on a GPU only sums mean anything.
        search: of one more neighbour search on the features that were clustered.
        factors: how many times a part's seconds stand in a whole epoch; 1 where it ran in full.
        images: training images per epoch, and images extracted for labels and test.
        host_mb, device_mb: largest memory of the process, None where it is not known.
    """

    parts: dict[str, float]
    undisturbed: dict[str, float]
    search: float
    factors: dict[str, float]
    images: tuple[int, int, int]
    host_mb: float | None
    device_mb: float | None

    @property
    def whole(self) -> dict[str, float]:
        """Seconds of the parts in a whole epoch."""
        return {part: self.factors[part] * seconds for part, seconds in self.parts.items()}

    @property
    def training(self) -> float:
        """Undisturbed seconds of a whole epoch's iterations."""
        return sum(self.factors[part] * self.undisturbed[part] for part in ITERATED)


def rows_of(measured: Measured, paper: Recipe) -> list[dict[str, Any]]:
    """Seconds of the parts, their sums, rates, memory, and the paper's schedule."""
    whole = measured.whole
    total = sum(whole.values())
    cut = {part for part, factor in measured.factors.items() if factor != 1}

    def seconds(what: str, ran: float, epoch: float, projected: bool) -> dict[str, Any]:
        row = {"what": what, "unit": "s", "measured": ran, "epoch": epoch}
        return {**row, "share": epoch / total, "projected": projected}

    rows = []
    for part in PARTS:
        rows.append(seconds(part, measured.parts[part], whole[part], part in cut))
        if part == "clustering":
            rest = max(whole[part] - measured.search, 0.0)
            rows.append(seconds("of it search", measured.search, measured.search, False))
            rows.append(seconds("of it the rest", rest, rest, False))
    outside = [part for part in PARTS if part not in NETWORK]
    ran, epoch = (sum(parts[part] for part in outside) for parts in (measured.parts, whole))
    rows.append(seconds("outside forward, backward, extraction", ran, epoch, bool(cut)))
    rows.append(seconds("all parts", sum(measured.parts.values()), total, bool(cut)))
    undisturbed = measured.training + sum(whole[part] for part in ONCE)
    rows.append(
        {
            "what": "all, undisturbed",
            "unit": "s",
            "measured": sum(measured.undisturbed.values()),
            "epoch": undisturbed,
            "projected": bool(cut),
        }
    )
    return [*rows, *_rates(measured), *_memory(measured), _schedule(measured, paper)]


def _rates(measured: Measured) -> list[dict[str, Any]]:
    trained, *extracted = measured.images
    training = sum(measured.undisturbed[part] for part in ITERATED)
    rows = [{"what": "training", "unit": "images/s", "measured": trained / training}]
    for part, images in zip(("extraction", "test extraction"), extracted, strict=True):
        if images and measured.parts[part]:
            rate = images / measured.parts[part]
            rows.append({"what": part, "unit": "images/s", "measured": rate})
    return rows


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
