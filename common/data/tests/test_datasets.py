"""Every layout of every named data set, on made trees; list files have tests of their own."""

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.data.catalogue import DATASETS
from common.data.check import check_dataset
from common.data.datasets import LAYOUTS, fingerprint, load_dataset
from common.data.tests.made import make_market1501, names, write
from common.errors import UserError

MARKET = ("bounding_box_train", "query", "bounding_box_test")
FORMS = {  # name: (parts, form of the file names, a camera of the set)
    "market1501": (MARKET, "{pid:04d}_c{cam}s1_000451_{n:02d}.jpg", (1, 6)),
    "dukemtmcreid": (MARKET, "{pid:04d}_c{cam}_f00{n:05d}.jpg", (1, 8)),
    "personx": (MARKET, "{pid:04d}_c{cam}s07_{n:05d}.jpg", (3, 12)),
    "veri": (
        ("image_train", "image_query", "image_test"),
        "{pid:04d}_c{cam:03d}_{n:08d}_0.jpg",
        (1, 20),
    ),
    "synthetic": (MARKET, "{pid}_c{cam}s1_{n}_00.jpg", (1, 2)),
}
STORED = {"personx": (0, 5), "veri": (0, 19), "dukemtmcreid": (0, 7)}


def write_market_like(folder: Path, name: str) -> None:
    parts, form, cams = FORMS[name]
    ids = {parts[0]: (7, 3, 12), parts[1]: (5, 20), parts[2]: (5, 20)}
    for part in parts:
        write(folder / part, [form.format(pid=p, cam=c, n=1) for p in ids[part] for c in cams])


@pytest.mark.parametrize(
    ("name", "folder"),
    [(name, folder) for name in FORMS for folder in DATASETS[name].folders],
)
def test_every_folder_a_set_may_lie_in_is_found(tmp_path, name, folder):
    write_market_like(tmp_path / folder, name)

    dataset = load_dataset(name, tmp_path)

    assert dataset.root == str(tmp_path / folder)
    assert dataset.train.pids.tolist() == [0, 0, 1, 1, 2, 2] or name == "synthetic"
    assert dataset.query.num_ids == dataset.gallery.num_ids == 2
    assert sorted(set(dataset.gallery.pids)) == [5, 20], "test identities stay as they are"
    assert sorted(set(dataset.train.cams)) == list(STORED.get(name, (0, FORMS[name][2][1] - 1)))


def test_the_folders_that_the_released_codes_name_are_among_those_looked_for():
    named = {
        "market1501": ["market1501/Market-1501-v15.09.15"],
        "dukemtmcreid": [
            "dukemtmcreid/DukeMTMC-reID",
            "dukemtmcreid/DukeMTMC",
            "duke/DukeMTMC-reID",
            "duke/DukeMTMC",
            "dukemtmc/DukeMTMC-reID",
        ],
        "msmt17": ["msmt17/MSMT17_V1", "msmt17/MSMT17_V2", "msmt17"],
        "personx": ["personx/PersonX", "personx/subset1"],
        "veri": ["veri/VeRi", "veri/VeRi_with_plate"],
        "vehicleid": ["vehicleid/VehicleID", "vehicleid/VehicleID_V1.0"],
        "vehiclex": ["vehiclex/AIC20_ReID_Simulation"],
        "celebreid": ["celebreid/CelebReID"],
        "synthetic-b": ["synthetic-b"],
    }
    for name, folders in named.items():
        assert set(folders) <= set(DATASETS[name].folders)


def test_every_described_set_can_be_read():
    assert list(DATASETS) == list(LAYOUTS)


def test_samples_are_sorted_as_plain_strings_and_not_by_number(tmp_path):
    folder = tmp_path / "synthetic"
    for part in MARKET:
        write(folder / part, ["10_c1s1_1_00.jpg", "9_c1s1_1_00.jpg", "9_c1s1_10_00.jpg"])

    train = load_dataset("synthetic", tmp_path).train

    assert names(train) == ["10_c1s1_1_00.jpg", "9_c1s1_10_00.jpg", "9_c1s1_1_00.jpg"]
    assert train.pids.tolist() == [1, 0, 0], "identities ascend by number all the same"


