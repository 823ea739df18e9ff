"""Runs: a paper's, the user's own, and the continuation of either."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from common.backbones.encoder import build_encoder, require_size
from common.backbones.weights import require_weights
from common.clustering import warm_up
from common.data.catalogue import own_name
from common.errors import TrainingStopped, UserError
from common.progress import Progress
from common.recipe import Recipe
from common.recipe_text import to_json, to_plain
from common.run import Event, Observer, RunDir
from common.team import Team, join_team, leave_team
from common.training import train as run_training
from common.types import SPLITS, Dataset
from tools.announce import announcement, outlook
from tools.assemble import (
    Found,
    assemble,
    checked,
    find_dataset,
    require_consistent,
    same_for_all,
)
from tools.environment import environment, note_resumption
from tools.layout import shell_command
from tools.lookup import paper_recipe, spec_of
from tools.options import RunOptions
from tools.origin import Moved, Origin, load_again, record_places, stored_recipe
from tools.output import note_run
from tools.recipes import settings_of
from tools.references import references
from tools.sweep import Plan, planned

Find = Callable[[Team], tuple[Found, Found | None]]
"""Finds the data set, and the labelled source of a two-domain run."""


def reproduce(
    method: str,
    dataset: str,
    *,
    source: str = "",
    variant: str = "",
    changes: list[str] | None = None,
    sweep: str = "",
    seeds: int = 1,
    dry_run: bool = False,
    options: RunOptions,
    observer: Observer,
) -> list[dict[str, Any]]:
    """Train with a paper's settings and test.

    Args:
        changes: settings, each as "NAME=VALUE".
        sweep: one setting and its values, "settings.queue_length=4,8,16": a run for each value
            and seed, the seeds of one value together. "" for the recipe's own value.
        seeds: runs of each value, the first with the recipe's seed, each next with one more.

    Returns:
        Of every run what `run_recipe` returns; of one among several that could not go on its
        `settings`, `seed`, and the reason, `stopped`.

    Raises:
        UserError: unknown names, missing data or weights, settings that do not fit; for every
            value of the sweep before the first run.
    """
    base = paper_recipe(method, dataset, source, variant)

    def find(team: Team) -> tuple[Found, Found | None]:
        target = find_dataset(dataset, options, team, observer)
        return target, find_dataset(source, options, team, observer) if source else None

    plan = planned(base, changes or [], sweep, seeds)
    return _run_all(plan, find, options, observer, dry_run)


def train(
    method: str,
    data: Path,
    *,
    cameras: str | None = None,
    changes: list[str] | None = None,
    sweep: str = "",
    seeds: int = 1,
    dry_run: bool = False,
    options: RunOptions,
    observer: Observer,
) -> list[dict[str, Any]]:
    """Train on a folder of own images; it is tested where `labels.csv` names a test part.

    Args:
        cameras: pattern for cameras in the file names of a folder without labels.
        changes, sweep, seeds: as of `reproduce`, as is what is returned.

    Raises:
        UserError: an unknown method, a folder or images that cannot be used, weights that are
            missing, or settings that do not fit; for every value of the sweep before the first run.
    """
    base = replace(spec_of(method).user_recipe, dataset=own_name(data))
    origin = Origin("", str(data.resolve()), cameras)

    def find(team: Team) -> tuple[Found, None]:
        return Found(same_for_all(origin.load, team), origin), None

    plan = planned(base, changes or [], sweep, seeds)
    return _run_all(plan, find, options, observer, dry_run)


def _run_all(
    plan: Plan, find: Find, options: RunOptions, observer: Observer, dry_run: bool
) -> list[dict[str, Any]]:
    """Check every recipe, then run each with each seed; one that stops holds up no other."""
    runs = plan.runs()
    team = join_team(options.device)
    _require_same_settings(runs, team, dry_run)
    _require_place(plan.base, options, team)
    target, source = _found(plan.recipes, find, team, observer)
    heard = observer if team.first else _silence
    results = []
    for number, one in enumerate(runs):
        if len(runs) > 1:
            heard({"event": "stage", "text": plan.title(number)})
        try:
            found = run_recipe(one, plan.base, target, source, options, observer, team, dry_run)
        except TrainingStopped as error:
            if len(runs) == 1:
                raise
            found = {"settings": settings_of(one), "seed": one.seed, "stopped": str(error)}
            heard({"event": "warning", "text": str(error)})
        results.append(found)
    leave_team(team)
    return results


def _found(
    recipes: list[Recipe], find: Find, team: Team, observer: Observer
) -> tuple[Found, Found | None]:
    """The data, once every recipe is known to fit them, and its network and weights to be there."""
    for recipe in recipes:
        _require_network(recipe, team)
    target, source = find(team)
    for recipe in recipes:
        require_consistent(recipe, target.dataset, source.dataset if source else None, team)
    for recipe in {recipe.encoder: recipe for recipe in recipes}.values():
        _require_initial_weights(recipe, team, observer)
    return target, source


def resume(
    run: Path, *, moved: Moved | None = None, options: RunOptions, observer: Observer
) -> dict[str, Any]:
    """Continue a run where it stopped; its folder holds every setting that decides the result.

    Args:
        moved: where its data lie now, which is recorded.

    Raises:
        UserError: no run there, one that is finished, in use or damaged, or data that are gone or
            have changed.
    """
    team = join_team(options.device)
    team.require_same(run.resolve().name, "the run folder to resume is")
    folder = team.together(lambda: RunDir.open(run))
    with _held(folder, team):
        team.together(lambda: _require_unfinished(folder))
        begun = json.loads(team.text_from_first(lambda: json.dumps(folder.has_begun())))
        recipe = team.together(lambda: stored_recipe(folder))
        _require_same_settings([recipe], team)
        dataset = team.together(lambda: load_again(folder, "dataset", moved))
        source = None
        if recipe.source:
            source = team.together(lambda: load_again(folder, "source", moved))
        require_consistent(recipe, dataset, source, team)  # the processes may be others now
        if team.first:
            record_places(folder, moved or Moved(), {"dataset": dataset, "source": source})
            note_resumption(folder, recipe, len(dataset.train), team, observer)
        result = _carry_out(recipe, dataset, source, options, observer, folder, team, resumed=begun)
    leave_team(team)
    return result


def run_recipe(
    recipe: Recipe,
    base: Recipe,
    target: Found,
    source: Found | None,
    options: RunOptions,
    observer: Observer,
    team: Team,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Check, announce, train, test and report one run; the content of `result.json`.

    Args:
        recipe: what is run.
        base: the recipe before the user's changes, to say what differs.
        target, source: data sets as read from disk.
        dry_run: announce and stop, and return what was said; the images are not opened.

    Raises:
        UserError: data that are not sound, settings that do not fit, or no room for the run.
    """
    heard = observer if team.first else _silence
    opened, trained = ((), ()) if dry_run else (SPLITS, ("train",))
    target = checked(target, options, team, heard, opened)
    source = checked(source, options, team, heard, trained) if source else None
    found = source.dataset if source else None
    require_consistent(recipe, target.dataset, found, team)
    announced = announcement(recipe, base, target, source, team)
    heard(announced)
    expected = outlook(recipe, target.dataset, found, options, team, heard)
    if dry_run:
        told = {name: announced[name] for name in ("counts", "cameras", "deviations")}
        return {"recipe": to_plain(recipe), **told, **expected}
    # Before the folder is there, so that one that is stopped meanwhile leaves none.
    record = environment(recipe, base, target, source, options, team) if team.first else {}
    run = RunDir(Path(team.text_from_first(lambda: _new_run(recipe, options))))
    with _held(run, team):
        if team.first:
            run.write_json("environment.json", record)
            run.write_json("recipe.json", json.loads(to_json(recipe)))
            note_run(run.path)
        observer({"event": "run", "path": str(run.path)})  # each process may have to name it
        return _carry_out(
            recipe, target.dataset, found, options, observer, run, team, resumed=False
        )


