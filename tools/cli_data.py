"""`tools data`: list, check, prepare, synth. Commands parse and print; no logic."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tools import arguments as args
from tools.output import print_json, watched

data = typer.Typer(no_args_is_help=True, help="Data sets: list, check, prepare, synth.")


@data.command("list", epilog="Example: tools data list --data-root data")
def data_list(data_root: args.DataRoot = args.DATA, json: args.Json = False) -> None:
    """Data sets that are known: found or missing, where they come from, their terms."""
    with watched(json) as console:
        from tools.data import list_datasets
        from tools.data_shown import show_datasets

        rows = list_datasets(data_root)
        if not json:
            show_datasets(rows, console.out)
    if json:
        print_json(rows)


@data.command("check", epilog="Example: tools data check market1501 --strict")
def data_check(
    dataset: Annotated[str, typer.Argument(help="Data set, or a folder of your own images.")],
    data_root: args.DataRoot = args.DATA,
    strict: args.Strict = False,
    no_images: Annotated[
        bool, typer.Option("--no-images", help="Count only; do not open every image.")
    ] = False,
    cameras: args.Cameras = None,
    workers: args.Workers = None,
    json: args.Json = False,
) -> None:
    """Compare counts with the published ones and open every image; exit code 1 if not sound."""
    with watched(json) as console:
        from tools.data import check
        from tools.data_shown import show_check

        found = check(
            dataset,
            data_root,
            strict=strict,
            read_images=not no_images,
            cameras=cameras,
            workers=workers,
            progress=console.ticks("checking images"),
        )
        if not json:
            show_check(found, console.out)
    if json:
        print_json(found)
    if not found["sound"]:
        raise typer.Exit(1)


@data.command("prepare", epilog="Example: tools data prepare market1501 Market-1501-v15.09.15.zip")
def data_prepare(
    dataset: Annotated[str, typer.Argument(help="Data set; `tools data list` names them.")],
    archive: Annotated[Path, typer.Argument(help="The archive as downloaded.")],
    data_root: args.DataRoot = args.DATA,
    json: args.Json = False,
) -> None:
    """Unpack a downloaded archive into place, safely, and count what is in it."""
    with watched(json) as console:
        from tools.data import prepare
        from tools.data_shown import show_prepared

        found = prepare(
            dataset, archive, data_root, progress=console.ticks("unpacking MB", unit=10**6)
        )
        if not json:
            show_prepared(found, console.out)
    if json:
        print_json(found)


@data.command("synth", epilog="Example: tools data synth --ids 30 --out data/small")
def data_synth(
    name: Annotated[str, typer.Argument(help="synthetic or synthetic-b.")] = "synthetic",
    strength: Annotated[
        Literal["easy", "default", "hard"], typer.Option(help="How much cameras and views differ.")
    ] = "default",
    seed: Annotated[int, typer.Option(help="Another seed draws other people.")] = 0,
    ids: Annotated[int, typer.Option(min=1, help="Training identities.")] = 100,
    cameras: Annotated[int, typer.Option(min=2, help="Cameras.")] = 6,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; by default its place in the data root.")
    ] = None,
    data_root: args.DataRoot = args.DATA,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Processes that draw; as many as suit the machine by default."),
    ] = None,
    json: args.Json = False,
) -> None:
    """Draw a synthetic data set of pedestrians seen by several cameras."""
    with watched(json) as console:
        from tools.layout import facts_table
        from tools.synth import synth

        found = synth(
            data_root,
            name,
            strength=strength,
            seed=seed,
            ids=ids,
            cameras=cameras,
            out=out,
            workers=workers,
            progress=console.ticks("drawing images"),
        )
        console.show(facts_table(found))
    if json:
        print_json(found)