def test_folder_names_that_look_like_identities_are_not_read(tmp_path):
    root = tmp_path / "run1_c2"
    write_market_like(root / "market1501", "market1501")

    assert load_dataset("market1501", root).query.pids.tolist() == [5, 5, 20, 20]


def test_junk_is_dropped_everywhere_and_distractors_stay(tmp_path):
    folder = tmp_path / "market1501"
    write_market_like(folder, "market1501")
    for part in MARKET:
        write(folder / part, ["-1_c3s1_000001_00.jpg"])
    write(folder / "bounding_box_test", ["0000_c3s1_000001_00.jpg"])

    dataset = load_dataset("market1501", tmp_path)

    assert (len(dataset.train), len(dataset.query), len(dataset.gallery)) == (6, 4, 5)
    assert dataset.gallery.pids[0] == 0


def test_upper_case_endings_hidden_files_folders_and_others_are_ignored(
    tmp_path,
):
    folder = tmp_path / "market1501"
    write_market_like(folder, "market1501")
    write(folder / "query", ["0005_c2s1_000001_00.JPG", "._0005_c2s1_000001_00.jpg", "Thumbs.db"])
    (folder / "query/0005_c2s1_000002_00.jpg").mkdir()

    assert len(load_dataset("market1501", tmp_path).query) == 4


def test_vehiclex_has_a_training_part_only(tmp_path):
    write(
        tmp_path / "vehiclex/AIC20_ReID_Simulation/image_train",
        ["0001_c006_1.jpg", "1362_c036_9.jpg"],
    )

    dataset = load_dataset("vehiclex", tmp_path)

    assert not dataset.has_test
    assert len(dataset.query) == 0
    assert dataset.train.cams.tolist() == [0, 30]
    assert dataset.cam_names == tuple(map(str, range(6, 37)))


@pytest.mark.parametrize(
    ("folder", "version"), [("MSMT17_V1", "V1"), ("MSMT17_V2", "V2"), ("", "unknown")]
)
def test_msmt17_converted_layout_is_read(tmp_path, folder, version):
    for part in MARKET:
        write(tmp_path / "msmt17" / folder / part, ["0000_c15_0001.jpg", "1040_c1_0001.jpg"])

    dataset = load_dataset("msmt17", tmp_path)

    assert dataset.version == version
    assert dataset.train.cams.tolist() == [14, 0]


def test_celebreid_cameras_are_the_leading_digit_of_the_image_number_or_unique(tmp_path):
    folder = tmp_path / "celebreid" / "CelebReID"
    numbers = (1, 2, 10, 19, 100, 23, 9)
    for part in ("train", "query", "gallery"):
        write(folder / part, [f"4_{number}_0.jpg" for number in numbers])
        write(folder / part, ["-1_3_0.jpg"])  # junk

    by_digit = load_dataset("celebreid", tmp_path)
    unique = load_dataset("celebreid-unique", tmp_path)

    stored = dict(zip(names(by_digit.query), by_digit.query.cams.tolist(), strict=True))
    assert len(stored) == len(numbers)
    assert [stored[f"4_{number}_0.jpg"] for number in numbers] == [0, 1, 0, 0, 0, 1, 8]
    everyone = np.concatenate([unique.train.cams, unique.query.cams, unique.gallery.cams])
    assert sorted(everyone) == list(range(21))
    assert by_digit.camera_rule != unique.camera_rule
    assert (by_digit.cam_names[8], unique.cam_names) == ("9", ())


