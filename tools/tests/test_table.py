"""The results table, from made-up run folders."""

import csv
import io
import json
import os
import re
from dataclasses import replace

import pytest
from rich.console import Console

from common.errors import UserError
from common.recipe_text import to_json, to_plain
from methods import METHODS
from tools.lookup import paper_recipe
from tools.table import results, run_folders
from tools.table_shown import as_terminal

DATA = {"name": "market1501", "version": "", "fingerprint": "f1", "dropped": []}
ENVIRONMENT = {
    "versions": {"python": "3.11.7", "unreid": "0.1.0"},
    "commit": "abc1234",
    "device": "NVIDIA H200",
    "devices": 1,
    "precision": "exact",
    "bn_chunks": 4,
    "dataset": DATA,
    "source": DATA,
    "cameras": {"sampler": True, "loss": False},
    "changes": [],
}


def scores(value, epoch):
    values = {"map": value, "rank1": value + 0.1, "rank5": value + 0.12, "rank10": value + 0.13}
    return {**values, "epoch": epoch, "network": "encoder"}


def make_run(root, recipe, *, best=None, last=None, seed=1, finished=True, **changed):
    """A run folder of a recipe with these results."""
    folder = root / f"run-{len(list(root.glob('*')))}" if root.exists() else root / "run-0"
    folder.mkdir(parents=True)
    environment = {**ENVIRONMENT, **changed.pop("environment", {})}
    (folder / "recipe.json").write_text(to_json(replace(recipe, seed=seed)))
    (folder / "environment.json").write_text(json.dumps(environment))
    if not finished:
        return folder
    result = {
        **{name: getattr(recipe, name) for name in ("method", "dataset", "source", "variant")},
        "seed": seed,
        "run": "somewhere/else",
        "start": scores(0.1, -1) if best is not None else None,
        "best": scores(best, 49) if best is not None else None,
        "last": scores(last, 59) if last is not None else None,
        "seconds": 7200.0,
        "clusters": [100, 200, 300],
        "paper": to_plain(recipe.paper),
        "environment": environment,
        **changed,
    }
    (folder / "result.json").write_text(json.dumps(result))
    return folder


@pytest.fixture
def market():
    return paper_recipe("hhcl", "market1501")


def test_ours_stands_beside_the_paper_s_in_percent(tmp_path, market):
    folder = make_run(tmp_path, market, best=0.83, last=0.81)
    (row,) = results([folder])
    assert row["paper"]["map"] == market.paper.map == 84.2
    assert row["best"]["map"] == {"mean": pytest.approx(83.0), "spread": None}
    assert row["last"]["rank1"]["mean"] == pytest.approx(91.0)
    assert row["difference"]["map"] == pytest.approx(83.0 - 84.2)
    assert (row["start"]["map"]["mean"], row["clusters"]) == (pytest.approx(10.0), 300)
    assert (row["hours"], row["devices"], row["bn_chunks"]) == (2.0, "1 x NVIDIA H200", 4)
    assert (row["cameras"], row["code"], row["runs"]) == ("sampler", "0.1.0 abc1234", [str(folder)])


def test_seeds_make_a_mean_with_a_spread(tmp_path, market):
    for seed, best in ((1, 0.82), (2, 0.84), (3, 0.86)):
        made = {"clusters": [9, 100 * seed], "seconds": 3600.0 * seed}
        make_run(tmp_path, market, best=best, last=best, seed=seed, **made)
    (row,) = results([tmp_path])
    assert row["seeds"] == [1, 2, 3]
    assert row["best"]["map"]["mean"] == pytest.approx(84.0)
    assert row["best"]["map"]["spread"] == pytest.approx(2.0)  # divided by n - 1
    assert (row["clusters"], row["hours"]) == (200.0, 2.0)


