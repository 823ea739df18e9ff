"""What a reader sees of a run: plain lines, the live line, the result."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from common.run import ticks
from tools import outcome
from tools.console import RunConsole
from tools.layout import shell_command, short
from tools.outcome import recipe_lines, result_table, run_title, runs_table
from tools.output import how_to_go_on

EPOCH = {
    "event": "epoch",
    "epoch": 2,
    "epochs": 20,
    "losses": {"hard": 1.25, "mean": 0.5},
    "clusters": 31,
    "outliers": 900,
    "eps": 0.5,
    "temperature": 0.0512345,
    "lr": 0.003,
    "seconds": {"features": 1.0, "training": 8.5},
    "remaining": 125.0,
}


def scored(epoch, value, network="encoder"):
    scores = {"map": value, "rank1": value + 0.1, "rank5": value + 0.2, "rank10": value + 0.3}
    return {"event": "test", "epoch": epoch, "network": network, **scores}


def result(**changed):
    return {
        "method": "hhcl",
        "dataset": "market1501",
        "source": "",
        "variant": "",
        "seed": 1,
        "run": "runs/mine",
        "start": scored(-1, 0.02),
        "last": scored(59, 0.81),
        "best": scored(49, 0.83),
        "clusters": [700],
        "outliers": [12],
        "references": [{"name": "chance", "map": 0.004, "rank1": 0.003}],
        "paper": {"map": 84.2, "rank1": 93.4, "rank5": None, "rank10": None, "compares": "best"},
        **changed,
    }


def shown(*events, capsys):
    with RunConsole() as console:
        for event in events:
            console(event)
    return capsys.readouterr().out


def text_of(table):
    console = Console(file=io.StringIO(), width=120)
    console.print(table)
    return console.file.getvalue()


def rows_of(table):
    lines = [line.strip().rsplit(maxsplit=4) for line in text_of(table).splitlines()]
    return {line[0].strip(): line[1:] for line in lines if len(line) == 5}


def test_an_epoch_is_one_plain_line_with_its_test(capsys):
    line = shown(scored(2, 0.451), EPOCH, capsys=capsys)
    assert line == (
        "epoch 3/20  hard 1.250  mean 0.500  31 clusters, 900 outliers  eps 0.5  "
        "temperature 0.05123  mAP 45.1 %, rank-1 55.1 %  9.5 s  2 min 05 s left\n"
    )


def test_a_test_belongs_to_its_epoch_only_and_networks_are_told_apart(capsys):
    both = shown(scored(2, 0.4), scored(2, 0.5, "teacher"), EPOCH, EPOCH, capsys=capsys)
    first, second = both.splitlines()
    assert "encoder mAP 40.0 %" in first
    assert "teacher mAP 50.0 %" in first
    assert "mAP" not in second


def test_the_untrained_network_has_a_line_of_its_own_and_so_has_its_teacher(capsys):
    lines = shown(scored(-1, 0.08), scored(-1, 0.08, "teacher"), capsys=capsys).splitlines()
    assert lines[0] == "before training: mAP 8.0 %, rank-1 18.0 %"
    assert lines[1] == "before training (teacher): mAP 8.0 %, rank-1 18.0 %"


def test_progress_and_the_stages_of_every_epoch_make_no_plain_lines(capsys):
    events = [
        {"event": "stage", "text": "epoch 3: clustering"},
        {"event": "progress", "what": "training", "epoch": 2, "done": 1, "total": 9},
        {"event": "unheard of"},
    ]
    assert shown(*events, capsys=capsys) == ""
    assert shown({"event": "stage", "text": "reading"}, capsys=capsys) == "reading\n"


def test_a_quiet_console_says_warnings_on_standard_error_only(capsys):
    with RunConsole(quiet=True) as console:
        for event in (scored(2, 0.4), EPOCH, {"event": "warning", "text": "careful"}):
            console(event)
        console.show("a table")
        console({"event": "result", "result": result()})
    assert capsys.readouterr() == ("", "warning: careful\n")


def test_the_result_stands_beside_references_and_paper():
    rows = rows_of(result_table(result()))
    assert rows["chance"] == ["0.4", "0.3", "-", "-"]
    assert rows["before training"][0] == "2.0"
    assert rows["last test (epoch 60)"][0] == "81.0"
    assert rows["best test (epoch 50)"] == ["83.0", "93.0", "103.0", "113.0"]
    assert rows["paper (best)"] == ["84.2", "93.4", "-", "-"]
    assert rows["ours - paper"] == ["-1.2", "-0.4", "-", "-"]


def test_the_paper_s_last_epoch_is_compared_with_ours():
    paper = {**result()["paper"], "compares": "last"}
    assert rows_of(result_table(result(paper=paper)))["ours - paper"][0] == "-3.2"


def test_unpublished_runs_have_no_paper_row():
    paper = dict.fromkeys(("map", "rank1", "rank5", "rank10")) | {"compares": "last"}
    assert not any("paper" in name for name in rows_of(result_table(result(paper=paper))))


def test_a_title_names_source_and_variant_where_there_are_any():
    assert run_title(result()) == "hhcl on market1501, seed 1"
    both = result(source="msmt17", variant="ibn")
    assert run_title(both) == "hhcl on market1501 from msmt17 (ibn), seed 1"


def test_values_of_every_kind_are_short():
    said = {None: "-", True: "true", 0.123456: "0.1235", (1, 2.0): "1, 2", "a": "a"}
    assert {value: short(value) for value in said} == said
    assert short({"a": None, "b": [0.5]}) == "a -, b 0.5"


def test_without_a_test_part_the_clusters_are_the_result(capsys):
    untested = result(start=None, last=None, best=None, references=[])
    text = shown({"event": "result", "result": untested}, capsys=capsys)
    assert "700 clusters, 12 outliers" in text
    assert "runs/mine" in text


def test_run_folder_and_report_are_named_last(capsys):
    event = {"event": "result", "result": result(report="runs/mine/report/index.html")}
    lines = shown(event, capsys=capsys).splitlines()
    assert lines[-2:] == ["run folder  runs/mine", "report      runs/mine/report/index.html"]


def test_several_seeds_end_with_mean_and_deviation():
    runs = [result(last=scored(59, v), best=scored(59, v)) for v in (0.7, 0.8, 0.9)]
    assert "80.0 ± 10.0" in text_of(runs_table(runs, seeds=3))


def test_a_sweep_ends_with_rows_for_each_value():
    runs = [result(last=scored(59, v), best=scored(59, v)) for v in (0.5, 0.7, 0.8, 0.9)]
    table = text_of(runs_table(runs, seeds=2, sweep="settings.queue_length=4, 16"))
    assert table.splitlines()[0].startswith("settings.queue_length, 2 seeds")
    assert [line.split()[0] for line in table.splitlines() if "last" in line] == ["4", "16"]
    assert "60.0 ± 14.1" in table
    assert "85.0 ± 7.1" in table
    assert "seeds" not in text_of(runs_table(runs, seeds=1, sweep="lr=1,2,3,4"))
    kinds = "clustering.eps=LinearEps(start=0.6, step=0.01),0.5"
    lines = text_of(runs_table(runs[:2], seeds=1, sweep=kinds)).splitlines()
    assert [line.split(" last")[0].strip() for line in lines if "last" in line] == [
        "LinearEps(start=0.6, step=0.01)",
        "0.5",
    ]


def test_runs_without_a_test_end_with_their_last_clusters_and_outliers():
    runs = [result(last=None, best=None, clusters=[1, n], outliers=[2, 5]) for n in (40, 60)]
    table = text_of(runs_table(runs, seeds=2))
    assert table.split()[-6:] == ["50", "±", "14", "5", "±", "0"]
    assert "clusters" in table
    lines = text_of(runs_table(runs, seeds=1, sweep="clustering.eps=0.4,0.5")).splitlines()
    assert [line.split() for line in lines[-3:] if line.strip()] == [
        ["0.4", "40", "5"],
        ["0.5", "60", "5"],
    ]


def test_settings_are_announced_in_a_line_for_each_group(capsys):
    settings = {"lr": "0.003", "settings.momentum": "0.1", "clustering.eps.value": "0.45"}
    settings |= {"clustering.k1": "30", "paper.settings": "a log; eps is a guess"}
    scores = {"map": "84.2", "rank1": "93.4", "rank5": "None", "rank10": "None"}
    settings |= {f"paper.{name}": value for name, value in scores.items()}
    settings["paper.source"] = "a table"
    event = {
        "event": "recipe",
        "title": "A Title",
        "settings": settings,
        "counts": {"train": 1200, "query": 0},
        "cameras": "6 (file name)",
        "deviations": ["fewer images."],
    }
    assert recipe_lines(event) == [
        ("run", "lr 0.003"),
        ("settings", "momentum 0.1"),
        ("clustering", "eps 0.45, k1 30"),
        ("origin", "a log; eps is a guess; published: 84.2 / 93.4 / - / - (a table)"),
    ]
    unpublished = {**event, "settings": {**settings, "paper.map": "None"}}
    assert recipe_lines(unpublished)[-1] == ("origin", "a log; eps is a guess")
    text = shown(event, capsys=capsys)
    assert "1,200 train\n" in text
    assert "cameras     6 (file name)\n" in text
    assert "differs: fewer images." in text


def test_the_run_folder_is_remembered_for_ctrl_c(capsys):
    console = RunConsole()
    assert how_to_go_on(console.run) == ""
    console({"event": "run", "path": "runs/mine"})
    assert "tools resume runs/mine" in how_to_go_on(console.run)


def test_a_run_with_its_result_is_not_named_for_resuming(capsys):
    console = RunConsole()
    console({"event": "run", "path": "runs/mine"})
    console({"event": "result", "result": result()})
    assert how_to_go_on(console.run) == ""


def test_a_run_that_was_stopped_while_its_page_was_written_needs_only_the_page(tmp_path):
    (tmp_path / "result.json").write_text("{}")
    said = how_to_go_on(tmp_path)
    assert shell_command("report", tmp_path) in said
    assert "resume" not in said


def test_commands_in_hints_can_be_pasted_into_a_shell():
    said = how_to_go_on(Path("runs/my crops; [new]"), ["--gpus", "2"])
    assert "`tools resume 'runs/my crops; [new]' --gpus 2`" in said


@pytest.mark.parametrize("name", ["crops [new]", "runs [/old]/x", "a\\"])
def test_brackets_in_names_are_shown_as_they_are(live, name):
    titled = result(dataset=name)
    with live:
        live({"event": "stage", "text": f"{name}: checking the images"})
        live._live.refresh()
        live({"event": "result", "result": titled})
    assert f"hhcl on {name}, seed 1" in live.out.file.getvalue()
    assert name in text_of(runs_table([titled], seeds=1, sweep=f"{name}=1"))
    tested = {**scored(1, 0.5), "method": "hhcl", "weights": name, "dataset": "a", "rerank": False}
    tested |= {"domain": "target", "data": {"version": "V2"}}
    assert name in text_of(outcome.test_table([tested]))
    assert "a (V2)" in text_of(outcome.test_table([tested]))
    tested |= {"rerank": True, "domain": "source", "data": {"version": ""}}
    assert "a (re-ranked, the source's batch norm)" in text_of(outcome.test_table([tested]))


@pytest.fixture
def live(monkeypatch):
    """A console on a terminal of 100 columns."""
    out = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    monkeypatch.setattr("tools.console.terminal", lambda errors: out)
    return RunConsole()


def test_a_terminal_shows_work_rate_and_time_left_in_one_line(live):
    live({**EPOCH, "epoch": 0})
    live({"event": "progress", "what": "training", "epoch": 1, "done": 0, "total": 40})
    live({"event": "progress", "what": "training", "epoch": 1, "done": 10, "total": 40})
    (task,) = live._live.tasks
    assert (task.description, task.completed, task.total) == ("epoch 2: training", 10, 40)
    assert task.fields["left"] == "2 min 05 s left"


def test_a_rate_counts_from_the_begin_of_the_work(live):
    for second, done in ((0, 0), (2, 10), (2.01, 20)):  # two workers are done almost at once
        live._live.get_time = lambda now=second: now
        ticks(live, "drawing images")(done, 40)
    (task,) = live._live.tasks
    assert (task.description, task.completed, task.total) == ("drawing images", 20, 40)
    assert task.speed == pytest.approx(20 / 2.01)


def test_bytes_are_shown_in_megabytes(live):
    live.ticks("unpacking MB", unit=10**6)(73_500_000, 152_000_000)
    (task,) = live._live.tasks
    assert (task.completed, task.total) == (73, 152)


def test_a_new_stage_starts_anew_without_a_size(live):
    live({"event": "progress", "what": "features", "done": 10, "total": 40})
    live({"event": "stage", "text": "epoch 2: clustering"})
    (task,) = live._live.tasks
    assert (task.description, task.completed, task.total) == ("epoch 2: clustering", 0, None)


def test_the_live_line_is_gone_when_the_result_is_shown(live):
    with live:
        live({"event": "stage", "text": "writing the report"})
        live({"event": "result", "result": result()})
        assert live._live.tasks == []
    assert live.out.file.getvalue().rstrip().endswith("\x1b[?25h")


def test_epoch_lines_stay_above_the_live_line(live):
    with live:
        live({"event": "stage", "text": "epoch 3: clustering"})
        live(EPOCH)
    assert "epoch 3/20  hard 1.250" in live.out.file.getvalue()
