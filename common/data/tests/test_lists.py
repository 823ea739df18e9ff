"""The list files of MSMT17 and VehicleID, on made trees: what they say, and what is refused."""

import os
from pathlib import Path

import pytest

from common.data import msmt17
from common.data.datasets import load_dataset
from common.data.market_layout import MARKET_PARTS
from common.data.tests.made import names, write
from common.errors import UserError


def write_lists(folder: Path, train="train", test="test") -> None:
    people = {
        "list_train.txt": [
            "0000/0000_000_01_0303morning_0015_0.jpg 0",
            "0001/0001_000_15_x_1_0.jpg 1",
        ],
        "list_val.txt": ["0000/0000_001_05_0303noon_0001_0.jpg 0"],
        "list_query.txt": ["0000/0000_000_02_0303morning_0015_0.jpg 9"],
        "list_gallery.txt": ["0000/0000_001_03_x_0_0.jpg 0", "0002/0002_001_12_x_0_0.jpg 2"],
    }
    for file, lines in people.items():
        part = train if file in ("list_train.txt", "list_val.txt") else test
        write(folder / part, [line.split()[0] for line in lines])
        (folder / file).write_text("".join(f"{line}\n" for line in lines))


def write_vehicleid(folder: Path, sizes=(800, 1600, 2400)) -> None:
    write(folder / "image", [f"{n:07d}.jpg" for n in range(9)])
    lists = folder / "train_test_split"
    lists.mkdir(parents=True)
    (lists / "train_list.txt").write_text("0000003 50\n0000001 9\n0000002 50\n")
    for size in sizes:
        (lists / f"test_list_{size}.txt").write_text(f"0000007 {size}\n0000006 {size}\n0000008 4\n")


@pytest.mark.parametrize(
    ("version", "folders"), [("V1", ("train", "test")), ("V2", ("mask_train_v2", "mask_test_v2"))]
)
def test_msmt17_list_layout_is_read_in_both_versions(tmp_path, version, folders):
    write_lists(tmp_path / "msmt17" / f"MSMT17_{version}", *folders)

    dataset = load_dataset("msmt17", tmp_path)

    assert dataset.version == version
    assert dataset.train.pids.tolist() == [0, 0, 1], "lists for training and validation together"
    assert dataset.train.cams.tolist() == [0, 4, 14]
    assert [dataset.cam_names[cam] for cam in (0, 4, 14)] == ["1", "5", "15"]
    assert dataset.train.paths[0].endswith(f"{folders[0]}/0000/0000_000_01_0303morning_0015_0.jpg")
    assert dataset.query.pids.tolist() == [0], "from the file name, not from the list"
    assert dataset.gallery.pids.tolist() == [0, 2]


def test_msmt17_prefers_the_lists_where_both_layouts_are_there(tmp_path):
    folder = tmp_path / "msmt17" / "MSMT17_V1"
    write_lists(folder)
    for part in MARKET_PARTS:
        write(folder / part, ["0000_c15_0001.jpg"])

    assert len(load_dataset("msmt17", tmp_path).train) == 3


def test_msmt17_without_listed_images_names_all_of_them(tmp_path):
    folder = tmp_path / "msmt17" / "MSMT17_V1"
    write_lists(folder)
    gone = ["train/0001/0001_000_15_x_1_0.jpg", "test/0002/0002_001_12_x_0_0.jpg"]
    for image in gone:
        (folder / image).unlink()

    with pytest.raises(UserError, match="2 lines of its lists cannot be used") as error:
        load_dataset("msmt17", tmp_path)

    assert all(image in str(error.value) for image in gone)


def test_names_in_lists_need_not_be_utf_8(tmp_path):
    msmt, vehicles = tmp_path / "msmt17", tmp_path / "vehicleid"
    write_lists(msmt)
    write_vehicleid(vehicles)
    odd = os.fsdecode(b"0000_000_05_\xe4.jpg")
    write(msmt / "test", [odd])
    write(vehicles / "image", [odd])
    for file, line in (
        (msmt / "list_query.txt", f"{odd} 0\n"),
        (vehicles / "train_test_split/train_list.txt", f"{odd[:-4]} 1\n"),
    ):
        file.write_text(file.read_text("utf-8") + line, "utf-8", "surrogateescape")

    assert odd in names(load_dataset("msmt17", tmp_path).query)
    assert odd in names(load_dataset("vehicleid", tmp_path).train)