def test_the_difference_is_that_of_the_epoch_that_the_paper_reports(tmp_path, market):
    paper = {**to_plain(market.paper), "compares": "last", "rank5": None}
    make_run(tmp_path, market, best=0.83, last=0.81, paper=paper)
    difference = results([tmp_path])[0]["difference"]
    assert (difference["map"], difference["rank5"]) == (pytest.approx(81.0 - 84.2), None)


@pytest.mark.parametrize(
    "environment",
    [
        {"changes": ["lr=0.1"]},
        {"precision": "fast"},
        {"bn_chunks": 1},
        {"dataset": {**DATA, "version": "V2"}},
        {"dataset": {**DATA, "fingerprint": "f2"}},
        {"source": {**DATA, "version": "V2"}},
        {"source": {**DATA, "fingerprint": "f2"}},
    ],
    ids=str,
)
def test_runs_that_differ_in_more_than_the_seed_are_not_averaged(tmp_path, market, environment):
    make_run(tmp_path, market, best=0.8, last=0.8)
    make_run(tmp_path, market, best=0.6, last=0.6, environment=environment)
    assert len(results([tmp_path])) == 2


def test_rows_of_equal_names_but_other_images_tell_them_by_their_fingerprints(
    tmp_path, market, call
):
    crops = replace(market, dataset="crops")
    for fingerprint in ("f1", "f2"):
        data = {**DATA, "name": "crops", "fingerprint": fingerprint}
        make_run(tmp_path, crops, environment={"dataset": data, "source": None})
    lines = call("table", tmp_path, "--format", "markdown").out.splitlines()[2:]
    assert [re.findall("images f[12]", line) for line in lines] == [["images f1"], ["images f2"]]


def test_a_row_says_that_its_data_have_not_the_published_counts(tmp_path, market, call):
    whole = {"images": 12_936, "ids": 751, "cameras": 6}
    for fingerprint, train in (("f1", whole), ("f2", {**whole, "images": 12_000})):
        data = {**DATA, "fingerprint": fingerprint, "train": train}
        make_run(tmp_path, market, best=0.8, last=0.8, environment={"dataset": data})
    lines = call("table", tmp_path, "--format", "markdown").out.splitlines()[2:]
    assert ["data not as published" in line for line in lines] == [False, True]
    told = [row["counts"] for row in results([tmp_path])]
    assert told == [[], ["market1501: 12,000 train images, published are 12,936."]]


def test_a_drawn_set_of_equal_settings_is_the_same_wherever_it_was_drawn_unless_images_were_dropped(
    tmp_path,
):
    recipe = paper_recipe("hhcl", "synthetic")
    for seed, fingerprint, dropped in ((1, "f1", []), (2, "f2", []), (3, "f3", ["1.jpg"])):
        data = {"name": "synthetic", "version": "", "fingerprint": fingerprint, "dropped": dropped}
        make_run(tmp_path, recipe, seed=seed, environment={"dataset": data, "source": None})
    assert sorted(row["seeds"] for row in results([tmp_path])) == [[1, 2], [3]]


def test_of_a_seed_that_was_repeated_the_newest_run_counts(tmp_path, market, call):
    runs = [make_run(tmp_path, market, best=best, last=best) for best in (0.8, 0.6, 0.7)]
    for age, run in zip((0, 20, 10), runs, strict=True):
        os.utime(run / "result.json", (1e9 - age, 1e9 - age))
    told = []
    (row,) = results([tmp_path], warn=told.append)
    assert (row["seeds"], row["runs"]) == ([1], [str(runs[0])])
    assert row["best"]["map"] == {"mean": pytest.approx(80.0), "spread": None}
    assert all(str(runs[0]) in text for text in told)
    assert [str(run) in " ".join(told) for run in runs] == [True] * 3


@pytest.mark.parametrize(
    ("devices", "recorded", "groups"), [(8, 4, 8), (8, 8, 8), (3, 4, 3), (2, 4, 4)]
)
def test_the_batch_norm_groups_are_those_of_all_processes_also_in_old_records(
    tmp_path, market, devices, recorded, groups
):
    make_run(tmp_path, market, environment={"devices": devices, "bn_chunks": recorded})
    assert results([tmp_path])[0]["bn_chunks"] == groups