def _carry_out(
    recipe: Recipe,
    dataset: Dataset,
    source: Dataset | None,
    options: RunOptions,
    observer: Observer,
    run: RunDir,
    team: Team,
    *,
    resumed: bool,
) -> dict[str, Any]:
    if options.report and team.first:
        # What draws the page takes seconds to load, for which no refusal and no --dry-run should
        # wait. Nor is it loaded at the end: a run of hours ends with the code that it began with.
        from tools.write_report import write_report

    heard = observer if team.first else _silence
    if team.device.type == "cpu":
        text = "loading the clustering kernels (compiled once per machine)"
        heard({"event": "stage", "text": text})
    warm_up(team.device)
    method, job = team.together(
        lambda: assemble(recipe, dataset, source, options, team, run, heard, restored=resumed)
    )
    progress = run_training(method, job, resume=resumed)

    def finish() -> str:
        shown = references(dataset, recipe, heard) if dataset.has_test else []
        result = result_of(recipe, run, progress, shown)
        run.write_json("result.json", result)  # it stays where the page cannot be written
        if options.report:
            heard({"event": "stage", "text": "writing the report"})
            result["report"] = str(write_report(run.path, options=options, observer=heard))
            run.write_json("result.json", result)
        return json.dumps(result)

    result: dict[str, Any] = json.loads(team.text_from_first(finish))
    heard({"event": "result", "result": result})
    return result


