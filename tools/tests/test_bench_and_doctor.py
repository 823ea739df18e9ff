"""`tools bench` finds, configures and runs benchmarks; `tools doctor` looks at the machine."""

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

import tools.bench
import tools.benchmarks
from common.errors import UserError
from common.recipe_text import override, parse_changes
from methods import METHODS
from tools.bench import (
    arguments_of,
    found_benchmarks,
    questions,
    run_benchmark,
    shown_questions,
)
from tools.doctor import examine, hints
from tools.layout import dict_table, facts_table

SPEED = '''"""How fast?

More.
"""

def run(size: int = 4, share=0.5, sizes=(1, 2), name="x", fast=True):
    return [{"size": size, "share": share, "sizes": sizes, "name": name, "fast": fast}]
'''


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """A folder with a benchmark that returns its arguments, and a file that helps it."""
    (tmp_path / "speed.py").write_text(SPEED)
    (tmp_path / "clock.py").write_text("raise SystemExit('a file was loaded in vain')")
    monkeypatch.setattr(tools.benchmarks, "__path__", [str(tmp_path)])
    yield
    sys.modules.pop("tools.benchmarks.speed", None)


def test_every_benchmark_asks_one_question_and_runs_without_arguments():
    found = questions()
    assert {row["name"] for row in found} == set(found_benchmarks())
    assert {"evaluation", "images"} <= set(found_benchmarks())
    for row in found:
        assert row["question"][-1] in "?."
        assert all(value is not None for value in row["settings"].values())


def test_settings_are_read_as_the_type_of_their_default(made_up):
    changes = ["size=7", "share=0.25", "sizes=3,5,8", "name=y", "fast=false"]
    (row,) = run_benchmark("speed", changes)
    assert row == {"size": 7, "share": 0.25, "sizes": (3, 5, 8), "name": "y", "fast": False}
    assert run_benchmark("speed")[0]["sizes"] == (1, 2)


def test_the_settings_in_the_list_of_benchmarks_are_written_as_they_are_set():
    for row, asked in zip(shown_questions(questions()), questions(), strict=True):
        assert arguments_of(row["name"], row["settings"].split()) == asked["settings"]


@pytest.mark.parametrize("change", ["size=a", "sizes=1,b", "fast=maybe", "other=1", "size"])
def test_a_setting_that_cannot_be_read_is_an_error(made_up, change):
    with pytest.raises(UserError):
        run_benchmark("speed", [change])


def test_an_unknown_benchmark_is_answered_with_the_nearest(made_up):
    with pytest.raises(UserError, match="Did you mean 'speed'"):
        run_benchmark("sped")


@pytest.mark.parametrize("name", sorted(found_benchmarks()))
def test_every_benchmark_refuses_numbers_below_what_it_can_run_with(name):
    settings = {row["name"]: row["settings"] for row in questions()}[name]
    for key, default in settings.items():
        first = default[0] if isinstance(default, tuple) else default
        if type(first) is int:
            too_small = ",".join(["-1"] * (len(default) if isinstance(default, tuple) else 1))
            with pytest.raises(UserError, match=f"{key}=-1: must be at least"):
                run_benchmark(name, [f"{key}={too_small}"])


@pytest.mark.parametrize("name", sorted(found_benchmarks()))
def test_every_benchmark_refuses_a_device_that_is_not_there(name, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="'gpu' is no device"):
        run_benchmark(name, ["device=gpu"])
    with pytest.raises(UserError, match="no CUDA device was found"):
        run_benchmark(name, ["device=cuda"])


@pytest.mark.skipif(sys.platform != "linux", reason="written for machines with CUDA")
def test_every_row_of_the_script_for_gpus_asks_for_what_there_is(tmp_path):
    asked, told = gpu_rows(tmp_path)
    for words in asked:
        changes = [word for option, word in pairwise(words) if option == "--set"]
        match words[2:5]:
            case ["bench", name, _]:
                assert arguments_of(name, changes)["device"] == "cuda"
            case ["reproduce", method, dataset]:
                override(METHODS[method].find(dataset), parse_changes(changes))
    assert {words[2] for words in asked} == {"doctor", "bench", "reproduce"}
    assert told.count("done after") == len(asked) + 1  # the tests
    assert "there is no row labls; there are: doctor tests " in gpu_rows(tmp_path, "labls")[1]


@pytest.mark.skipif(sys.platform != "linux", reason="written for machines with CUDA")
def test_no_row_for_gpus_is_lost_by_another_and_none_begins_when_the_time_is_up(tmp_path):
    told = gpu_rows(tmp_path, "doctor", "labels", "tests", broken="pseudo-labels")[1]
    assert "labels failed, see labels.log" in told
    assert "tests done" in told
    assert not (tmp_path / "rows" / "labels.json").exists()
    told = gpu_rows(tmp_path, "doctor", "given-fast", minutes=0)
    assert told == ([], "doctor: left out, the time is up\ngiven-fast: left out, the time is up\n")
    assert not list((tmp_path / "rows").iterdir()), "no data are drawn"


