"""`tools`: reproduce, train, test, verify and compare. Commands parse and print; no logic.

A command imports its modules when it is called, so that `tools --help` need not load PyTorch.
"""

import os
import sys
from typing import Annotated, Any

import typer

from common.records import require_run_folder
from tools import arguments as args
from tools.cli_data import data
from tools.layout import Format, dict_table, terminal
from tools.outcome import require_none_stopped, runs_table, test_table
from tools.output import (
    MISTAKE,
    RUN_NOTE,
    escape_unprintable,
    launched,
    let_the_first_speak,
    open_closed_streams,
    print_json,
    sentence_of,
    watched,
)
from tools.process import (
    INTERRUPTED,
    end_with_parent,
    keep_memory_and_let_threads_sleep,
    stop_when_told,
)

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
app.add_typer(data, name="data")


@app.callback()
def about() -> None:
    """Unsupervised re-identification: seven methods, their papers' runs, and your own images.

    Start with `tools reproduce hhcl synthetic`: it needs no data, no weights and no GPU.
    """


@app.command(epilog="Example: tools reproduce hhcl market1501 --data-root data --seeds 3")
def reproduce(
    method: args.Method,
    dataset: args.Dataset,
    source: args.Source = "",
    variant: args.Variant = "",
    changes: args.Changes = None,
    sweep: args.Sweep = "",
    precision: args.Precision = None,
    weights_init: args.WeightsInit = None,
    seeds: args.Seeds = 1,
    data_root: args.DataRoot = args.DATA,
    runs_root: args.RunsRoot = args.RUNS,
    name: args.Name = "",
    strict: args.Strict = False,
    skip_bad_images: args.SkipBadImages = False,
    dry_run: args.DryRun = False,
    no_report: args.NoReport = False,
    gpus: args.Gpus = 1,
    device: args.Device = "auto",
    images: args.Images = "auto",
    workers: args.Workers = None,
    json: args.Json = False,
) -> None:
    """Train METHOD on DATASET with the paper's settings; show our numbers beside the paper's."""
    from tools.lookup import require_known

    changes = args.all_changes(changes, precision, weights_init)
    require_known(method, dataset, source, variant, changes=changes, sweep=sweep)
    _several_processes(gpus, device)
    with watched(json) as console:
        from tools.options import RunOptions
        from tools.reproduce import reproduce as run

        found = run(
            method,
            dataset,
            source=source,
            variant=variant,
            changes=changes,
            sweep=sweep,
            seeds=seeds,
            dry_run=dry_run,
            options=RunOptions(
                data_root=data_root,
                runs_root=runs_root,
                name=name,
                device=device,
                images=images,
                workers=workers,
                strict=strict,
                skip_bad_images=skip_bad_images,
                report=not no_report,
            ),
            observer=console,
        )
        if len(found) > 1 and not dry_run:
            console.show(runs_table(found, seeds, sweep))
    _end(found, json)


@app.command(epilog="Example: tools train hhcl --data crops --cameras 'cam([0-9]+)'")
def train(
    method: args.Method,
    data: args.OwnFolder,
    cameras: args.Cameras = None,
    changes: args.Changes = None,
    sweep: args.Sweep = "",
    precision: args.Precision = None,
    weights_init: args.WeightsInit = None,
    seeds: args.Seeds = 1,
    runs_root: args.RunsRoot = args.RUNS,
    name: args.Name = "",
    skip_bad_images: args.SkipBadImages = False,
    dry_run: args.DryRun = False,
    no_report: args.NoReport = False,
    gpus: args.Gpus = 1,
    device: args.Device = "auto",
    images: args.Images = "auto",
    workers: args.Workers = None,
    json: args.Json = False,
) -> None:
    """Train METHOD on your own images without labels; test it if labels.csv names a test part."""
    from tools.lookup import require_known

    changes = args.all_changes(changes, precision, weights_init)
    require_known(method, changes=changes, sweep=sweep)
    _several_processes(gpus, device)
    with watched(json) as console:
        from tools.options import RunOptions
        from tools.reproduce import train as run

        found = run(
            method,
            data,
            cameras=cameras,
            changes=changes,
            sweep=sweep,
            seeds=seeds,
            dry_run=dry_run,
            options=RunOptions(
                runs_root=runs_root,
                name=name,
                device=device,
                images=images,
                workers=workers,
                skip_bad_images=skip_bad_images,
                report=not no_report,
            ),
            observer=console,
        )
        if len(found) > 1 and not dry_run:
            console.show(runs_table(found, seeds, sweep))
    _end(found, json)