def test_vehicleid_keeps_the_test_images_of_one_list_in_the_gallery(tmp_path):
    write_vehicleid(tmp_path / "vehicleid" / "VehicleID_V1.0")

    for name, size in (("vehicleid", 800), ("vehicleid-1600", 1600), ("vehicleid-2400", 2400)):
        dataset = load_dataset(name, tmp_path)
        assert dataset.protocol == "vehicleid"
        assert dataset.version == f"test {size}"
        assert len(dataset.query) == 0
        assert names(dataset.gallery) == ["0000006.jpg", "0000007.jpg", "0000008.jpg"]
        assert dataset.gallery.pids.tolist() == [size, size, 4]
        assert dataset.train.pids.tolist() == [0, 1, 1]
        assert not dataset.train.cams.any()


def test_vehicleid_needs_only_the_list_that_is_asked_for(tmp_path):
    write_vehicleid(tmp_path / "vehicleid", sizes=(800,))

    assert len(load_dataset("vehicleid", tmp_path).gallery) == 3
    with pytest.raises(UserError, match="test_list_2400"):
        load_dataset("vehicleid-2400", tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "portrait.jpg 0",
        "0001_000_01 0",
        "x_000_01_0303noon_0001_0.jpg 0",
        "0001_000_x_0303noon_0001_0.jpg 0",
        "0001_000_00_0303noon_0001_0.jpg 0",
        "0001_000_16_0303noon_0001_0.jpg 0",
    ],
)
def test_a_line_of_msmt17_without_identity_and_camera_is_refused(tmp_path, line):
    folder = tmp_path / "msmt17" / "MSMT17_V1"
    write_lists(folder)
    write(folder / "test", [line.split()[0]])
    with (folder / "list_query.txt").open("a") as file:
        file.write(f"\n{line}\n")  # empty lines do no harm

    said = rf"1 line of .*: list_query.txt line 3 \({line}\) names no identity and camera"
    with pytest.raises(UserError, match=said):
        load_dataset("msmt17", tmp_path)


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ([], [*msmt17._LISTS, "train/ and test/ (V1) or mask_train_v2/ and mask_test_v2/ (V2)"]),
        (["list_val.txt", "train/1.jpg", "test/1.jpg"], [*msmt17._LISTS[:1], *msmt17._LISTS[2:]]),
        (["query/1.jpg"], ["bounding_box_train/", "bounding_box_test/"]),
        ([*(f"{part}/1.jpg" for part in MARKET_PARTS), "list_val.txt"], []),
    ],
)
def test_msmt17_lacks_what_completes_the_layout_that_is_there_in_part(tmp_path, there, missing):
    write(tmp_path, there)

    assert msmt17.missing_parts(tmp_path) == missing


def test_lines_of_vehicleid_that_cannot_be_used_are_refused_all_at_once(tmp_path):
    folder = tmp_path / "vehicleid"
    write_vehicleid(folder)
    with (folder / "train_test_split/train_list.txt").open("a") as file:
        file.write("\n0000003\n0000003 x\n0000003 50 1\n9999999 4\n")

    with pytest.raises(UserError, match="4 lines of its lists cannot be used") as error:
        load_dataset("vehicleid", tmp_path)

    for number, line in ((5, "0000003"), (6, "0000003 x"), (7, "0000003 50 1")):
        said = f"train_list.txt line {number} ({line}) is not <image> <identity>"
        assert said in str(error.value)
    assert "image/9999999.jpg is listed, but not there" in str(error.value)


def test_vehicleid_without_its_images_lacks_their_folder(tmp_path):
    write(tmp_path / "vehicleid/train_test_split", ["train_list.txt", "test_list_800.txt"])

    with pytest.raises(UserError, match=r"lacks image/\n"):
        load_dataset("vehicleid", tmp_path)
