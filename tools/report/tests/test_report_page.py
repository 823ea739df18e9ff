"""The page of a run as its reader gets it: whole, self-contained, and safe."""

import re
from dataclasses import dataclass, replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from common.recipe import Dbscan, PaperResult, Recipe
from common.schedules import ExponentialEps
from common.types import Samples
from tools.report import ReportInputs, write_page
from tools.report.figures import Line, line_chart
from tools.report.maps import feature_maps
from tools.report.page import page

VOID = {"meta", "img", "br", "path", "use", "image", "rect", "line"}


@dataclass(frozen=True)
class Settings:
    momentum: float = 0.1


RECIPE = Recipe(
    "hhcl",
    "market1501",
    Settings(),
    epochs=3,
    clustering=Dbscan(eps=ExponentialEps(0.7)),
    paper=PaperResult(map=84.2, rank1=93.4, source="README"),
)


def samples(folder, count, seed, name="p{}.jpg"):
    rng = np.random.default_rng(seed)
    paths = [folder / name.format(f"{seed}_{i}") for i in range(count)]
    for path in paths:
        Image.new("RGB", (16, 32), tuple(rng.integers(0, 255, 3))).save(path)
    pids = np.arange(count) % 6
    return Samples(np.array([str(p) for p in paths], dtype=object), pids, rng.integers(0, 3, count))


def features(count, seed):
    found = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def epoch_event(epoch, **more):
    return {
        "event": "epoch",
        "epoch": epoch,
        "losses": {"contrast": 2.0 / (epoch + 1), "distill": 1.0},
        "clusters": 5 + epoch,
        "outliers": 9 - epoch,
        "eps": 0.7 * 0.99**epoch,
        "lr": 3.5e-4,
        "seconds": {"features": 1.0, "clustering": 0.5, "training": 3.0},
        **more,
    }


def score_event(epoch, value, network="encoder"):
    scores = {"map": value, "rank1": value + 0.1, "rank5": value + 0.2, "rank10": value + 0.3}
    return {"event": "test", "epoch": epoch, "network": network, **scores}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def inputs(folder):
    train, query, gallery = samples(folder, 36, 1), samples(folder, 18, 2), samples(folder, 30, 3)
    labels = np.where(np.arange(36) < 30, train.pids, -1)
    labels[:3] = 4
    return ReportInputs(
        recipe=RECIPE,
        events=[score_event(-1, 0.1), *map(epoch_event, range(3)), score_event(2, 0.5)],
        result={
            "start": score_event(-1, 0.1),
            "last": score_event(2, 0.5),
            "best": score_event(2, 0.5),
            "references": [{"name": "chance", "map": 0.0123, "rank1": 0.02}],
            "reference_curve": {"map": [[0, 0.2], [2, 0.55]], "clusters": [[0, 4], [2, 8]]},
        },
        environment={
            "versions": {"python": "3.11"},
            "changes": ["clustering.min_samples=8"],
            "deviations": ["precision fast: rounding differs from float32."],
        },
        train=train,
        train_features=features(36, 1),
        labels=labels,
        truth=train.pids,
        query=query,
        query_features=features(18, 2),
        gallery=gallery,
        gallery_features=features(30, 3),
    )


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


@pytest.fixture(scope="module")
def full(inputs):
    return page(inputs)


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


def authors_lines(html):
    """Charts with a line of the authors' log: title to (first, last) value of that line."""
    spoken = r"<title>([^<]+?) by epoch: [^<]*authors&#x27; log from (\S+) to ([^;<]+)"
    return {title: (first, last) for title, first, last in re.findall(spoken, html)}


def test_whatever_the_authors_logged_is_drawn_beside_the_run(inputs):
    reference = {
        "map": [[0, 0.2], [2, 0.55]],
        "clusters": [[0, 4], [2, 8]],
        "outliers": [[0, 7], [2, 6]],
        "contrast": [[0, 3.5], [2, 1.5]],
        "distill": [[0, 0.5], [2, 0.25]],
        "temperature": [[0, 0.05], [2, 0.04]],
    }
    events = [epoch_event(e, temperature=0.05) for e in range(3)]  # which need not move
    events.append(score_event(2, 0.5))

    html = page(replace(inputs, events=events, result={"reference_curve": reference}))

    assert authors_lines(html) == {
        "mAP, %": ("20", "55"),
        "Clusters": ("4", "8"),
        "Outliers": ("7", "6"),
        "Loss: contrast": ("3.5", "1.5"),
        "Loss: distill": ("0.5", "0.25"),
        "Temperature": ("0.05", "0.04"),
    }


def test_losses_share_a_chart_where_the_authors_logged_none(full):
    assert authors_lines(full).keys() == {"mAP, %", "Clusters"}
    assert re.search(r"<title>Loss by epoch: contrast from [^;]+; distill from ", full)


