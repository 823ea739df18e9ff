"""`tools table`: what the runs have reached, beside what the papers report."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from common.data.check import SplitCounts, count_differences
from common.data.synthetic import SYNTHETIC_SETS
from common.errors import UserError
from common.recipe import Recipe, chunks_per_process
from common.recipe_text import to_plain
from common.records import is_run_folder
from common.run import RunDir
from common.types import SPLITS
from methods import METHODS
from tools.arguments import RUNS
from tools.layout import SCORES


@dataclass(frozen=True)
class Key:
    """What runs must share to count as repetitions of one experiment.

    Args:
        version, source_version: of the data sets, e.g. "V1".
        images, source_images: their fingerprints; "" for a drawn set, which its version tells
            apart wherever it was drawn.
        changes: settings that differ from the recipe, as "name=value", the seed left out.
        bn_chunks: batch-norm groups of a batch, over all processes.
    """

    method: str
    dataset: str
    source: str
    variant: str
    version: str = ""
    images: str = ""
    source_version: str = ""
    source_images: str = ""
    changes: tuple[str, ...] = ()
    precision: str = "exact"
    bn_chunks: int = 0

    @property
    def recipe(self) -> tuple[str, str, str, str]:
        return self.method, self.dataset, self.source, self.variant

    @property
    def published(self) -> tuple[Any, ...]:
        """The recipe with what a run may change of it; other data of the name count as its own."""
        return self.recipe, self.changes, self.precision, self.bn_chunks


def results(
    runs: Sequence[Path] = (),
    runs_root: Path = RUNS,
    *,
    warn: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """The rows of the results table.

    A row is one experiment: runs that differ in the seed alone, the newest of each seed. It holds
    what `Key` names, `paper` (percent, with `source` and `compares`), `seeds`, `start`, `best` and
    `last` as {score: {"mean", "spread"}} in percent (spread: standard deviation over the seeds,
    None for one), `difference` (ours minus the paper's, in points, of the epoch that
    `paper.compares` names), `curve` (mean deviation of the clusters per epoch from the authors'
    log, None where there is none), `clusters` (of the last epoch, mean over the seeds), `hours`,
    `devices`, `cameras`, `code`, `counts` (sentences on those of the data that are not as
    published), `status` and `runs`.

    Args:
        runs: run folders, or folders of run folders; without any, all below `runs_root`, and a
            row for every recipe that was not run.
        runs_root: the standard one need not be there yet.
        warn: told of every run that is left out, because it cannot be read or a newer one of the
            same seed is there.

    Raises:
        UserError: a folder that is not there or without runs, or `runs` none of which can be read.
    """
    if not (runs or runs_root == RUNS or runs_root.is_dir()):
        raise UserError(f"there is no folder {runs_root}. Correct --runs-root, or leave it out.")
    folders = run_folders(runs or [runs_root], required=bool(runs))
    finished: dict[Key, dict[int, dict[str, Any]]] = {}
    begun: dict[Key, list[str]] = {}
    unreadable = []
    for folder in folders:
        try:
            key, result = _read(RunDir(folder))
        except UserError as error:
            unreadable.append(str(error))
        else:
            if result:
                _keep_newest(finished.setdefault(key, {}), result, warn)
            else:
                begun.setdefault(key, []).append(str(folder))
    if runs and len(unreadable) == len(folders):
        raise UserError("\n".join(unreadable))
    for text in unreadable:
        warn(f"a run is left out: {text}")
    rows = [_row(key, list(found.values())) for key, found in finished.items()]
    rows += [_open_row(key, "unfinished", paths) for key, paths in begun.items()]
    if not runs:
        begun_or_finished = {key.published for key in (*finished, *begun)}
        not_run = [key for key in _known() if key.published not in begun_or_finished]
        rows += [_open_row(key, "not run", []) for key in not_run]
    return sorted(rows, key=_order)


def run_folders(places: Iterable[Path], *, required: bool) -> list[Path]:
    """The run folders among and directly below the places, by name.

    Raises:
        UserError: `required`, and one of the places holds no run.
    """
    found: list[Path] = []
    for place in places:
        here = [place] if is_run_folder(place) else []
        here = here or [path.parent for path in place.glob("*/recipe.json")]
        if required and not here:
            raise UserError(f"{place} is no run folder and holds none. Runs lie in runs/.")
        found += sorted(here)
    return list(dict.fromkeys(found))


def _read(run: RunDir) -> tuple[Key, dict[str, Any] | None]:
    """The experiment of a run, and its result once it is finished.

    Raises:
        UserError: a file is damaged, or does not hold all that a row shows.
    """
    if not (run.path / "result.json").is_file():
        record, recipe = run.read_json("environment.json"), run.read_json("recipe.json")
        with run.reading("environment.json"):
            return _key(recipe, record), None
    stored = run.read_json("result.json")
    with run.reading("result.json"):
        result = {**stored, "run": str(run.path)}
        key = _key(result, result["environment"])
        _row(key, [result])  # whoever cannot have a row of its own would spoil that of its seeds
    return key, result


def _keep_newest(
    seeds: dict[int, dict[str, Any]], result: dict[str, Any], warn: Callable[[str], None]
) -> None:
    """Add a result to those of its experiment, by seed; a repeat says nothing of the spread."""
    seed = result["seed"]
    older, newer = sorted([seeds.get(seed, result), result], key=_written)
    seeds[seed] = newer
    if older is not newer:
        warn(
            f"{older['run']} is left out: {newer['run']} repeats its experiment with the same "
            f"seed, {seed}."
        )


def _written(result: dict[str, Any]) -> float:
    return (Path(result["run"]) / "result.json").stat().st_mtime


def _key(names: dict[str, Any], record: dict[str, Any]) -> Key:
    """The experiment of a run, from its result or its recipe, and its environment."""
    chunks, processes = record["bn_chunks"], record["devices"]
    version, images = _data(record["dataset"])
    source_version, source_images = _data(record.get("source"))
    return Key(
        method=names["method"],
        dataset=names["dataset"],
        source=names["source"],
        variant=names["variant"],
        version=version,
        images=images,
        source_version=source_version,
        source_images=source_images,
        changes=tuple(c for c in record["changes"] if not c.startswith("seed=")),
        precision=record["precision"],
        bn_chunks=chunks_per_process(chunks, processes) * processes,  # old records: the recipe's
    )


def _data(record: dict[str, Any] | None) -> tuple[str, str]:
    """Version and fingerprint of a data set; that of a drawn one depends on who wrote its files."""
    if record is None:
        return "", ""
    drawn = record["name"] in SYNTHETIC_SETS and not record.get("dropped")
    return record["version"], "" if drawn else record["fingerprint"]


def _known() -> list[Key]:
    recipes = [recipe for spec in METHODS.values() for recipe in spec.recipes]
    return [Key(r.method, r.dataset, r.source, r.variant, bn_chunks=r.bn_chunks) for r in recipes]


def _row(key: Key, found: list[dict[str, Any]]) -> dict[str, Any]:
    paper = found[0]["paper"]
    start, best, last = (_scores(found, which) for which in ("start", "best", "last"))
    ours = best if paper["compares"] == "best" else last
    worlds = [result["environment"] for result in found]
    places = [place for w in worlds for place in (w, *w.get("resumptions", []))]
    return {
        **_names(key),
        "paper": _published(paper),
        "seeds": sorted({result["seed"] for result in found}),
        "start": start,
        "best": best,
        "last": last,
        "difference": {
            score: ours[score]["mean"] - paper[score] if ours and paper[score] is not None else None
            for score in SCORES
        },
        "curve": _curve(found),
        "clusters": mean(result["clusters"][-1] for result in found),
        "hours": mean(result["seconds"] for result in found) / 3600,
        "devices": _all(f"{p['devices']} x {p['device']}" for p in places),
        "cameras": _all(map(_cameras, worlds)),
        "code": _all(f"{p['versions'].get('unreid', '')} {p['commit']}".strip() for p in places),
        "counts": _other_counts(worlds[0]),  # runs of a row share their images
        "status": "finished",
        "runs": [result["run"] for result in found],
    }


def _open_row(key: Key, status: str, runs: list[str]) -> dict[str, Any]:
    """A row without results."""
    recipe = _recipe(key)
    return {
        **_names(key),
        "paper": _published(to_plain(recipe.paper)) if recipe else None,
        "seeds": [],
        **dict.fromkeys(("start", "best", "last", "difference", "curve", "clusters", "hours")),
        **dict.fromkeys(("devices", "cameras", "code"), ""),
        "counts": [],
        "status": status,
        "runs": runs,
    }


def _recipe(key: Key) -> Recipe | None:
    spec = METHODS.get(key.method)
    return spec.find(key.dataset, key.source, key.variant) if spec else None


def _names(key: Key) -> dict[str, Any]:
    return {**vars(key), "changes": list(key.changes)}


def _published(paper: dict[str, Any]) -> dict[str, Any]:
    return {name: paper[name] for name in (*SCORES, "source", "compares")}


def _scores(found: list[dict[str, Any]], which: str) -> dict[str, dict[str, Any]] | None:
    """Mean and spread over the seeds in percent; None where nothing was tested."""
    tested = [result[which] for result in found if result[which]]
    if not tested:
        return None
    columns = {score: [100 * scores[score] for scores in tested] for score in SCORES}
    return {
        score: {"mean": mean(values), "spread": stdev(values) if len(values) > 1 else None}
        for score, values in columns.items()
    }


def _curve(found: list[dict[str, Any]]) -> float | None:
    """Mean relative deviation of the clusters per epoch from the authors' log."""
    deviations = [
        abs(result["clusters"][epoch] - theirs) / theirs
        for result in found
        for epoch, theirs in (result.get("reference_curve") or {}).get("clusters", [])
        if epoch < len(result["clusters"]) and theirs
    ]
    return mean(deviations) if deviations else None


def _cameras(world: dict[str, Any]) -> str:
    """Where camera ids were used."""
    centered = any(change == "clustering.center_cameras=True" for change in world["changes"])
    used = {"clustering": centered, **world["cameras"]}  # old records do not tell the clustering's
    return ", ".join(name for name in ("sampler", "clustering", "loss") if used[name]) or "none"


def _other_counts(world: dict[str, Any]) -> list[str]:
    """Sentences on what of a run's data is not as published."""
    records = [record for record in (world["dataset"], world.get("source")) if record]
    return [
        text
        for record in records
        for text in count_differences(
            record["name"], {s: SplitCounts(**record[s]) for s in SPLITS if s in record}
        )
    ]


def _all(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    """By method and recipe as listed in METHODS, what is not listed last."""
    known = [key.recipe for key in _known()]
    recipe = (row["method"], row["dataset"], row["source"], row["variant"])
    place = known.index(recipe) if recipe in known else len(known)
    data = row["version"], row["source_version"], row["images"], row["source_images"]
    return place, recipe, json.dumps(row["changes"]), row["status"] != "finished", data
