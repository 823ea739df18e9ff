"""`tools data synth`, and the set that a run finds or draws."""

import json

import pytest

from common.errors import UserError
from tools.synth import ensure_synthetic, synth

SMALL = {"ids": 2, "cameras": 2, "workers": 1}


def test_the_facts_are_those_of_the_folder(tmp_path):
    facts = synth(tmp_path, "synthetic", **SMALL)
    folder = tmp_path / "synthetic"
    assert facts["folder"] == str(folder)
    assert facts["images"]["train"] == len(list((folder / "bounding_box_train").iterdir()))
    assert facts["images"]["gallery"] == len(list((folder / "bounding_box_test").iterdir()))
    assert facts["ids"] == {"train": 2, "query": 1, "gallery": 2}
    assert facts["cameras"] == 2
    assert json.dumps(facts)


def test_both_sets_have_their_own_people(tmp_path):
    for name in ("synthetic", "synthetic-b"):
        synth(tmp_path, name, **SMALL)
    images = [
        {path.read_bytes() for path in (tmp_path / name).rglob("*.jpg")}
        for name in ("synthetic", "synthetic-b")
    ]
    assert not images[0] & images[1]


def test_another_folder_can_be_named(tmp_path):
    assert synth(tmp_path, out=tmp_path / "here", **SMALL)["folder"] == str(tmp_path / "here")


def test_an_unknown_name_is_refused(tmp_path):
    with pytest.raises(UserError, match="synthetic-c"):
        synth(tmp_path, "synthetic-c", **SMALL)


def test_a_run_takes_the_complete_set_that_lies_there(tmp_path):
    synth(tmp_path, strength="hard", **SMALL)
    assert ensure_synthetic(tmp_path, "synthetic") == tmp_path / "synthetic"
    record = json.loads((tmp_path / "synthetic" / "synthetic.json").read_text())
    assert record["strength"] == "hard"


def test_a_run_refuses_a_set_of_another_drawing_version(tmp_path):
    synth(tmp_path, **SMALL)
    record = tmp_path / "synthetic" / "synthetic.json"
    record.write_text(record.read_text().replace('"drawing": ', '"drawing": 9'))
    with pytest.raises(UserError, match="drawing"):
        ensure_synthetic(tmp_path, "synthetic")
