"""`tools recipes`: settings side by side, differences marked, sources named."""

import json
import re
from dataclasses import dataclass

import pytest

from common.recipe import EncoderSettings, Recipe
from common.recipe_text import override
from methods import METHODS
from tools.lookup import paper_recipe
from tools.recipes import field_notes, overview, settings_of, side_by_side
from tools.recipes_shown import blocks


@dataclass
class Noted:
    """Something.

    Args:
        one: first, in
            two lines: with a colon.
        two, three: both.

    Raises:
        Nothing: at all.
    """


def test_the_overview_holds_every_recipe_of_every_method():
    found = overview()
    assert [m["method"] for m in found] == list(METHODS)
    for method in found:
        runs = [(r["dataset"], r["source"], r["variant"]) for r in method["recipes"]]
        recipes = METHODS[method["method"]].recipes
        assert runs == [(r.dataset, r.source, r.variant) for r in recipes]


@pytest.mark.parametrize("method", METHODS)
def test_every_setting_shown_can_be_set_under_its_name_and_is_explained(method):
    found = side_by_side(method)
    for shown, recipe in zip(found["recipes"], METHODS[method].recipes, strict=True):
        for name, value in shown["settings"].items():
            if isinstance(value, int | float | bool):
                assert override(recipe, {name: str(value).lower()}) == recipe
    names = {name for recipe in found["recipes"] for name in recipe["settings"]}
    unexplained = {name for name in names if not found["meanings"].get(name)}
    within_a_schedule = {n for n in names if n.startswith(("lr_factor.", "clustering.eps."))}
    assert unexplained - within_a_schedule <= {"weight_decay", "epochs", "seed"}  # field's words


def test_settings_that_differ_are_marked_and_no_others(call):
    found = side_by_side("hhcl")
    market, duke = (paper_recipe("hhcl", name) for name in ("market1501", "dukemtmcreid"))
    assert settings_of(market)["clustering.eps.value"] != settings_of(duke)["clustering.eps.value"]
    assert "clustering.eps.value" in found["differs"]
    assert "settings.momentum" not in found["differs"]
    lines = call("recipes", "hhcl").out.splitlines()
    marked = {line.split()[1] for line in lines if line.strip().startswith("* ")}
    assert marked - {"differs"} == set(found["differs"])


def test_the_kind_of_clustering_is_a_row_and_missing_settings_a_dash(call):
    found = side_by_side("clustercontrast", "market1501")
    kinds = {r["variant"]: r["settings"]["clustering"] for r in found["recipes"]}
    assert (kinds[""], kinds["infomap"]) == ("Dbscan", "InfoMap")
    assert "clustering.min_samples" in found["differs"]
    line = next(
        line
        for line in call("recipes", "clustercontrast", "market1501").out.splitlines()
        if "clustering.min_samples" in line
    )
    assert line.split()[1:4] == ["clustering.min_samples", "4", "-"]


def test_sources_of_settings_and_results_are_named(call):
    paper = paper_recipe("hhcl", "msmt17").paper
    text = call("recipes", "hhcl", "msmt17").out
    assert f"settings: {paper.settings}" in text
    assert f"published numbers: {paper.source}" in text


@pytest.mark.parametrize("method", METHODS)
def test_settings_on_drawn_data_are_said_to_be_ours_and_their_last_test_counts(method):
    papers = [r.paper for r in METHODS[method].recipes if r.dataset == "synthetic"]
    assert {(p.settings.partition(",")[0], p.compares) for p in papers} == {("ours", "last")}


def test_one_data_set_is_explained_kind_by_kind_and_several_only_compared(call):
    sentence = "share of the old prototype that is kept"
    assert sentence in call("recipes", "hhcl", "msmt17").out
    assert sentence not in call("recipes", "hhcl").out
    of_k2 = side_by_side("clustercontrast", "market1501")["meanings"]["clustering.k2"]
    assert re.match(r"Dbscan: neighbours of the query .*\. InfoMap: modules of .*\.$", of_k2)
    of_rate = side_by_side("dccc", "market1501")["meanings"]["lr_factor"]
    assert re.match(r"Warmup: Linear from .* StepDecay: `factor` ", of_rate)


def test_json_holds_settings_paper_and_meanings(call):
    found = json.loads(call("recipes", "hhcl", "--json").out)
    market = found["recipes"][0]
    assert (market["dataset"], market["paper"]["map"]) == ("market1501", 84.2)
    assert market["settings"]["clustering.eps.value"] == 0.45
    assert "momentum" in " ".join(found["meanings"])


@pytest.mark.parametrize("width", [40, 80, 160])
def test_no_line_is_wider_than_the_terminal_and_no_recipe_is_lost(call, monkeypatch, width):
    monkeypatch.setattr("tools.layout.PLAIN_WIDTH", max(width, 60))
    text = call("recipes", "clustercontrast").out
    tables = [line for line in text.splitlines() if "─" in line]
    assert max(map(len, tables)) <= max(width, 60)
    rows = [line.split() for line in text.splitlines() if "paper: mAP" in line]
    shown = [cell for row in rows for cell in row[2:]]
    assert len(shown) == len(METHODS["clustercontrast"].recipes)


def test_columns_are_grouped_by_the_room_there_is():
    columns = [["a" * 7], ["b" * 7], ["c" * 17], ["d"]]
    assert blocks(columns, 20) == [columns[:2], [columns[2]], [columns[3]]]
    assert blocks(columns, 5) == [[column] for column in columns]
    assert blocks(columns, 100) == [columns]


def test_notes_are_read_from_the_args_section():
    notes = field_notes(Noted)
    assert notes == {"one": "first, in two lines: with a colon.", "two": "both.", "three": "both."}
    assert field_notes(EncoderSettings)["height"] == field_notes(EncoderSettings)["width"]
    assert "batch norm" in field_notes(Recipe)["bn_chunks"]