@pytest.mark.parametrize("bad", ["4_x_0.jpg", "4_0_0.jpg", "-2_1_0.jpg"])
def test_celebreid_refuses_names_without_identity_or_image_number(tmp_path, bad):
    for part in ("train", "query", "gallery"):
        write(tmp_path / "celebreid" / part, ["4_1_0.jpg", bad])

    with pytest.raises(UserError, match=f"gallery/{bad}"):
        load_dataset("celebreid", tmp_path)


def test_a_missing_set_says_where_it_was_looked_for_and_what_a_right_one_holds(tmp_path):
    with pytest.raises(UserError) as error:
        load_dataset("market1501", tmp_path / "nowhere")

    text = str(error.value)
    folders = DATASETS["market1501"].folders
    for part in (*folders, *MARKET, str(tmp_path / "nowhere"), "--data-root"):
        assert part in text


def test_an_incomplete_set_names_all_missing_parts_at_once(tmp_path):
    write(tmp_path / "market1501/Market-1501-v15.09.15/query", ["0002_c1s1_000451_03.jpg"])

    with pytest.raises(UserError, match=r"lacks bounding_box_train/, bounding_box_test/"):
        load_dataset("market1501", tmp_path)


def test_an_empty_part_is_an_error(tmp_path):
    write_market_like(tmp_path / "market1501", "market1501")
    for image in (tmp_path / "market1501/query").iterdir():
        image.unlink()

    with pytest.raises(UserError, match=r"no images .* in query"):
        load_dataset("market1501", tmp_path)


def test_dukemtmc_is_not_offered_and_the_reason_is_given(tmp_path):
    with pytest.raises(UserError, match="withdrawn by its authors"):
        load_dataset("dukemtmcreid", tmp_path)


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(UserError, match="Did you mean 'market1501'"):
        load_dataset("makret1501", tmp_path)


def test_a_relative_root_with_spaces_and_foreign_letters_gives_absolute_names(
    tmp_path, monkeypatch
):
    write_market_like(tmp_path / "meine Daten ü東" / "market1501", "market1501")
    monkeypatch.chdir(tmp_path)

    dataset = load_dataset("market1501", Path("meine Daten ü東"))

    assert all(Path(path).is_absolute() and Path(path).is_file() for path in dataset.train.paths)
    assert len(fingerprint(dataset)) == 16


def test_the_fingerprint_sees_sizes_and_names_but_not_the_place(tmp_path):
    for place in ("a", "b"):
        write_market_like(tmp_path / place / "market1501", "market1501")
    a, b = (load_dataset("market1501", tmp_path / place) for place in ("a", "b"))
    assert fingerprint(a) == fingerprint(b)

    Path(b.query.paths[0]).write_bytes(b"x")
    assert fingerprint(a) != fingerprint(b)
    Path(b.query.paths[0]).write_bytes(b"")
    write(tmp_path / "b/market1501/query", ["0005_c2s1_000451_99.jpg"])
    assert fingerprint(a) != fingerprint(load_dataset("market1501", tmp_path / "b"))


def test_a_tree_with_the_published_counts_of_market1501_is_sound_and_read_fast(tmp_path):
    jpeg = io.BytesIO()
    Image.new("RGB", (8, 16), "white").save(jpeg, "JPEG")
    folder = make_market1501(tmp_path, jpeg.getvalue())

    start = time.process_time()
    dataset = load_dataset("market1501", tmp_path)
    seconds = time.process_time() - start
    report = check_dataset(dataset, read_images=())

    assert len(list((folder / "bounding_box_test").iterdir())) == 15_913 + 3_819
    assert (len(dataset.train), len(dataset.query), len(dataset.gallery)) == (12_936, 3_368, 15_913)
    assert (dataset.train.num_ids, dataset.query.num_ids, dataset.gallery.num_ids) == (
        751,
        750,
        751,
    )
    assert report.cameras == 6
    assert report.errors == report.warnings == report.notes == []
    assert seconds < 2, "names only: a fraction of a second of a processor"