@app.command(epilog="Example: tools resume runs/hhcl-market1501-2025-01-31-1")
def resume(
    run: args.Run,
    data_root: args.MovedRoot = None,
    data: args.MovedFolder = None,
    no_report: args.NoReport = False,
    gpus: args.Gpus = 1,
    device: args.Device = "auto",
    images: args.Images = "auto",
    workers: args.Workers = None,
    json: args.Json = False,
) -> None:
    """Continue a run exactly where it stopped; its folder holds all settings."""
    if not launched():  # else it may be missing on one machine alone, which is told to all
        require_run_folder(run)
    _several_processes(gpus, device)
    with watched(json, run) as console:
        from tools.options import RunOptions
        from tools.origin import Moved
        from tools.reproduce import resume as go_on

        options = RunOptions(device=device, images=images, workers=workers, report=not no_report)
        found = go_on(run, moved=Moved(data_root, data), options=options, observer=console)
    if json:
        print_json(found)


@app.command(epilog="Example: tools test hhcl market1501 --weights runs/hhcl-market1501 --rerank")
def test(
    method: args.Method,
    datasets: args.Tested,
    weights: args.Weights,
    rerank: args.Rerank = False,
    domain: args.Domain = "target",
    source: args.Source = "",
    variant: args.Variant = "",
    changes: args.NetworkChanges = None,
    data_root: args.DataRoot = args.DATA,
    skip_bad_images: args.SkipBadImages = False,
    gpus: args.Gpus = 1,
    device: args.Device = "auto",
    images: args.Images = "auto",
    workers: args.Workers = None,
    json: args.Json = False,
) -> None:
    """Evaluate trained weights: of a run, or published by the method's authors."""
    from tools.lookup import require_known

    require_known(method)
    _several_processes(gpus, device)
    with watched(json) as console:
        from tools.options import RunOptions
        from tools.test import test as evaluate

        found = evaluate(
            method,
            datasets,
            weights,
            rerank=rerank,
            domain=domain,
            variant=variant,
            source=source,
            changes=changes or [],
            options=RunOptions(
                data_root=data_root,
                device=device,
                images=images,
                workers=workers,
                skip_bad_images=skip_bad_images,
            ),
            observer=console,
        )
        console.show(test_table(found))
    _end(found, json)


@app.command(epilog="Example: tools verify hhcl")
def verify(
    method: args.Owner = None,
    reference: args.Reference = None,
    json: args.Json = False,
) -> None:
    """Recompute stored numbers of the authors' code with ours; exit code 1 if one fails."""
    from tools.lookup import require_owner

    require_owner(method)
    with watched(json) as console:
        from tools.verify import cases_table
        from tools.verify import verify as recompute

        rows = recompute(method, reference, observer=console)
        console.show(cases_table(rows))
    if json:
        print_json(rows)
    if any(row["passed"] is False for row in rows):
        raise typer.Exit(1)


@app.command(epilog="Example: tools recipes hhcl market1501")
def recipes(
    method: args.ListedMethod = None,
    dataset: args.ListedDataset = None,
    json: args.Json = False,
) -> None:
    """Settings of the papers' runs side by side, with their sources."""
    from tools.recipes import overview, side_by_side
    from tools.recipes_shown import show_overview, show_recipes

    if json:
        print_json(side_by_side(method, dataset) if method else overview())
    elif method:
        found = side_by_side(method, dataset)
        show_recipes(terminal(), found, meanings=dataset is not None)
    else:
        show_overview(terminal(), overview())


