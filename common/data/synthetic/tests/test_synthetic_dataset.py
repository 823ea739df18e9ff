"""What lies on disk after a synthetic set was drawn, and when it is drawn at all."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.data.datasets import load_dataset
from common.data.synthetic import SyntheticSettings, version, write_synthetic
from common.data.synthetic.schedule import FOLDERS, all_shots
from common.errors import UserError

NAME = re.compile(r"(\d{4,})_c(\d{1,2})s1_(\d{6})_00\.jpg")
SMALL = {"train_ids": 4, "test_ids": 3, "distractors": 2, "cameras": 3}


def write_small(root: Path, workers: int = 1, progress=None, **changes) -> Path:
    return write_synthetic(root, SyntheticSettings(**{**SMALL, **changes}), workers, progress)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    return write_small(tmp_path_factory.mktemp("data") / "synthetic")


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*.jpg")}


def named(root: Path, folder: str) -> list[tuple[int, int]]:
    """Identity and camera of every file."""
    matches = [NAME.fullmatch(path.name) for path in (root / folder).iterdir()]
    return [(int(match[1]), int(match[2])) for match in matches]


def test_every_file_name_is_identity_camera_and_number(small):
    for folder in FOLDERS:
        assert all(NAME.fullmatch(path.name) for path in (small / folder).iterdir())
    assert not list(small.rglob(".*"))


def test_images_are_small_color_jpegs(small):
    for path in small.rglob("*.jpg"):
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 128))
            image.load()


def test_every_query_has_a_match_in_another_camera(small):
    gallery = named(small, "bounding_box_test")
    for pid, cam in named(small, "query"):
        assert any(other == pid and where != cam for other, where in gallery)


def test_there_is_one_query_per_identity_and_camera(small):
    queries = named(small, "query")
    assert len(queries) == len(set(queries))
    assert {pid for pid, _ in queries} == {4, 5, 6}


def test_training_people_and_test_people_are_different(small):
    train = {pid for pid, _ in named(small, "bounding_box_train")}
    assert train == {0, 1, 2, 3}
    assert not train & {pid for pid, _ in named(small, "bounding_box_test")}


def test_a_distractor_has_one_gallery_image(small):
    gallery = [pid for pid, _ in named(small, "bounding_box_test")]
    assert [gallery.count(pid) for pid in (7, 8)] == [1, 1]


def test_default_counts_are_about_those_of_the_documentation():
    shots = list(all_shots(SyntheticSettings()))
    train, query, gallery = ([s for s in shots if s.folder == f] for f in FOLDERS)
    per_person = np.unique([s.pid for s in train], return_counts=True)[1]
    assert len(per_person) == 100
    assert per_person.min() >= 9
    assert per_person.max() <= 36
    assert len(train) == pytest.approx(2050, rel=0.05)
    assert len(query) == pytest.approx(225, rel=0.1)
    assert len(gallery) == pytest.approx(840, rel=0.1)
    assert [len({s.pid for s in part}) for part in (query, gallery)] == [50, 100]
    assert {s.camera for s in shots} == set(range(6))


def test_two_processes_write_the_same_bytes_as_one(small, tmp_path):
    write_small(tmp_path / "two", workers=2)
    assert contents(tmp_path / "two") == contents(small)


def test_a_process_that_fails_is_told_and_leaves_no_complete_set(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))  # no Python starts like this
    with pytest.raises(RuntimeError, match="ended early"):
        write_small(tmp_path / "synthetic", workers=2)
    assert not (tmp_path / "synthetic" / "synthetic.json").exists()


def test_more_people_leave_the_others_as_they_are(small, tmp_path):
    more = write_small(tmp_path / "more", train_ids=5)
    people = {name: image for name, image in contents(small).items() if "_train" in name}
    assert people.items() <= contents(more).items()


@pytest.mark.parametrize("change", [{"seed": 1}, {"part": "b"}, {"strength": "hard"}])
def test_another_seed_part_or_strength_gives_other_images(small, tmp_path, change):
    other = write_small(tmp_path / "other", **change)
    assert not set(contents(other).values()) & set(contents(small).values())


def test_a_complete_set_is_not_drawn_again(small):
    before = {path: path.stat().st_mtime_ns for path in small.rglob("*")}
    write_small(small, progress=lambda done, total: pytest.fail("drawn again"))
    assert {path: path.stat().st_mtime_ns for path in small.rglob("*")} == before


def test_an_interrupted_set_is_completed(small, tmp_path):
    class Interrupted(Exception):
        pass

    def interrupt(done: int, total: int) -> None:
        raise Interrupted

    root = tmp_path / "synthetic"
    with pytest.raises(Interrupted):
        write_small(root, progress=interrupt)
    assert not (root / "synthetic.json").exists()
    write_small(root)
    assert contents(root) == contents(small)
    assert {path.name for path in root.iterdir()} == {*FOLDERS, "synthetic.json"}


def test_lost_images_are_drawn_again(small, tmp_path):
    root = shutil.copytree(small, tmp_path / "synthetic")
    next((root / "query").iterdir()).unlink()
    write_small(root)
    assert contents(root) == contents(small)


def test_a_set_that_lost_images_is_incomplete_until_it_is_drawn_again(small, tmp_path):
    root = shutil.copytree(small, tmp_path / "synthetic")
    for path in root.rglob("0000_*.jpg"):
        path.unlink()

    with pytest.raises(UserError, match=r"lacks \d+ of its \d+ images(?s:.*)tools data synth"):
        load_dataset("synthetic", tmp_path)
    write_small(root)
    assert load_dataset("synthetic", tmp_path).train.num_ids == SMALL["train_ids"]


def test_a_set_with_other_settings_is_refused_by_name(small):
    before = contents(small)
    with pytest.raises(UserError, match=r"seed 0 instead of 3"):
        write_small(small, seed=3)
    assert contents(small) == before


def test_a_set_of_another_drawing_version_is_refused(small, tmp_path):
    root = shutil.copytree(small, tmp_path / "synthetic")
    record = json.loads((root / "synthetic.json").read_text())
    (root / "synthetic.json").write_text(json.dumps({**record, "drawing": 0}))
    with pytest.raises(UserError, match="drawing 0 instead of"):
        write_small(root)


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds no synthetic set"):
        write_small(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strength": "brutal"}, "brutal"),
        ({"part": "c"}, "'c'"),
        ({"seed": -1}, "seed -1"),
        ({"cameras": 1}, "cameras=1"),
        ({"cameras": 16}, "cameras=16"),
        ({"train_ids": 0}, "0 training"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_written(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        write_small(tmp_path / "synthetic", **change)
    assert not (tmp_path / "synthetic").exists()


def test_any_number_of_people_and_cameras_can_be_planned():
    large = SyntheticSettings(train_ids=1650, test_ids=3000, distractors=5000, cameras=15)
    shots = list(all_shots(large))
    assert sum(s.folder == FOLDERS[0] for s in shots) == pytest.approx(33_000, rel=0.05)
    assert {s.camera for s in shots} == set(range(15))
    assert len({(s.folder, s.name) for s in shots}) == len(shots)

    least = SyntheticSettings(train_ids=1, test_ids=1, distractors=0, cameras=2)
    assert {s.pid for s in all_shots(least)} == {0, 1}


def test_progress_ends_with_all_images(tmp_path):
    seen = []
    write_small(tmp_path / "s", progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] == len(list((tmp_path / "s").rglob("*.jpg")))


def test_the_version_says_how_a_set_differs_from_the_default_one(tmp_path, small):
    assert version(small) == "train_ids 4, test_ids 3, distractors 2, cameras 3"
    write_small(tmp_path / "synthetic", strength="hard", seed=3)
    loaded = load_dataset("synthetic", tmp_path)
    assert loaded.version.startswith("strength hard, seed 3, train_ids 4")
    assert version(tmp_path) == ""  # nothing drawn here
