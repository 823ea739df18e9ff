"""How a run is carried out: where things lie, what computes it, what is checked.

None of it is a setting of the recipe. Leaving bad images out changes a result, so that is recorded.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from common.data.images import Kind
from tools.arguments import DATA, DATA_VARIABLE, RUNS


def default_data_root() -> Path:
    """$REID_DATA where it is set and not empty, else `data/` in the working directory."""
    return Path(os.environ.get(DATA_VARIABLE) or DATA)


@dataclass(frozen=True)
class RunOptions:
    """Options of the run, not of the recipe.

    Args:
        data_root: folder that holds the data sets.
        runs_root: folder for run folders.
        name: of the run folder; "" makes <method>-<dataset>-<date>-<seed>.
        device: auto, cpu, cuda or cuda:N.
        images: where decoded images are kept: auto, device, host or disk.
        workers: processes that read images; None chooses by the machine.
        strict: warnings about the data are errors.
        skip_bad_images: leave images that cannot be used out instead of stopping.
        report: write the HTML page at the end.
    """

    data_root: Path = field(default_factory=default_data_root)
    runs_root: Path = RUNS
    name: str = ""
    device: str = "auto"
    images: Kind = "auto"
    workers: int | None = None
    strict: bool = False
    skip_bad_images: bool = False
    report: bool = True
