"""Which networks of a run are compiled, and which images it begins with."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from common.clustering import infomap
from common.data.datasets import load_folder
from common.errors import UserError
from common.optimizer import make_optimizer
from common.recipe_text import override, parse_changes
from common.streams import Streams
from common.team import ALONE, Team
from methods import METHODS
from methods.build import build_method
from methods.small_runs import small_data, small_recipe
from tools import assemble
from tools.options import RunOptions
from tools.origin import Origin
from tools.synth import synth


@pytest.fixture
def built(monkeypatch):
    """Build a method as on a machine where compiling pays; what was asked and reset is kept."""
    asked, resets = [], []

    def compiles(precision, device, steps):
        asked.append(steps)
        return precision == "fast"

    monkeypatch.setattr("methods.build.compiles", compiles)
    monkeypatch.setattr(torch.compiler, "reset", lambda: resets.append(len(asked)))

    def build(name, precision):
        recipe = next(r for r in METHODS[name].recipes if r.dataset == "synthetic")
        recipe = replace(small_recipe(recipe), precision=precision)
        dataset = small_data().dataset
        return build_method(recipe, dataset, None, Team(), Streams(1)), recipe

    build.asked, build.resets = asked, resets
    return build


def test_a_fast_run_compiles_student_and_teacher_for_the_steps_of_its_recipe(built):
    method, recipe = built("dccc", "fast")
    assert all(encoder.compiled for encoder in method.evaluated().values())
    assert built.asked == [recipe.epochs * recipe.sampling.iterations]


def test_an_exact_run_compiles_nothing(built):
    method, _ = built("hhcl", "exact")
    assert not method.encoder.compiled
    assert built.resets == []


def test_adam_is_fused_in_a_fast_run_and_of_torch_s_choice_in_an_exact_one(built):
    forms = [make_optimizer(built("hhcl", precision)[0]) for precision in ("fast", "exact")]
    assert [form.defaults["fused"] for form in forms] == [True, None]


def test_every_compiled_run_drops_the_graphs_of_the_one_before(built):
    for _ in range(2):
        built("hhcl", "fast")
    assert built.resets == [1, 2]


@pytest.mark.parametrize(
    ("method", "change", "said"),
    [
        ("spcl", "clustering=InfoMap()", "spcl cannot cluster by InfoMap. Choose Dbscan"),
        ("hhcl", "sampling.instances=5", "16 is not a multiple of sampling.instances=5"),
        ("hhcl", "sampling.batch_size=100", "has 96 training images, fewer than a batch of 100"),
        ("hhcl", "clustering.min_samples=97", "min_samples asks for clusters of 97 images at"),
        ("hhcl", "clustering=InfoMap(k2=96)", "k2 asks for clusters of 97 images at least"),
        ("hhcl", "supervised=true", "96 of the 96 .* no identity.* in labels.csv, or leave"),
        ("hhcl", "bn_chunks=16", "16 images in 16 chunks leaves a chunk of one image"),
        ("hhcl", "settings.memory=CMhybrid_v2 + sampling.instances=0", "stores sampling.instances"),
        ("spcl", "clustering.eps=0.3 + settings.eps_gap=0.3", "radii 0, 0.3 and 0.6 in epoch 1"),
        ("spcl", "clustering.eps=0.75 + settings.eps_gap=0.25", "radii 0.5, 0.75 and 1 in epoch 1"),
        ("hdcpd from synthetic-b", "settings.memory=clusters", "would not see synthetic-b"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_before_the_run(method, change, said, monkeypatch):
    monkeypatch.setattr(infomap, "Infomap", object)  # so that it is not missed where it is missing
    method, _, source = method.partition(" from ")
    recipe = small_recipe(METHODS[method].find("synthetic", source))
    dataset = small_data().dataset
    unlabelled = replace(dataset.train, pids=np.full(len(dataset.train), -1))
    dataset = replace(dataset, train=unlabelled)
    assemble.require_consistent(recipe, dataset, None, ALONE)
    changed = override(recipe, parse_changes(change.split(" + ")))
    with pytest.raises(UserError, match=said):
        assemble.require_consistent(changed, dataset, None, ALONE)


def test_a_test_part_alone_is_refused_for_training_with_what_names_training_images():
    recipe = small_recipe(METHODS["hhcl"].find("synthetic"))
    dataset = small_data().dataset
    tested = replace(dataset, train=dataset.train.take(slice(0)))
    with pytest.raises(UserError, match=r"no training images.* labels\.csv names them"):
        assemble.require_consistent(recipe, tested, None, ALONE)


@pytest.mark.parametrize(
    ("package", "change", "said"),
    [
        ("infomap.Infomap", "clustering=InfoMap()", r'pip install "unreid\[infomap\]"'),
        ("approximate.Kmeans", "clustering.search=Approximate()", "pip install faiss-cpu"),
    ],
)
def test_a_package_that_clustering_lacks_is_named_before_the_run(
    package, change, said, monkeypatch
):
    recipe = small_recipe(METHODS["clustercontrast"].find("synthetic"))
    changed = override(recipe, parse_changes([change]))
    dataset = small_data().dataset
    monkeypatch.setattr(f"common.clustering.{package}", object())
    assemble.require_consistent(changed, dataset, None, ALONE)
    monkeypatch.setattr(f"common.clustering.{package}", None)
    with pytest.raises(UserError, match=said):
        assemble.require_consistent(changed, dataset, None, ALONE)


def test_processes_that_a_batch_cannot_be_shared_among_are_refused_before_the_run():
    recipe = small_recipe(METHODS["hhcl"].find("synthetic"))
    with pytest.raises(UserError, match="16 is not a multiple of the number of processes, 3"):
        assemble.require_consistent(recipe, small_data().dataset, None, Team(size=3))


def test_identities_too_few_for_a_batch_are_refused_before_the_run():
    recipe = small_recipe(METHODS["spcl"].find("synthetic", "synthetic-b"))
    target, source = small_data().dataset, small_data().dataset
    assemble.require_consistent(recipe, target, source, ALONE)
    small = replace(source, name="tiny", train=source.train.take(np.arange(3 * 8)))
    with pytest.raises(UserError, match="of tiny fill 12 of the 16 source images of a batch"):
        assemble.require_consistent(recipe, target, small, ALONE)
    assemble.require_consistent(recipe, small, source, ALONE)
    supervised = replace(recipe, supervised=True)
    assemble.require_consistent(supervised, target, source, ALONE)
    with pytest.raises(UserError, match="of tiny fill 12 of the 16 target images of a batch"):
        assemble.require_consistent(supervised, small, source, ALONE)


def test_a_set_is_said_to_be_drawn_only_where_it_is(tmp_path, monkeypatch):
    def small(root, name, progress):
        synth(root, name, ids=2, cameras=2, workers=1, progress=progress)

    monkeypatch.setattr(assemble, "ensure_synthetic", small)
    options, events = RunOptions(data_root=tmp_path), []
    for _ in range(2):
        assemble.find_dataset("synthetic", options, ALONE, events.append)
    said = [event["text"] for event in events if event["event"] == "stage"]
    assert said == ["synthetic: drawing the data set"]


@pytest.fixture
def without(tmp_path):
    """`without("c")`: a checked data set in which image c.jpg is empty, and the warnings."""
    (tmp_path / "labels.csv").write_text(
        "image,id,cam,split\na.jpg,1,1,train\nb.jpg,1,2,train\n"
        "c.jpg,1,1,query\nd.jpg,2,1,query\ne.jpg,1,2,gallery\nf.jpg,2,1,gallery\n"
    )

    def check(*bad, strict=False):
        for name in "abcdef":
            Image.new("RGB", (8, 16)).save(tmp_path / f"{name}.jpg")
        for name in bad:
            (tmp_path / f"{name}.jpg").write_bytes(b"")
        events = []
        found = assemble.Found(load_folder(tmp_path), Origin("", str(tmp_path)))
        options = RunOptions(skip_bad_images=True, strict=strict, workers=0)
        left = assemble.checked(found, options, ALONE, events.append)
        return left, [event["text"] for event in events if event["event"] == "warning"]

    return check


def test_images_that_are_left_out_are_counted_and_warnings_are_about_the_rest(without):
    _, (unmatched,) = without()
    with pytest.raises(UserError, match="1 of 2 query identities"):
        without(strict=True)
    left, (counted,) = without("a", "d")

    assert "1 of 2 query identities" in unmatched
    assert "2 images" in counted
    assert (len(left.dataset.train), len(left.dataset.query), len(left.dropped)) == (1, 1, 2)


@pytest.mark.parametrize("image", ["c", "e"])
def test_a_test_that_becomes_hopeless_without_its_bad_images_is_refused(without, image):
    with pytest.raises(UserError, match="cannot be tested"):
        without(image)
