"""The page of a run as its reader gets it: whole, self-contained, and safe."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from common.recipe import PaperResult
from common.types import Samples
from tools.report import ranking, sheets, write_page
from tools.report.curves import course
from tools.report.page import page
from tools.report.settings import environment, remarks

COURSE = "tools.report.page.course"
DRAWN = {}
VOID = {"meta", "img", "br", "path", "use", "image", "rect", "line"}


@pytest.fixture(autouse=True)
def courses_drawn_once(monkeypatch):
    """The course takes most of a page's time, and few tests here change what it shows."""

    def drawn(inputs):
        shown = repr((inputs.events, inputs.result))
        if shown not in DRAWN:
            DRAWN[shown] = course(inputs)
        return DRAWN[shown]

    monkeypatch.setattr(COURSE, drawn)


class Reader(HTMLParser):
    """Collects elements and checks that they are closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.elements, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def read(html):
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


def headings(html):
    return re.findall(r"<h2>(.*?)</h2>", html)


def test_what_scrolls_sideways_can_be_reached_by_the_keyboard(full):
    scrolled = [a for _, a in read(full).elements if a.get("class") == "scroll" and "role" in a]
    names = {"Results on market1501, in percent", "One row per epoch"}
    assert {a["aria-label"] for a in scrolled} == names
    assert all(a["tabindex"] == "0" for a in scrolled)


def test_a_whole_run_shows_every_section(full):
    assert headings(full) == [
        "Results",
        "Remarks",
        "Course of the run",
        "Ranked lists",
        "Clusters",
        "Feature map",
        "Settings",
        "Environment",
    ]


def test_elements_are_closed_in_order_and_ids_are_unique(full):
    ids = [found["id"] for _, found in read(full).elements if "id" in found]

    assert len(ids) == len(set(ids))


def test_every_reference_within_the_page_has_its_target(full):
    elements = read(full).elements
    ids = {found["id"] for _, found in elements if "id" in found}
    links = re.findall(r'(?:href="#|url\(#)([^")]+)', full)

    assert links
    assert set(links) <= ids


def test_nothing_is_fetched_and_nothing_runs(full):
    elements = read(full).elements

    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in elements}
    sources = [v for _, found in elements for k, v in found.items() if k in ("src", "srcset")]
    assert sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not re.search(r"url\((?!#)", full)
    assert "@import" not in full
    assert "default-src 'none'" in full


def test_pictures_charts_and_tables_speak(full):
    elements = read(full).elements

    assert all(found.get("alt") for tag, found in elements if tag == "img")
    assert full.count("<svg") == len(re.findall(r'<svg role="img"[^>]*><title>[^<]+', full))
    assert full.count("<table") == full.count("<caption>")


def test_changed_settings_are_marked(full):
    marked = re.findall(r"<th[^>]*>([^<]*)</th><td><mark>", full)

    assert marked == ["min_samples"]


def test_the_same_inputs_give_the_same_page(full, inputs, monkeypatch):
    monkeypatch.setattr(COURSE, course)
    assert page(inputs) == full


def test_right_and_wrong_are_told_apart_by_a_symbol(full, inputs):
    lists = full[full.index('id="ranking"') : full.index('id="clusters"')]

    assert lists.count('class="tile right"') == lists.count("✓</span>") > 0
    assert lists.count('class="tile wrong"') == lists.count("✗</span>") > 0


def test_cameras_have_the_names_of_the_data_set_else_numbers(full, inputs):
    assert "cam\u00a00" in full
    named = page(replace(inputs, cam_names=("1", "yard", "<2>"), train_features=None))
    shown = set(re.findall('cam\u00a0([^ <"]+)', named))
    assert shown == {"1", "&lt;2&gt;"}
    assert re.search(r"<figcaption>[^<]* · yard</figcaption>", named), "a word stands for itself"


def test_file_names_and_texts_are_escaped(samples, inputs):
    train = samples(8, 4, name="<b>&'\"ü人{}.jpg")
    events = [*inputs.events, {"event": "warning", "text": "<script>alert(1)</script>"}]
    html = page(
        replace(
            inputs,
            train=train,
            train_features=None,
            labels=np.zeros(8, dtype=np.int64),
            truth=None,
            events=events,
        )
    )

    assert "<script" not in html
    assert "<b>&" not in html
    titles = [found.get("title", "") for tag, found in read(html).elements if tag == "figure"]
    folder = Path(train.paths[0]).parent.name
    assert f"{folder}/<b>&'\"ü人4_0.jpg" in titles, "with its folder, as names may repeat"


def test_a_file_name_that_is_no_text_can_be_written(tmp_path, inputs):
    paths = inputs.train.paths.copy()
    paths[:] = "/nowhere/\udce4.jpg"
    broken = replace(inputs.train, paths=paths)

    path = write_page(tmp_path / "report", replace(inputs, train=broken, train_features=None))

    assert "not readable" in path.read_text("utf-8")


def bare(run):
    """One epoch on a folder of own images."""
    rest = ("truth", "query", "query_features", "gallery", "gallery_features")
    recipe = replace(run.recipe, paper=PaperResult())
    left = {"recipe": recipe, "events": run.events[1:2], "result": {}, "environment": {}}
    return dict.fromkeys(rest) | left


def logged_twice(run):
    first = run.events[1]
    return {"events": [first, {**first, "temperature": 0.05}]}


# What differs from the whole run, and which sections are missing then. The map takes longest to
# draw, so it is there only where features are named.
CASES = {
    "own folder, one epoch": (bare, {"Ranked lists", "Environment"}),
    "no labels": (lambda run: {"labels": None}, {"Clusters"}),
    "no labels, no truth": (
        lambda run: {"labels": None, "truth": None, "train_features": run.train_features},
        {"Clusters", "Feature map"},
    ),
    "outliers only": (lambda run: {"labels": np.full(36, -1)}, set()),
    "one cluster": (lambda run: {"labels": np.zeros(36, np.int64), "truth": None}, set()),
    "every image alone": (lambda run: {"labels": np.arange(36)}, set()),
    "unknown truth": (lambda run: {"truth": np.full(36, -1)}, set()),
    "map without labels": (
        lambda run: {"labels": None, "train_features": run.train_features},
        {"Clusters"},
    ),
    "map without truth": (
        lambda run: {"truth": None, "train_features": run.train_features},
        set(),
    ),
    "equal features": (lambda run: {"train_features": np.ones((36, 4), np.float32)}, set()),
    "no events": (lambda run: {"events": []}, set()),
    "no test yet": (lambda run: {"result": dict.fromkeys(("start", "last", "best"))}, set()),
    "an epoch logged twice": (logged_twice, set()),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_there_is_left_out(inputs, full, case):
    changed, missing = CASES[case]
    change = {"train_features": None, **changed(inputs)}
    if change["train_features"] is None:
        missing = missing | {"Feature map"}

    html = page(replace(inputs, **change))

    assert "nan" not in " ".join(read(html).text).lower()
    assert set(headings(full)) - set(headings(html)) == missing


def test_a_resumption_after_changes_is_said(inputs):
    wider = ["batch norm sees more."]
    resumptions = [
        {"changed": [], "deviations": wider},
        {"changed": ["device cpu, now another"], "deviations": wider},
    ]
    html = page(replace(inputs, environment={**inputs.environment, "resumptions": resumptions}))

    assert "Resumed after changes: device cpu, now another." in html
    assert html.count("Resumed after changes") == 1
    assert html.count("Batch norm sees more.") == 1


def test_examples_are_said_to_be_drawn_only_where_there_are_more(full, inputs, monkeypatch):
    assert "among all queries that have a match." in full
    assert ": 6 images that no cluster took." in full
    monkeypatch.setattr(ranking, "SAMPLED", 4)
    monkeypatch.setattr(sheets, "OUTLIERS", 2)
    html = page(replace(inputs, train_features=None))
    assert "among 4 queries drawn at random." in html
    assert ": 2 of 6 images that no cluster took, drawn at random." in html


def test_of_many_images_that_were_left_out_a_few_are_named(inputs):
    dropped = {"dataset": {"dropped": [f"{number}.jpg" for number in range(1000)]}}
    assert "8.jpg, 9.jpg and 990 more<" in environment(replace(inputs, environment=dropped))


def test_a_warning_of_many_epochs_is_one_remark(inputs):
    said = [f"epoch {n}: one cluster holds {n},000 images." for n in (1, 5, 9)] + ["Another."]
    warnings = [{"event": "warning", "text": text} for text in said]
    html = remarks(replace(inputs, events=[*inputs.events, *warnings]))

    last = "Epoch 9: one cluster holds 9,000 images. (The last of 3 such warnings.)"
    assert html.count("one cluster holds") == 1
    assert f"<li>{last}</li><li>Another.</li>" in html.replace("\n", "")


def test_epochs_still_to_come_are_said(inputs):
    html = page(replace(inputs, events=inputs.events[:2], train_features=None))

    assert "1 of 3 epochs are done." in html


def test_thousands_of_clusters_and_epochs_stay_below_three_megabytes(tmp_path, inputs):
    count = 6000
    paths = np.resize(inputs.train.paths, count)
    cams = np.arange(count) % 6
    train = Samples(paths, np.arange(count) // 3, cams)
    path = write_page(
        tmp_path,
        replace(
            inputs,
            train=train,
            train_features=None,
            truth=train.pids,
            labels=np.arange(count) // 2,
            events=[{**inputs.events[1], "epoch": epoch} for epoch in range(1000)],
            query=None,
        ),
    )

    assert path.stat().st_size < 3e6


def test_a_page_without_a_place_is_a_mistake_that_is_told(tmp_path, inputs):
    (tmp_path / "report").write_text("a file")

    with pytest.raises(UserError, match="report cannot be made: File exists"):
        write_page(tmp_path / "report", inputs)


def test_writing_replaces_an_older_page(tmp_path, inputs):
    plain = replace(inputs, train_features=None)
    (tmp_path / "index.html").write_text("old")

    path = write_page(tmp_path, plain)

    assert path == tmp_path / "index.html"
    assert path.read_text("utf-8").startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir()] == ["index.html"]
