"""What a run records about itself."""

import os
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch

import tools.environment
from common.progress import Progress
from common.recipe import DESCRIPTION, Dbscan, InfoMap
from common.recipe_text import flatten
from common.run import RunDir
from common.schedules import LogEps, Warmup
from common.team import Team
from common.types import Dataset, Samples
from tools.assemble import Found
from tools.environment import (
    changed_surroundings,
    commit,
    deviations,
    environment,
    surroundings,
)
from tools.layout import MISSING
from tools.lookup import paper_recipe
from tools.options import RunOptions
from tools.origin import Origin
from tools.reproduce import result_of


def found(cams=(0, 1)):
    paths = np.array([f"/crops/{i}.jpg" for i in range(len(cams))], object)
    train = Samples(paths, np.zeros(len(cams), int), np.array(cams))
    none = train.take(slice(0))
    dataset = Dataset("crops", "/crops", train, none, none)
    return Found(dataset, Origin("", "/crops"))


def recorded(recipe, size=1, cams=(0, 1)):
    return environment(recipe, recipe, found(cams), None, RunOptions(), Team(size=size))


@pytest.fixture
def market():
    return replace(paper_recipe("hhcl", "market1501"), bn_chunks=4)


@pytest.mark.parametrize(("processes", "groups"), [(1, 4), (2, 4), (3, 3), (8, 8)])
def test_the_batch_norm_groups_are_those_of_all_processes(market, processes, groups):
    record = recorded(market, processes)
    assert record["bn_chunks"] == groups
    seen = f"batch norm sees {256 / groups:g} images at a time, 64 in the recipe"
    assert (seen in " ".join(record["deviations"])) == (groups != 4)


def test_whether_the_network_was_compiled_is_recorded(market, monkeypatch):
    monkeypatch.setattr("common.arithmetic.can_compile", lambda device: True)
    assert not recorded(market)["compiled"]
    assert recorded(replace(market, precision="fast"))["compiled"]
    short = replace(market, precision="fast", epochs=1)
    assert not surroundings(short, images=2, team=Team())["compiled"]


def test_a_gpu_s_machine_that_cannot_compile_a_fast_run_is_told(market, monkeypatch):
    monkeypatch.setattr("tools.environment.has_fast_bfloat16", lambda device: True)
    gpu, fast = Team(device=torch.device("cuda")), replace(market, precision="fast")
    for missing, told in ([], False), (["gcc or clang"], True):
        monkeypatch.setattr("tools.environment.missing_for_compiling", lambda m=missing: m)
        said = "precision fast: long runs are not compiled here, for want of gcc or clang"
        assert (said in " ".join(deviations(fast, market, gpu))) == told
        assert said not in " ".join(deviations(fast, market, Team()))
        assert said not in " ".join(deviations(market, market, gpu))


def test_groups_that_do_not_divide_are_told_with_what_batch_norm_sees(market):
    recipe = replace(market, sampling=replace(market.sampling, batch_size=240))
    said = " ".join(deviations(recipe, recipe, Team(size=3)))
    assert "bn_chunks=4 is not divisible by 3 processes" in said
    assert "sees 80 images at a time, 60 in the recipe; this can change" in said


def test_a_result_holds_every_setting_under_the_name_that_changes_it(market, tmp_path):
    RunDir(tmp_path).write_json("environment.json", recorded(market))
    found = result_of(market, RunDir(tmp_path), Progress(), [])["settings"]
    names = [name for name in flatten(market) if name.split(".")[0] not in DESCRIPTION]
    assert set(names) <= set(found)
    assert (found["clustering.eps"], found["clustering.eps.value"]) == ("Constant", 0.45)


def test_versions_of_what_decides_results_are_recorded(market):
    wanted = "python torch torchvision numpy scipy scikit-learn numba Pillow"
    assert set(wanted.split()) <= recorded(market)["versions"].keys()


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
def test_the_commit_is_a_short_hash_with_a_plus_for_changes_and_nothing_outside_a_checkout(
    tmp_path, monkeypatch
):
    def git(*arguments):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    code = tmp_path / "environment.py"
    code.touch()
    monkeypatch.setattr(tools.environment, "__file__", str(code))
    assert commit() == ""
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    git("tag", "-a", "v1", "-m", "a release")
    first = git("rev-parse", "--short", "HEAD")
    assert commit() == first
    code.write_text("changed")
    assert commit() == f"{first}+"


def test_another_version_and_a_package_that_came_or_went_are_each_told_once():
    then = {"versions": {"torch": "2.4", "numba": "0.62"}, "device": "cpu"}
    now = {"versions": {"torch": "2.5", "infomap": "2.16"}, "device": "cpu"}
    told = ["torch 2.4, now 2.5", f"infomap {MISSING}, now 2.16", f"numba 0.62, now {MISSING}"]
    assert changed_surroundings(then, now) == told


def test_another_kind_with_the_same_numbers_is_told_as_a_change(market):
    base = replace(market, lr_factor=Warmup(epochs=60, start=0.1))
    recipe = replace(market, lr_factor=LogEps(start=0.1, epochs=60), clustering=InfoMap())
    told = deviations(recipe, base, Team())[-1]
    assert "clustering=InfoMap" in told
    assert "lr_factor=LogEps" in told


@pytest.mark.parametrize(
    ("changes", "sampler"),
    [({}, True), ({"cameras": False}, False), ({"instances": 0}, False), ({"instances": 1}, False)],
)
@pytest.mark.parametrize("centered", [True, False])
def test_every_use_of_cameras_is_recorded(market, changes, sampler, centered):
    recipe = replace(
        market,
        sampling=replace(market.sampling, **changes),
        clustering=Dbscan(center_cameras=centered),
    )
    rule = found().dataset.camera_rule
    wanted = {"sampler": sampler, "clustering": centered, "loss": False, "rule": rule}
    assert recorded(recipe)["cameras"] == wanted
    alone = recorded(recipe, cams=(0, 0))["cameras"]
    assert (alone["sampler"], alone["clustering"]) == (False, False)
    assert not recorded(replace(recipe, supervised=True))["cameras"]["clustering"]


@pytest.mark.parametrize(("version", "told"), [("V1", 0), ("V2", 1), ("unknown", 1)])
def test_another_release_than_the_papers_is_told(market, version, told):
    masked = Found(replace(found().dataset, name="msmt17", version=version), Origin("", "/crops"))
    said = [f"msmt17 is of version {version}, the published numbers are on V1."] * told
    for domains in ((masked, None), (found(), masked)):
        there = environment(market, market, *domains, RunOptions(), Team())["deviations"]
        assert [text for text in there if "of version" in text] == said


def test_images_left_out_and_counts_that_are_not_the_published_ones_are_recorded(market):
    part = replace(found(), dataset=replace(found().dataset, name="market1501"), dropped=("a.jpg",))
    for domains in ((part, None), (found(), part)):
        record = environment(market, market, *domains, RunOptions(), Team())
        there = [record[which]["name"] for which in ("dataset", "source") if record[which]]
        assert there == [domain.dataset.name for domain in domains if domain]
        said = record["deviations"]
        assert "left out: 1 image of market1501 that cannot be used." in said
        assert "market1501: 2 train images, published are 12,936." in said
    assert not recorded(market)["deviations"]
