"""The labelled source of a two-domain run is checked like the target."""

import json

import pytest

from tools.synth import SYNTHETIC_SETS, synth


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Both domains with an empty image in the source, and that image."""
    root = tmp_path_factory.mktemp("data")
    for name in SYNTHETIC_SETS:
        synth(root, name, strength="easy", ids=12, cameras=4, workers=1)
    image = min((root / "synthetic-b" / "bounding_box_train").glob("*.jpg"))
    image.write_bytes(b"")
    return root, image


@pytest.fixture
def adapted(call, drawn, tmp_path, one_step):
    """A run with an empty image in its source, that image, and the folder for its runs."""
    root, image = drawn
    runs = tmp_path / "runs"

    def run(*arguments):
        place = ("--data-root", root, "--runs-root", runs, "--workers", "0", "--no-report")
        changed = [change.replace("eps=0.5", "eps=0.3") for change in one_step]
        changes = [part for change in changed for part in ("--set", change)]
        source = ("--source", "synthetic-b")
        return call("reproduce", "spcl", "synthetic", *source, *place, *changes, *arguments)

    return run, image, runs


def test_a_bad_image_of_the_source_is_found_before_anything_is_written(adapted):
    run, image, runs = adapted
    done = run()
    assert done.code == 2
    assert str(image) in done.err
    assert not runs.exists()


def test_bad_images_of_the_source_are_left_out_and_recorded(adapted):
    run, image, _ = adapted
    done = run("--skip-bad-images", "--json")
    assert done.code == 0, done.err
    source = json.loads(done.out)["environment"]["source"]
    assert source["dropped"] == [str(image)]
    images = list(image.parent.glob("*.jpg"))
    assert source["train"]["images"] == len(images) - 1
    assert "left out: 1 image of synthetic-b that cannot be used." in done.err


def test_the_announcement_counts_the_images_of_the_source(adapted):
    run, image, _ = adapted
    images = list(image.parent.glob("*.jpg"))
    assert f"{len(images):,} source" in run("--dry-run").out