@app.command(epilog="Example: tools table --format markdown")
def table(
    runs: args.Runs = None,
    runs_root: args.RunsRoot = args.RUNS,
    style: Annotated[
        Format, typer.Option("--format", help="For a reader, a document or a program.")
    ] = "terminal",
    json: args.Json = False,
) -> None:
    """Results of runs beside the papers': best and last test, seeds, hours, devices."""
    from tools.table import results
    from tools.table_shown import as_terminal, as_text

    with watched(json or style != "terminal") as console:
        rows = results(runs or [], runs_root, warn=console.warn)
    if json or style == "json":
        print_json(rows)
    elif style == "terminal":
        out = terminal()
        out.print(as_terminal(rows, out.width))
    else:
        typer.echo(as_text(rows, style))


@app.command(epilog="Example: tools report runs/hhcl-synthetic-2025-01-31-1")
def report(
    run: args.Run,
    data_root: args.MovedRoot = None,
    data: args.MovedFolder = None,
    device: args.Device = "auto",
    images: args.Images = "auto",
    workers: args.Workers = None,
    json: args.Json = False,
) -> None:
    """Write the page of a run, finished or not: curves, ranked lists, clusters, feature map."""
    require_run_folder(run)
    with watched(json) as console:
        from tools.options import RunOptions
        from tools.origin import Moved
        from tools.write_report import write_report

        options = RunOptions(device=device, images=images, workers=workers)
        moved = Moved(data_root, data)
        path = write_report(run, moved=moved, options=options, observer=console)
    if json:
        print_json({"report": str(path)})
    else:
        typer.echo(path)


@app.command(epilog="Example: tools bench evaluation --set queries=500 --set gallery=2000")
def bench(
    name: Annotated[str | None, typer.Argument(help="Without it: a list of all.")] = None,
    changes: args.BenchmarkChanges = None,
    json: args.Json = False,
) -> None:
    """Time our code against plain implementations: repeats, spread, ratios."""
    with watched(json) as console:
        from tools.bench import questions, run_benchmark, shown_questions

        rows = run_benchmark(name, changes or []) if name else questions()
        shown = rows if name else shown_questions(rows)
        console.show(dict_table(shown, console.out, title=name or "benchmarks"))
    if json:
        print_json(rows)


@app.command(epilog="Example: tools doctor --data-root data")
def doctor(
    data_root: args.DataRoot = args.DATA,
    runs_root: args.RunsRoot = args.RUNS,
    json: args.Json = False,
) -> None:
    """What this machine has: versions, devices, memory, disk, data sets, weights."""
    from tools.doctor import examine
    from tools.doctor_shown import show_findings

    found = examine(data_root, runs_root)
    if json:
        print_json(found)
    else:
        show_findings(terminal(), found)


def main() -> None:
    """The command line: a user's error is one red sentence and exit code 2."""
    keep_memory_and_let_threads_sleep()
    open_closed_streams()
    escape_unprintable()
    if not launched():
        stop_when_told()
    elif RUN_NOTE in os.environ:  # by the command with --gpus, which may be killed
        end_with_parent()
    try:
        code = app(standalone_mode=False)
    except typer.Abort:  # Ctrl-C where nothing was begun
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:
        let_the_first_speak()
        if text := sentence_of(error):
            typer.secho(f"error: {text}", fg="red", err=True)
        raise SystemExit(MISTAKE) from None
    raise SystemExit(code)


def _end(found: list[dict[str, Any]], json: bool) -> None:
    """As JSON what a single run or test found, or a list of several; fail if a run stopped."""
    if json:
        print_json(found if len(found) > 1 else found[0])
    require_none_stopped(found)


def _several_processes(gpus: int, device: str) -> None:
    """With more than one GPU: start the team, wait for it, and end."""
    if gpus > 1 and not launched():
        from tools.launch import launch

        raise typer.Exit(launch(gpus, device, sys.argv[1:]))