@pytest.mark.parametrize(
    "environment", [{"changes": ["lr=0.1"]}, {"devices": 8}, {"precision": "fast"}], ids=str
)
def test_a_changed_run_does_not_stand_for_the_published_one(tmp_path, market, environment):
    make_run(tmp_path, market, best=0.8, last=0.8, environment=environment)
    rows = [row for row in results(runs_root=tmp_path) if row["method"] == "hhcl"]
    statuses = [r["status"] for r in rows if (r["dataset"], r["variant"]) == ("market1501", "")]
    assert statuses == ["finished", "not run"]


@pytest.mark.parametrize(
    ("cameras", "changes", "said"),
    [
        ({"sampler": True, "clustering": True, "loss": False}, [], "sampler, clustering"),
        ({"sampler": False, "clustering": False, "loss": False}, [], "none"),
        ({"sampler": False, "loss": False}, ["clustering.center_cameras=True"], "clustering"),
        ({"sampler": True, "loss": False}, [], "sampler"),
    ],
)
def test_every_use_of_cameras_is_told_also_of_old_records(tmp_path, market, cameras, changes, said):
    make_run(tmp_path, market, environment={"cameras": cameras, "changes": changes})
    assert results([tmp_path])[0]["cameras"] == said


def test_a_run_that_was_resumed_elsewhere_tells_all_its_devices_and_versions(tmp_path, market):
    here = {"versions": {"unreid": "0.1.0"}, "commit": "abc1234", "device": "NVIDIA H200"}
    there = {**here, "commit": "def5678", "device": "cpu", "devices": 2, "changed": []}
    resumptions = [{**here, "devices": 1, "changed": []}, there]
    make_run(tmp_path, market, environment={"resumptions": resumptions})
    (row,) = results([tmp_path])
    assert row["devices"] == "1 x NVIDIA H200; 2 x cpu"
    assert row["code"] == "0.1.0 abc1234; 0.1.0 def5678"


def test_a_changed_seed_is_no_other_experiment(tmp_path, market):
    make_run(tmp_path, market, best=0.8, last=0.8)
    make_run(tmp_path, market, best=0.6, last=0.6, seed=2, environment={"changes": ["seed=2"]})
    (row,) = results([tmp_path])
    assert (row["seeds"], row["changes"]) == ([1, 2], [])


def test_recipes_that_were_not_run_say_so_and_still_show_the_paper(tmp_path, market):
    make_run(tmp_path, market, best=0.8, last=0.8)
    rows = results(runs_root=tmp_path)
    assert len(rows) == sum(len(spec.recipes) for spec in METHODS.values())
    statuses = [row["status"] for row in rows]
    assert (statuses.count("finished"), statuses.count("not run")) == (1, len(rows) - 1)
    duke = next(r for r in rows if r["method"] == "hhcl" and r["dataset"] == "dukemtmcreid")
    assert (duke["paper"]["map"], duke["best"], duke["status"]) == (73.3, None, "not run")


def test_no_run_at_all_is_a_table_of_what_was_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {row["status"] for row in results()} == {"not run"}


def test_a_folder_for_runs_that_is_named_must_be_there(tmp_path):
    with pytest.raises(UserError, match=r"there is no folder .*rnus\. Correct --runs-root"):
        results(runs_root=tmp_path / "rnus")


def test_a_run_that_was_not_finished_says_so(tmp_path, market):
    make_run(tmp_path, market, finished=False)
    (row,) = [row for row in results(runs_root=tmp_path) if row["runs"]]
    assert (row["status"], row["paper"]["map"], row["best"]) == ("unfinished", 84.2, None)


