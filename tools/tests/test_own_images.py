"""Commands on images that are the user's own, or not what they should be."""

import json

import pytest
from PIL import Image

from tools.synth import synth


@pytest.fixture
def mine(tmp_path):
    """16 images of two cameras in a folder that is named like a data set."""
    folder = tmp_path / "market1501"
    for camera in "ab":
        (folder / camera).mkdir(parents=True)
        for number in range(8):
            Image.new("RGB", (8, 16), "white").save(folder / camera / f"{number}.jpg")
    return folder


def test_a_folder_named_like_a_data_set_is_not_taken_for_it(mine, call):
    settings = ("--set", "encoder.weights=random", "--set", "sampling.batch_size=16")
    settings += ("--set", "sampling.instances=4", "--dry-run")
    trained = json.loads(call("train", "hhcl", "--data", mine, *settings, "--json").out)
    checked = json.loads(call("data", "check", mine, "--json").out)

    assert trained["recipe"]["dataset"] == checked["name"] == "market1501-own"
    assert checked["warnings"] == [], "published counts are those of the known set"
    assert checked["published"]["train"] is None


def test_images_of_the_source_domain_are_checked_before_training(tmp_path, call):
    for name in ("synthetic", "synthetic-b"):
        synth(tmp_path, name, ids=2, cameras=2, workers=1)
    bad = next((tmp_path / "synthetic-b").rglob("bounding_box_train/*.jpg"))
    bad.write_bytes(b"")
    changes = ("sampling.batch_size=8", "sampling.instances=4", "encoder.weights=random")
    settings = [part for change in changes for part in ("--set", change)]

    place = ("--data-root", tmp_path, "--runs-root", tmp_path / "runs")
    done = call("reproduce", "spcl", "synthetic", "--source", "synthetic-b", *place, *settings)

    assert done.code == 2
    assert f"{bad}: empty file" in done.err
    assert not (tmp_path / "runs").exists()