def gpu_rows(folder, *rows, broken="-", minutes=30):
    """What the script asks `tools` for, in words, and says; a `python3` that only repeats it.

    Args:
        broken: the word with which that `python3` fails before it says anything.
    """
    shutil.rmtree(folder / "rows", ignore_errors=True)
    python = folder / "python3"
    python.write_text(f'#!/bin/sh\ncase "$*" in *" {broken} "*) exit 1;; esac\necho "$*"\n')
    python.chmod(0o755)
    place = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    script = Path(tools.bench.__file__).with_name("gpu_rows.sh")
    command = ["bash", str(script), str(folder / "rows"), *rows]
    place["MINUTES"] = str(minutes)
    ended = subprocess.run(command, env=place, check=True, capture_output=True, text=True)
    return [path.read_text().split() for path in (folder / "rows").glob("*.json")], ended.stdout


def test_rows_are_printed_as_a_table_or_as_json(made_up, call):
    text = call("bench", "speed").out
    assert "share" in text
    assert "0.5" in text
    assert json.loads(call("bench", "speed", "--set", "size=9", "--json").out)[0]["size"] == 9
    assert "How fast?" in call("bench").out


def test_doctor_tells_what_there_is(tmp_path):
    found = examine(tmp_path / "data", tmp_path / "runs")
    assert {"torch", "numba", "python"} <= found["versions"].keys()
    assert found["cpu"]["cores"] >= 1
    assert found["memory"]["free"] > 0
    assert found["disk"]["free"] > 0
    assert found["optional"].keys() == {"faiss", "infomap"}, "what a setting or a variant needs"
    assert set(found["datasets"].values()) == {None}
    assert any("data list" in hint for hint in found["hints"])
    assert list(tmp_path.iterdir()) == []


def test_doctor_asks_for_a_package_as_a_run_does(tmp_path, monkeypatch):
    monkeypatch.setattr("common.clustering.approximate.Kmeans", None)  # installed, not importable
    monkeypatch.setattr("common.clustering.infomap.Infomap", "there")
    found = examine(tmp_path, tmp_path)
    assert found["optional"] == {"faiss": False, "infomap": True}
    assert any("faiss cannot be imported" in hint for hint in found["hints"])


def test_doctor_finds_the_weights_that_recipes_take_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    for other in ("resnet50-11ad3fa6.pth", "resnet50-0676ba61.pth.5e1c.partial"):  # V2, a part
        (tmp_path / "checkpoints" / other).touch()
    found = examine(tmp_path, tmp_path)["weights"]
    needed = {r.encoder.arch for s in METHODS.values() for r in s.recipes} - {"tiny"}
    assert found == dict.fromkeys([*needed, "mobilenet_v2"])
    files = {"resnet50": "resnet50-0676ba61.pth", "resnet_ibn50a": "resnet50_ibn_a.pth.tar"}
    places = {arch: tmp_path / "checkpoints" / name for arch, name in files.items()}
    for path in places.values():
        path.touch()
    found = examine(tmp_path, tmp_path)["weights"]
    assert {arch: found[arch] for arch in files} == {arch: str(p) for arch, p in places.items()}


def test_hints_name_only_what_is_missing():
    complete = {
        "gpus": [{}],
        "missing_for_compiling": [],
        "optional": {"faiss": True, "infomap": True},
        "weights": {"resnet50": "there"},
        "weights_folder": "w",
        "datasets": {"market1501": "there"},
        "data_root": "d",
    }
    assert hints(complete) == []
    assert "want of Python.h" in hints({**complete, "missing_for_compiling": ["Python.h"]})[0]
    assert "infomap" in hints({**complete, "optional": {"faiss": True, "infomap": False}})[0]
    assert "resnet50" in hints({**complete, "weights": {"resnet50": None}})[0]


def test_rows_too_wide_for_the_terminal_are_shown_side_by_side():
    rows = [{"form": form, **{f"part {n}": n for n in range(20)}} for form in ("dense", "sparse")]
    headers = {
        width: [column.header for column in dict_table(rows, Console(width=width)).columns]
        for width in (60, 160)
    }
    assert headers[60] == ["form", "dense", "sparse"]
    assert headers[160] == [*rows[0]]
    assert dict_table(rows, Console(width=60)).row_count == 20


def test_facts_stand_below_no_rule_of_empty_headers():
    console = Console(width=60, record=True)
    console.print(facts_table({"name": "synthetic"}))
    assert console.export_text().split() == ["name", "synthetic"]