def test_rows_stand_in_the_order_of_the_methods_and_own_images_last(tmp_path, market):
    own = replace(market, dataset="crops")
    make_run(tmp_path, own, last=None)
    make_run(tmp_path, paper_recipe("hhcl", "msmt17"), best=0.3, last=0.3)
    make_run(tmp_path, paper_recipe("spcl", "msmt17"), best=0.2, last=0.2)
    make_run(tmp_path, market, best=0.8, last=0.8)
    found = [(row["method"], row["dataset"]) for row in results([tmp_path])]
    expected = [("spcl", "msmt17"), ("hhcl", "market1501"), ("hhcl", "msmt17"), ("hhcl", "crops")]
    assert found == expected


def test_a_run_without_a_test_part_has_no_scores(tmp_path, market):
    make_run(tmp_path, replace(market, dataset="crops"))
    (row,) = results([tmp_path])
    assert (row["best"], row["last"], row["difference"]["map"]) == (None, None, None)


def test_clusters_are_compared_with_the_authors_log_where_there_is_one(tmp_path, market):
    curve = {"clusters": [[0, 125], [2, 200], [3, 7]]}  # epoch 3 was not reached
    make_run(tmp_path, market, best=0.8, last=0.8, reference_curve=curve)
    assert results([tmp_path])[0]["curve"] == pytest.approx((0.2 + 0.5) / 2)
    make_run(tmp_path / "other", market, best=0.8, last=0.8, reference_curve=None)
    assert results([tmp_path / "other"])[0]["curve"] is None


def test_run_folders_are_found_by_name(tmp_path, market):
    made = [make_run(tmp_path, market, finished=False) for _ in range(11)]  # run-10 is the last
    assert run_folders([tmp_path], required=True) == sorted(made)


def test_folders_may_be_runs_or_hold_runs_and_count_once(tmp_path, market):
    folder = make_run(tmp_path, market, best=0.8, last=0.8)
    assert run_folders([tmp_path, folder], required=True) == [folder]
    with pytest.raises(UserError, match="no run folder"):
        results([folder / "deeper"])


@pytest.mark.parametrize(
    ("name", "content", "finished"),
    [
        ("result.json", "{", True),
        ("result.json", "{}", True),
        ("result.json", "[]", True),
        ("environment.json", "{}", False),
        ("environment.json", "", False),
        ("recipe.json", "[]", False),
    ],
)
def test_a_run_that_cannot_be_read_is_named_and_the_others_stay(
    tmp_path, market, call, name, content, finished
):
    odd = make_run(tmp_path, market, best=0.8, last=0.8, finished=finished)
    (odd / name).write_text(content)
    with pytest.raises(UserError, match=re.escape(str(odd))):
        results([odd])

    make_run(tmp_path, market, best=0.8, last=0.8, seed=2)
    for arguments in ((), ("--json",), ("--format", "csv")):
        called = call("table", tmp_path, *arguments)
        said = called.err if arguments else called.out
        assert called.code == 0
        assert "a run is left out" in said
        assert odd.name in said
    (row,) = json.loads(call("table", tmp_path, "--json").out)
    assert row["seeds"] == [2]


@pytest.mark.parametrize("change", [{"seed": [1]}, {"method": 3}, {"variant": [1]}])
def test_a_result_with_something_else_in_the_place_of_a_word_is_named(tmp_path, market, change):
    odd = make_run(tmp_path, market, best=0.8, last=0.8)
    stored = json.loads((odd / "result.json").read_text())
    (odd / "result.json").write_text(json.dumps({**stored, **change}))
    with pytest.raises(UserError, match=re.escape(str(odd))):
        results([odd])


def test_a_run_without_an_epoch_does_not_spoil_the_row_of_the_others(tmp_path, market):
    make_run(tmp_path, market, best=0.8, last=0.8)
    make_run(tmp_path, market, best=0.8, last=0.8, seed=2, clusters=[])
    told = []
    (row,) = results([tmp_path], warn=told.append)
    assert (row["seeds"], len(told)) == ([1], 1)


