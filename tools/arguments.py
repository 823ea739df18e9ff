"""Arguments and options that several commands share: types, help texts, environment variables."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

RECIPE = "Recipe"
MACHINE = "Machine"

Method = Annotated[str, typer.Argument(help="Method, e.g. hhcl; `tools recipes` lists them.")]
Dataset = Annotated[str, typer.Argument(help="Data set of a recipe, e.g. market1501.")]
Run = Annotated[Path, typer.Argument(help="Run folder, e.g. runs/hhcl-synthetic-2025-01-31-1.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

Runs = Annotated[
    list[Path] | None, typer.Argument(help="Run folders; all of --runs-root by default.")
]
ListedMethod = Annotated[str | None, typer.Argument(help="Without it: all methods.")]
ListedDataset = Annotated[
    str | None, typer.Argument(help="Only the runs on this data set, settings explained.")
]
Tested = Annotated[
    list[str], typer.Argument(help="Data sets, or folders of your own with a test part.")
]
Weights = Annotated[Path, typer.Option(help="Run folder, or a published checkpoint.")]
Rerank = Annotated[bool, typer.Option("--rerank", help="k-reciprocal re-ranking.")]
Owner = Annotated[str | None, typer.Argument(help="A method, or common; without it: all.")]
Reference = Annotated[
    Path | None,
    typer.Option(help="Another folder of cases of the same kinds; our own by default."),
]

DATA, RUNS = Path("data"), Path("runs")
DATA_VARIABLE = "REID_DATA"


def _folder(name: str) -> Path:
    """A folder by name; the empty one of a shell variable that is not set is no folder."""
    if not name:
        raise typer.BadParameter("empty. Name a folder, or . for the one you are in.")
    return Path(name)


DataRoot = Annotated[
    Path,
    typer.Option(
        parser=_folder,
        metavar="PATH",
        help="Folder that holds the data sets.",
        envvar=DATA_VARIABLE,
    ),
]
MovedRoot = Annotated[
    Path | None, typer.Option(help="The data root now, if the run's data sets have moved.")
]
MovedFolder = Annotated[
    Path | None,
    typer.Option("--data", help="Where the images lie now, for a run on a folder of your own."),
]


OwnFolder = Annotated[
    Path,
    typer.Option(
        "--data",
        parser=_folder,
        metavar="PATH",
        help="Folder of images, or one with a labels.csv.",
    ),
]
RunsRoot = Annotated[
    Path, typer.Option(parser=_folder, metavar="PATH", help="Folder for the run folders.")
]

Source = Annotated[
    str,
    typer.Option(help="Labelled source data set of a two-domain run.", rich_help_panel=RECIPE),
]
Variant = Annotated[
    str,
    typer.Option(
        help="Another published form, e.g. infomap; see `tools recipes METHOD`.",
        rich_help_panel=RECIPE,
    ),
]


def _set(text: str, panel: str | None = RECIPE) -> Any:
    """The option `--set`, by what it sets in a command."""
    return typer.Option("--set", metavar="NAME=VALUE", help=text, rich_help_panel=panel)


Changes = Annotated[
    list[str] | None,
    _set("Change a setting, e.g. clustering.eps=0.5; repeated for others, in any order."),
]
NetworkChanges = Annotated[
    list[str] | None,
    _set(
        "Where the network of a published checkpoint differs from the recipe, e.g. "
        "encoder.pooling=gem; repeatable."
    ),
]
BenchmarkChanges = Annotated[
    list[str] | None,
    _set("Change a setting of the benchmark, e.g. repeats=3; `tools bench` lists them.", None),
]
Precision = Annotated[
    Literal["exact", "fast"] | None,
    typer.Option(
        help="exact: float32, as the recipes have it; fast: bfloat16 where the device is fast at "
        "it. Short for --set precision=...",
        rich_help_panel=RECIPE,
    ),
]
WeightsInit = Annotated[
    Path | None,
    typer.Option(
        help="File of initial weights, .pth, .safetensors or .npz; ImageNet's by default, random "
        "for drawn data. Short for --set encoder.weights=...",
        rich_help_panel=RECIPE,
    ),
]
Domain = Annotated[
    Literal["target", "source"],
    typer.Option(help="Whose batch norm a network of two domains uses."),
]
Name = Annotated[str, typer.Option(help="Name of the run folder; a standard one by default.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check data and settings, estimate the cost, and stop.")
]
NoReport = Annotated[bool, typer.Option("--no-report", help="Do not write the HTML page.")]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Warnings about the data, e.g. counts that are not the published ones, are errors.",
    ),
]
SkipBadImages = Annotated[
    bool,
    typer.Option("--skip-bad-images", help="Leave out images that cannot be used, and count them."),
]
Gpus = Annotated[
    int,
    typer.Option(
        min=1, max=64, help="Processes on this machine, one for each GPU.", rich_help_panel=MACHINE
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.", rich_help_panel=MACHINE)]
Images = Annotated[
    Literal["auto", "device", "host", "disk"],
    typer.Option(
        help="Where decoded images are kept; with disk, files are decoded anew each time. "
        "Changes no result.",
        rich_help_panel=MACHINE,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=256,
        help="Processes that read images; as many as suit the machine by default.",
        rich_help_panel=MACHINE,
    ),
]
Sweep = Annotated[
    str,
    typer.Option(
        metavar="NAME=V1,V2,..",
        help="A run for each value of one setting, e.g. settings.queue_length=4,8,16.",
        rich_help_panel=RECIPE,
    ),
]
Seeds = Annotated[
    int,
    typer.Option(
        min=1,
        max=1000,
        help="How many runs, with consecutive seeds.",
        rich_help_panel=RECIPE,
    ),
]
Cameras = Annotated[
    str | None,
    typer.Option(
        help="Regular expression whose group is the camera in a file's name, or the word none for "
        "a single camera; by default the first sub-folder is the camera."
    ),
]


def all_changes(
    changes: list[str] | None, precision: str | None, weights_init: Path | None
) -> list[str]:
    """`--set` and the two options that are short for it."""
    short = [f"precision={precision}"] if precision else []
    short += [f"encoder.weights={weights_init}"] if weights_init else []
    return [*(changes or []), *short]