def test_counts_have_whole_numbers_beside_them_and_other_values_need_not():
    def ticks(*values):
        chart = line_chart("Clusters", [Line("this run", range(1, len(values) + 1), values)])
        return re.findall(r"<text[^>]*>([\d.]+)</text>", chart)

    assert [tick for tick in ticks(17, 18, 17) if "." in tick] == []
    assert [tick for tick in ticks(17, 17) if "." in tick] == []
    assert [tick for tick in ticks(17.0, 18.0, 17.0) if "." in tick]


def test_charts_take_their_colours_from_the_page(full):
    assert "#0a0a" not in full
    assert "var(--series-1)" in full


def test_results_stand_in_percent_beside_the_published_ones(full):
    text = " ".join(read(full).text)

    assert "50.0" in text
    assert "84.2" in text
    assert "−34.2" in text
    assert "1.2" in text  # chance, given as a fraction


def test_changed_settings_are_marked(full):
    marked = re.findall(r"<th[^>]*>([^<]*)</th><td><mark>", full)

    assert marked == ["min_samples"]


def test_the_same_inputs_give_the_same_page(full, inputs):
    assert page(inputs) == full


def test_right_and_wrong_are_told_apart_by_a_symbol(full, inputs):
    lists = full[full.index('id="ranking"') : full.index('id="clusters"')]

    assert lists.count('class="tile right"') == lists.count("✓</span>") > 0
    assert lists.count('class="tile wrong"') == lists.count("✗</span>") > 0


def test_file_names_and_texts_are_escaped(folder, inputs):
    train = samples(folder, 8, 4, name="<b>&'\"ü人{}.jpg")
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
    assert "<b>&'\"ü人4_0.jpg" in titles


def test_a_file_name_that_is_no_text_can_be_written(tmp_path, inputs):
    paths = inputs.train.paths.copy()
    paths[:] = "/nowhere/\udce4.jpg"
    broken = replace(inputs.train, paths=paths)

    path = write_page(tmp_path / "report", replace(inputs, train=broken, train_features=None))

    assert "not readable" in path.read_text("utf-8")


FEATURES = {"train_features": features(36, 1)}
BARE = {
    "truth": None,
    "query": None,
    "query_features": None,
    "gallery": None,
    "gallery_features": None,
    "result": {},
    "environment": {},
    "recipe": replace(RECIPE, paper=PaperResult()),
}


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (BARE | {"events": [epoch_event(0)]}, {"Ranked lists", "Environment"}),
        ({"labels": None}, {"Clusters"}),
        ({"labels": None, "truth": None, **FEATURES}, {"Clusters", "Feature map"}),
        ({"labels": np.full(36, -1)}, set()),
        ({"labels": np.zeros(36, dtype=np.int64), "truth": None}, set()),
        ({"labels": np.arange(36)}, set()),
        ({"truth": np.full(36, -1)}, set()),
        ({"labels": None, **FEATURES}, {"Clusters"}),
        ({"truth": None, **FEATURES}, set()),
        ({"train_features": np.ones((36, 4), dtype=np.float32)}, set()),
        ({"events": []}, set()),
        ({"result": {"start": None, "last": None, "best": None}}, set()),
        ({"events": [epoch_event(0), epoch_event(0, temperature=0.05)]}, set()),
    ],
    ids=[
        "own folder, one epoch",
        "no labels",
        "no labels, no truth",
        "outliers only",
        "one cluster",
        "every image alone",
        "unknown truth",
        "map without labels",
        "map without truth",
        "equal features",
        "no events",
        "no test yet",
        "an epoch logged twice",
    ],
)
def test_what_is_not_there_is_left_out(inputs, full, change, missing):
    change = {"train_features": None, **change}
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
    environment = {**inputs.environment, "resumptions": resumptions}
    html = page(replace(inputs, environment=environment))

    assert "Resumed after changes: device cpu, now another." in html
    assert html.count("Resumed after changes") == 1
    assert html.count("Batch norm sees more.") == 1


def test_an_early_stop_is_said(inputs):
    html = page(replace(inputs, events=[epoch_event(0)], train_features=None))

    assert "Stopped after 1 of 3 epochs." in html


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
            events=[epoch_event(e) for e in range(1000)],
            query=None,
        ),
    )

    assert path.stat().st_size < 3e6


def test_writing_replaces_an_older_page(tmp_path, inputs):
    plain = replace(inputs, train_features=None)
    (tmp_path / "index.html").write_text("old")

    path = write_page(tmp_path, plain)

    assert path == tmp_path / "index.html"
    assert path.read_text("utf-8").startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir()] == ["index.html"]


@pytest.mark.parametrize("best", [0, 2])
def test_the_map_says_whose_features_it_shows_where_the_best_network_is_not_the_last(inputs, best):
    result = {**inputs.result, "best": score_event(best, 0.6)}
    said = str(feature_maps(replace(inputs, result=result)))
    told = "best test, after epoch 1; the clusters are those of epoch 3" in said
    assert told == (best == 0)