def test_json_and_csv_hold_every_number(tmp_path, market, call):
    make_run(tmp_path, market, best=0.83, last=0.81)
    (row,) = json.loads(call("table", tmp_path, "--json").out)
    assert row == json.loads(call("table", tmp_path, "--format", "json").out)[0]
    (line,) = csv.DictReader(io.StringIO(call("table", tmp_path, "--format", "csv").out))
    assert float(line["best_map_mean"]) == row["best"]["map"]["mean"]
    assert float(line["difference_rank10"]) == row["difference"]["rank10"]
    assert line["paper_source"] == market.paper.source
    columns = " ".join(line)
    assert [name for name in row if not re.search(rf"\b{name}(_|\b)", columns)] == []


def test_markdown_is_a_table_with_the_sources(tmp_path, market, call):
    make_run(tmp_path, market, best=0.83, last=0.81)
    text = call("table", "--runs-root", tmp_path, "--format", "markdown").out
    lines = text.strip().splitlines()
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert re.fullmatch(r"\|( --- \|){3}( ---: \|){8}( --- \|){2} ---: \|( --- \|){3}", lines[1])
    ours = next(line for line in lines if line.startswith("| hhcl | market1501 | - |"))
    assert (
        "| 84.2 / 93.4 / 97.7 / 98.5 | 10.0 / 20.0 / 22.0 / 23.0 | 83.0 / 93.0 / 95.0 / 96.0 | 81.0"
        in ours
    )
    assert "-1.2 / -0.4 / -2.7 / -2.5" in ours
    assert market.paper.source in ours
    assert sum("not run" in line for line in lines) == len(lines) - 3


def test_latex_escapes_what_latex_would_read(tmp_path, market, call):
    make_run(
        tmp_path, market, best=0.8, last=0.8, environment={"changes": ["sampling.batch_size=4"]}
    )
    make_run(tmp_path, replace(market, dataset='a|b<c>"'), best=0.8, last=0.8)
    text = call("table", tmp_path, "--format", "latex").out
    assert r"sampling.batch\_size=4" in text
    assert r"a\textbar{}b\textless{}c\textgreater{}''" in text
    assert market.paper.source in text
    assert text.count(r"\\") == 3
    assert text.startswith(r"\begin{tabular}")


CHANGED = "sampling.batch_size=128"


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_the_terminal_shows_scores_seeds_and_remarks_in_any_width(
    tmp_path, market, call, monkeypatch, width
):
    changes = {"changes": [CHANGED]}
    make_run(tmp_path, market, best=0.83, last=0.81, environment=changes)
    make_run(tmp_path, market, best=0.85, last=0.81, seed=7, environment=changes)
    make_run(tmp_path, paper_recipe("hhcl", "msmt17"), finished=False)
    monkeypatch.setattr("tools.layout.PLAIN_WIDTH", width)
    text = call("table", tmp_path).out
    for shown in ("84.2", "93.4", "84.0 ± 1.4", "94.0 ± 1.4", "1 7", "unfinished", CHANGED):
        assert shown in text
    assert max(map(len, text.splitlines())) <= width
    assert "not run" in call("table", "--runs-root", tmp_path).out


def test_no_character_of_a_long_setting_is_cut_in_any_width(tmp_path, market):
    long = "encoder.weights=/our/weights/mobilenet_v2_of_last_year.safetensors"
    make_run(tmp_path, market, best=0.83, last=0.81, environment={"changes": [long]})
    rows = results([tmp_path], tmp_path)
    for width in range(60, 201):
        out = Console(width=width, file=io.StringIO())
        out.print(as_terminal(rows, width))
        cells = [re.split(" {2,}", line.strip()) for line in out.file.getvalue().splitlines()]
        assert any(long in "".join(line[end] for line in cells) for end in (0, -1)), width
