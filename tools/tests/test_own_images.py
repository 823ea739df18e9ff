"""Commands on images that are the user's own, or not what they should be."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import tools.announce
import tools.reproduce
from common.backbones import build_encoder
from common.recipe import EncoderSettings
from tools.options import default_data_root
from tools.output import RUN_NOTE
from tools.process import INTERRUPTED


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
    settings = ("--set", "encoder.arch=tiny", "--set", "encoder.weights=random")
    settings += ("--set", "sampling.batch_size=16", "--dry-run")
    trained = json.loads(call("train", "hhcl", "--data", mine, *settings, "--json").out)
    checked = json.loads(call("data", "check", mine, "--json").out)

    assert trained["recipe"]["dataset"] == checked["name"] == "market1501-own"
    assert checked["warnings"] == [], "published counts are those of the known set"
    assert checked["published"]["train"] is None


@pytest.mark.parametrize(
    "command", ["train hhcl --data", "data check", "data list --data-root", "table --runs-root"]
)
def test_no_name_of_an_unset_variable_is_not_the_folder_one_is_in(mine, call, command, monkeypatch):
    monkeypatch.chdir(mine)
    done = call(*command.split(), "")
    assert done.code == 2
    assert "empty. Name a folder" in done.err or "unknown data set ''" in done.err
    monkeypatch.setenv("REID_DATA", "")
    assert default_data_root() == Path("data")


def test_a_dry_run_tells_a_program_what_it_tells_a_person(mine, call, monkeypatch):
    monkeypatch.setattr(tools.announce, "disk_room", lambda folder: 10**4)
    settings = ("--set", "encoder.arch=tiny", "--set", "encoder.weights=random")
    settings += ("--set", "sampling.batch_size=16", "--dry-run")
    told = call("train", "hhcl", "--data", mine, *settings).out
    found = json.loads(call("train", "hhcl", "--data", mine, *settings, "--json").out)

    assert found["counts"] == {"train": 16, "query": 0, "gallery": 0, "source": 0}
    assert "market1501-own: checking counts and names\n" in told
    assert f"images      {found['counts']['train']} train" in told
    assert f"cameras     {found['cameras']}" in told
    assert found["cameras"] == "2 (sub-folders)"
    assert len(found["deviations"]) == 2
    assert all(f"differs: {text}" in told for text in found["deviations"])
    assert "\nestimate: " in told
    assert "\nwarning: that is more than the 0.00 GB that are free on the disk" in told
    assert found["free_disk_gb"] == 1e-5
    costs = ("hours", "memory_gb", "free_memory_gb", "disk_gb", "free_disk_gb", "timed_images")
    assert all(found[cost] > 0 for cost in costs)


def test_a_run_that_has_been_announced_is_known_to_the_command_that_started_the_processes(
    mine, tmp_path, call, monkeypatch
):
    def stopped(*given, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(tools.reproduce, "_carry_out", stopped)
    monkeypatch.setenv(RUN_NOTE, str(tmp_path / "note"))
    settings = ("--set", "encoder.arch=tiny", "--set", "encoder.weights=random")
    settings += ("--set", "sampling.batch_size=16", "--runs-root", tmp_path / "runs")
    assert call("train", "hhcl", "--data", mine, *settings).code == INTERRUPTED
    (run,) = (tmp_path / "runs").iterdir()
    assert (tmp_path / "note").read_text() == str(run)


def test_a_weight_file_is_kept_by_its_full_path_so_that_a_run_resumes_from_anywhere(
    mine, call, monkeypatch
):
    torch.save(
        build_encoder(EncoderSettings("tiny", weights="random")).state_dict(),
        mine.parent / "own.pth",
    )
    monkeypatch.chdir(mine.parent)
    settings = ("--weights-init", "own.pth", "--set", "encoder.arch=tiny")
    settings += ("--set", "sampling.batch_size=16", "--dry-run")
    done = call("train", "hhcl", "--data", mine, *settings, "--json")
    assert json.loads(done.out)["recipe"]["encoder"]["weights"] == str(mine.parent / "own.pth")


def test_a_weight_file_that_is_none_is_refused_before_images_are_opened_or_a_folder_is_made(
    mine, call, tmp_path
):
    (mine / "a" / "0.jpg").write_bytes(b"")
    (tmp_path / "own.pth").write_bytes(b"no weights")
    place = ("--weights-init", tmp_path / "own.pth", "--runs-root", tmp_path / "runs")
    fitting = ("--set", "sampling.batch_size=16")
    done = call("train", "hhcl", "--data", mine, *place, *fitting)
    assert done.code == 2
    assert "own.pth" in done.err
    assert "0.jpg" not in done.err
    assert not (tmp_path / "runs").exists()


def test_settings_that_do_not_fit_the_folder_are_refused_before_its_images_are_opened(mine, call):
    (mine / "a" / "0.jpg").write_bytes(b"")
    settings = ("--set", "encoder.arch=tiny", "--set", "encoder.weights=random")
    done = call("train", "hhcl", "--data", mine, *settings)
    assert done.code == 2
    assert "has 16 training images, fewer than a batch of 128" in done.err
    assert "0.jpg" not in done.err
