"""What `tools doctor` found, as a reader sees it."""

from pathlib import Path
from typing import Any

from rich.console import Console

from tools.layout import rich_table, say


def show_findings(out: Console, found: dict[str, Any]) -> None:
    """One line for each fact."""
    cpu, disk = found["cpu"], found["disk"]
    lines = [
        ["versions", ", ".join(f"{k} {v}" for k, v in found["versions"].items() if v)],
        ["system", found["system"]],
        ["cpu", f"{cpu['cores']} cores, {cpu['vectors']}, {_yes(cpu['fast_bfloat16'])} fast bf16"],
        ["threads", f"torch {cpu['torch_threads']}, numba {cpu['numba_threads']}"],
        *(["gpu", f"{g['name']}, {_gb(g['free'])} of {_gb(g['total'])}"] for g in found["gpus"]),
        ["memory", f"{_gb(found['memory']['free'])} free"],
        ["disk", f"{_gb(disk['free'])} free at {disk['folder']}"],
        ["optional", ", ".join(f"{_yes(has)} {n}" for n, has in found["optional"].items())],
        ["data root", found["data_root"]],
        *([name, place] for name, place in found["datasets"].items() if place),
        ["weights", found["weights_folder"]],
        *([arch, Path(place).name] for arch, place in found["weights"].items() if place),
    ]
    out.print(rich_table(["", ""], lines, texts=(0, 1)))
    for hint in found["hints"]:
        say(out, f"hint: {hint}", "yellow")


def _gb(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _yes(has: bool) -> str:
    return "with" if has else "without"