def result_of(
    recipe: Recipe, run: RunDir, progress: Progress, shown: list[dict[str, Any]]
) -> dict[str, Any]:
    """The content of `result.json`; scores are fractions, the paper's numbers percent."""
    return {
        "method": recipe.method,
        "dataset": recipe.dataset,
        "source": recipe.source,
        "variant": recipe.variant,
        "seed": recipe.seed,
        "settings": settings_of(recipe),
        "name": run.path.name,
        "run": str(run.path),
        "start": progress.start,
        "last": progress.last,
        "best": progress.best,
        "seconds": sum(progress.seconds.values()),
        "parts": progress.seconds,
        "clusters": progress.clusters,
        "outliers": progress.outliers,
        "paper": to_plain(recipe.paper),
        "references": shown,
        "reference_curve": spec_of(recipe.method).curves.get(
            (recipe.dataset, recipe.source, recipe.variant)
        ),
        "environment": run.read_json("environment.json"),
    }


def _require_same_settings(recipes: list[Recipe], team: Team, dry_run: bool = False) -> None:
    """Stop where a machine was started with other settings: its weights would drift apart.

    With `--dry-run` on one alone, the other would wait in vain. What may have another path there,
    data and weights, is compared by its content.
    """
    anywhere = [replace(r, dataset="", encoder=replace(r.encoder, weights="")) for r in recipes]
    told = "\n".join([*map(to_json, anywhere), str(dry_run)])
    digest = hashlib.sha256(told.encode()).hexdigest()[:16]
    team.require_same(digest, "the settings of the command are")


def _require_place(recipe: Recipe, options: RunOptions, team: Team) -> None:
    """Refuse a place for run folders before any work; the first process alone makes them."""

    def probe() -> None:
        if team.first:
            RunDir.require_place(options.runs_root, options.name, _standard_name(recipe))

    team.together(probe)


def _require_network(recipe: Recipe, team: Team) -> None:
    """Refuse, before any data are looked for, what is wrong whatever a download may bring."""
    require_size(recipe.encoder)
    team.together(lambda: require_weights(recipe.encoder, download=False))


def _require_initial_weights(recipe: Recipe, team: Team, observer: Observer) -> None:
    """Load the initial weights before any work; the first process may have to download them.

    Only once the data are found: a folder that is not there should cost nobody a download.

    Raises:
        UserError: a file that is missing or does not fit.
    """
    if team.first:
        text = f"checking {recipe.encoder.arch} and its initial weights"
        observer({"event": "stage", "text": text})
    team.text_from_first(lambda: str(require_weights(recipe.encoder)))
    domains = 2 if recipe.source else 1
    team.together(lambda: build_encoder(recipe.encoder, domains=domains))


@contextmanager
def _held(run: RunDir, team: Team) -> Iterator[None]:
    """The run folder for this team alone; its first process, the one that writes, holds it."""
    with ExitStack() as held:
        team.together(lambda: held.enter_context(run.held()) if team.first else None)
        yield


def _require_unfinished(run: RunDir) -> None:
    try:
        run.read_json("result.json")
    except UserError:  # missing, or damaged: then it is written again
        return
    again = shell_command("report", run.path)
    raise UserError(f"{run.path} is finished. {again} writes its page again.")


def _new_run(recipe: Recipe, options: RunOptions) -> str:
    name = options.name or _standard_name(recipe)
    return str(RunDir.create(options.runs_root, name).path)


def _standard_name(recipe: Recipe) -> str:
    source = f"-from-{recipe.source}" if recipe.source else ""
    variant = f"-{recipe.variant}" if recipe.variant else ""
    today = date.today().isoformat()
    return f"{recipe.method}-{recipe.dataset}{source}{variant}-{today}-{recipe.seed}"


def _silence(event: Event) -> None:
    """The observer of all ranks but the first."""
