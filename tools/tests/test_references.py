"""Reference rows beside a run on drawn data: measured now, or recorded on the same images."""

import json
from dataclasses import replace

import pytest

from common.data.datasets import fingerprint, load_dataset
from methods.hhcl.recipes import SYNTHETIC, SYNTHETIC_SUPERVISED
from tools import references as module
from tools.references import references
from tools.synth import synth


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    synth(root, "synthetic", ids=8, workers=1)
    return load_dataset("synthetic", root)


def named(rows):
    return {row["name"]: row for row in rows}


def test_chance_is_low_and_the_hand_made_descriptor_is_above_it(dataset):
    rows = named(references(dataset, SYNTHETIC, lambda event: None))
    assert set(rows) == {"chance", "best hand-made descriptor"}
    assert rows["chance"]["map"] < rows["best hand-made descriptor"]["map"] <= 1


def test_a_recorded_run_is_shown_for_the_images_it_was_made_on(dataset, tmp_path, monkeypatch):
    record = {"fingerprint": fingerprint(dataset), "last": {"map": 0.5, "rank1": 0.75}}
    (tmp_path / "hhcl-synthetic-supervised.json").write_text(json.dumps(record))
    monkeypatch.setattr(module, "RECORDED", tmp_path)
    shown = named(references(dataset, SYNTHETIC, lambda event: None))["supervised (recorded)"]
    assert (shown["map"], shown["rank1"]) == (0.5, 0.75)
    own = references(dataset, SYNTHETIC_SUPERVISED, lambda event: None)
    assert "supervised (recorded)" not in named(own)


def test_real_data_sets_have_no_such_rows(dataset):
    assert references(replace(dataset, name="market1501"), SYNTHETIC, lambda event: None) == []


def test_the_shipped_record_is_a_run_s_own():
    record = json.loads((module.RECORDED / "hhcl-synthetic-supervised.json").read_text())
    assert record["variant"] == "supervised"
    assert 0 < record["start"]["map"] < record["last"]["map"] < 1


@pytest.mark.slow
def test_the_recorded_run_was_made_on_the_images_that_are_drawn_now(tmp_path):
    synth(tmp_path)
    drawn = load_dataset("synthetic", tmp_path)
    assert "supervised (recorded)" in named(references(drawn, SYNTHETIC, lambda event: None))
