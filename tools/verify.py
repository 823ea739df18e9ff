"""`tools verify`: every stored case of the authors' code, recomputed with ours."""

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

import common.backbones.cases
import common.clustering.cases
import common.data.cases
import common.evaluator.cases
import methods
from common.errors import MissingPackage, UserError
from common.reference import Check, Runner, kind_of, load_case
from common.run import Event
from methods.cases import CASES
from tools.layout import rich_table
from tools.lookup import require_owner

COMMON: dict[str, Runner] = {
    **common.backbones.cases.CASES,
    **common.clustering.cases.CASES,
    **common.data.cases.CASES,
    **common.evaluator.cases.CASES,
}

SAID = {True: "passed", False: "FAILED", None: "left out"}
STYLES = {True: "", False: "red", None: "yellow"}


@dataclass(frozen=True)
class Kind:
    """A kind of case: the beginning of its file names, whose it is, and how it is run."""

    prefix: str
    owner: str
    runner: Runner


KINDS = [
    Kind(prefix, owner, runner)
    for owner, cases in {"common": COMMON, **CASES}.items()
    for prefix, runner in cases.items()
]


def verify(
    method: str | None = None,
    reference: Path | None = None,
    *,
    observer: Callable[[Event], None] = lambda event: None,
) -> list[dict[str, Any]]:
    """Recompute the cases and compare; one row per case.

    A row holds `method` ("common" for the shared layer), `case`, `file`, `difference` and
    `tolerance` of the quantity that came closest to failing, `quantity` (its name), `passed`
    (of all quantities; None where the case needs a package that is missing), `checks` (their
    number), `seconds`, and `error` ("" where the case could be run). `difference` is None where
    there is no number: other shapes, not finite, or an error.

    Args:
        method: only the cases of this method, or "common".
        reference: a folder of cases of the same kinds, searched recursively; without it, the
            cases that come with the project.

    Raises:
        UserError: unknown method, no case, or files of an unknown kind.
    """
    require_owner(method)
    files = case_files(reference)
    if unknown := [path for path in files if find_kind(path) is None]:
        known = ", ".join(sorted(kind.prefix for kind in KINDS))
        raise UserError(
            f"unknown kind of reference case: {', '.join(map(str, unknown))}. A file's name must "
            f"begin with one of: {known}."
        )
    chosen = [(path, kind) for path in files if (kind := find_kind(path)) and _asked(kind, method)]
    if not chosen:
        where = reference if reference is not None else "the installed package"
        raise UserError(f"no reference cases{f' of {method}' if method else ''} in {where}.")
    rows = []
    for done, (path, kind) in enumerate(chosen):
        observer({"event": "progress", "what": "cases", "done": done, "total": len(chosen)})
        rows.append(verified(path, kind))
    return rows


def cases_table(rows: list[dict[str, Any]]) -> Table:
    """A line per case; failed ones in red, those left out in yellow."""
    cells = [
        [
            row["method"],
            row["case"],
            row["error"] or row["quantity"],
            "-" if row["difference"] is None else f"{row['difference']:.1e}",
            f"{row['tolerance']:.0e}" if row["checks"] else "-",
            SAID[row["passed"]],
        ]
        for row in rows
    ]
    table = rich_table(
        ("method", "case", "closest to failing", "difference", "tolerance", ""),
        cells,
        texts=range(3),
        styles=[STYLES[row["passed"]] for row in rows],
    )
    checks = sum(row["checks"] for row in rows)
    count = Counter(row["passed"] for row in rows)
    left_out = f", {count[None]} left out" if count[None] else ""
    table.caption = f"{len(rows)} cases, {checks} quantities, {count[False]} cases failed{left_out}"
    table.caption_justify = "left"
    return table


def case_files(reference: Path | None) -> list[Path]:
    """The `.npz` files below a folder, or those that come with the project.

    Raises:
        UserError: there is no such folder.
    """
    if reference is None:
        folders = [folder for package in (common, methods) for folder in package.__path__]
        found = [p for folder in folders for p in Path(folder).rglob("tests/reference/*.npz")]
        return sorted(found, key=lambda path: (path.parts[:-1], path.name))
    if not reference.is_dir():
        raise UserError(f"{reference} is not a folder. Name one that holds .npz cases.")
    return sorted(reference.rglob("*.npz"))


def find_kind(path: Path) -> Kind | None:
    """Whose case a file is, and how it is run; None for a file of an unknown kind."""
    prefix = kind_of(path.stem, [kind.prefix for kind in KINDS])
    return next((kind for kind in KINDS if kind.prefix == prefix), None)


def verified(path: Path, kind: Kind) -> dict[str, Any]:
    """The row of one case; whatever its runner raises makes it a failed one, or one left out."""
    since = time.perf_counter()
    checks: list[Check] = []
    error, left_out = "", False
    try:
        checks = kind.runner(load_case(path))
    except UserError as told:
        error, left_out = str(told), isinstance(told, MissingPackage)
    except Exception as raised:  # a damaged or foreign file may break a runner in any way
        error = f"{type(raised).__name__}: {raised}"
    if not checks and not error:
        error = "nothing was compared"
    worst = max(checks, key=_strain, default=Check(error, math.inf, 0.0))
    return {
        "method": kind.owner,
        "case": path.stem,
        "file": str(path),
        "quantity": worst.name,
        "difference": worst.difference if math.isfinite(worst.difference) else None,
        "tolerance": worst.tolerance,
        "passed": None if left_out else bool(checks) and all(check.passed for check in checks),
        "checks": len(checks),
        "seconds": time.perf_counter() - since,
        "error": error,
    }


def _strain(check: Check) -> float:
    """Difference in tolerances; above 1 it fails."""
    if not math.isfinite(check.difference):
        return math.inf
    if check.tolerance == 0:
        return math.inf if check.difference else 0.0
    return check.difference / check.tolerance


def _asked(kind: Kind, method: str | None) -> bool:
    return method is None or kind.owner == method
