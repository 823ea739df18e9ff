"""Folders of own images: with labels.csv, without labels, and laid out like Market-1501."""

import unicodedata
from pathlib import Path

import pytest

from common.data import scan
from common.data.check import check_dataset
from common.data.datasets import fingerprint, load_folder
from common.errors import UserError


def write(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def labelled(folder: Path, *lines: str, header: str = "image,id,cam,split") -> Path:
    write(folder, *(f"images/{n}.jpg" for n in range(1, 8)))
    (folder / "labels.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return folder


def relative(dataset, split: str) -> list[str]:
    return [path[len(dataset.root) + 1 :] for path in getattr(dataset, split).paths]


def test_labels_name_identity_camera_and_split(tmp_path):
    folder = labelled(
        tmp_path / "shop",
        "2.jpg,30,7,train",
        "1.jpg,40,2,train",
        "3.jpg,5,2,query",
        "4.jpg,5,9,gallery",
        "5.jpg,0,7,gallery",
        "6.jpg,-1,7,gallery",
    )

    dataset = load_folder(folder)

    assert (dataset.name, dataset.camera_rule) == ("shop", "labels.csv")
    assert relative(dataset, "train") == ["images/1.jpg", "images/2.jpg"]
    assert dataset.train.pids.tolist() == [1, 0]
    assert dataset.train.cams.tolist() == [0, 1], "numbered over all splits together"
    assert dataset.cam_names == ("2", "7", "9")
    assert dataset.query.pids.tolist() == [5]
    assert dataset.gallery.pids.tolist() == [5, 0], "junk -1 is dropped, 0 is a distractor"
    assert dataset.gallery.cams.tolist() == [2, 1]
    warnings = check_dataset(dataset, workers=0).warnings
    assert "images of shop that have no line in its labels.csv are not used: 1." in warnings


def test_a_change_of_any_column_changes_the_fingerprint(tmp_path):
    def of(*lines):
        return fingerprint(load_folder(labelled(tmp_path / "shop", *lines)))

    rest = "2.jpg,2,2,train", "3.jpg,5,1,query", "4.jpg,5,2,gallery"
    lines = "1.jpg,1,1,train", "5.jpg,1,1,train", "1.jpg,2,1,train", "1.jpg,1,2,train"
    found = [of(line, *rest) for line in (*lines, "1.jpg,1,1,query")]
    assert len(set(found)) == 5
    assert of(lines[0], *rest) == found[0]


def test_training_identities_may_be_unknown(tmp_path):
    dataset = load_folder(labelled(tmp_path / "a", "1.jpg,,1,train", "2.jpg,-1,1,train"))

    assert dataset.train.pids.tolist() == [-1, -1]
    assert not dataset.has_test


def test_images_may_lie_relative_to_the_folder_and_columns_in_any_order(tmp_path):
    folder = labelled(tmp_path / "a", "train,3,x/y.PNG,1", header="\ufeffSplit, cam ,image,id")
    write(folder, "x/y.PNG")

    assert relative(load_folder(folder), "train") == ["x/y.PNG"]


def test_images_of_kinds_that_are_not_read_are_told(tmp_path):
    folder = write(tmp_path / "a", "1.jpg", "b/2.HEIC", "notes.txt")

    dataset = load_folder(folder)

    assert relative(dataset, "train") == ["1.jpg"]
    assert check_dataset(dataset).warnings == [
        "images of a of kinds that are not read are not used: b/2.HEIC. Convert them to jpg or png."
    ]


@pytest.mark.parametrize(("disk", "typed"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_names_that_look_equal_are_equal_whether_accents_stand_apart_or_not(tmp_path, disk, typed):
    on_disk, in_labels = (unicodedata.normalize(form, "tür_1.jpg") for form in (disk, typed))
    labels = labelled(tmp_path / "a", f"{in_labels},1,1,train", "2.jpg,1,1,train")
    crops = write(tmp_path / "b", on_disk)
    write(labels, f"images/{on_disk}")

    dataset = load_folder(labels)

    assert relative(dataset, "train") == ["images/2.jpg", f"images/{on_disk}"]
    assert dataset.unnamed == 6
    assert load_folder(crops, in_labels.replace("1.jpg", "(.)")).cam_names == ("1",)
    write(labels, f"images/{in_labels}")
    if len(list((labels / "images").iterdir())) == 9:  # the disk tells them apart
        assert f"images/{in_labels}" in relative(load_folder(labels), "train")


def test_all_lines_that_cannot_be_used_are_listed_at_once(tmp_path):
    folder = labelled(
        tmp_path / "a",
        "1.jpg,1,1,train",
        "1.jpg,1,1,train",
        "2.jpg,one,1,train",
        "3.jpg,1,,train",
        "4.jpg,1,1,test",
        "99.jpg,1,1,train",
        "../1.jpg,1,1,train",
        "5.jpg,1,1",
        "6.jpg,,1,query",
        "6.jpg,-2,1,query",
        "/7.jpg,1,1,train",
        "7.jpg,1,1.5,train",
        "7.jpg,1,x,train",
        "7.jpg,1_2,1,train",
        "7.jpg,1,99999999999999999999,train",
    )

    with pytest.raises(UserError, match="14 lines") as error:
        load_folder(folder)

    text = str(error.value)
    assert [f"line {n}:" in text for n in range(2, 15)] == [False] + [True] * 10 + [False] * 2
    assert "and 4 more" in text
    assert "line 7: image '99.jpg' is not in images/, nor relative to the folder\n" in text
    with pytest.raises(UserError, match="write / between folders"):
        load_folder(labelled(tmp_path / "b", "images\\1.jpg,1,1,train"))


@pytest.mark.parametrize("number", ["1_2", "99999999999999999999", "+1", "\u0661", ""])
def test_a_number_that_would_be_read_as_another_one_is_refused(tmp_path, number):
    with pytest.raises(UserError, match=r"line 2: cam .* is not a whole number"):
        load_folder(labelled(tmp_path / "a", f"1.jpg,1,{number},train"))


def test_a_further_column_may_have_any_name(tmp_path):
    header = "image,id,cam,split,problem"
    folder = labelled(tmp_path / "a", "1.jpg,0,0,train,blurred", header=header)

    assert len(load_folder(folder).train) == 1


def test_a_column_that_is_named_twice_is_refused(tmp_path):
    with pytest.raises(UserError, match="names the columns cam more than once"):
        load_folder(labelled(tmp_path / "a", "1.jpg,1,1,2,train", header="image,id,cam,Cam,split"))


def test_a_labels_file_without_its_columns_or_of_another_kind_is_refused(tmp_path):
    with pytest.raises(UserError, match="lacks the columns id, split"):
        load_folder(labelled(tmp_path / "a", "1.jpg,2", header="image,cam"))
    folder = labelled(tmp_path / "b")
    with pytest.raises(UserError, match="names no image"):
        load_folder(folder)
    (folder / "labels.csv").write_bytes(b"image,id,cam,split\n\xff\xfe,1,1,train\n")
    with pytest.raises(UserError, match="UTF-8"):
        load_folder(folder)


@pytest.mark.parametrize(
    ("lines", "lacking"),
    [
        (("2.jpg,1,1,query",), "gallery"),
        (("2.jpg,1,1,query", "3.jpg,-1,2,gallery"), "gallery"),
        (("2.jpg,-1,1,query", "3.jpg,1,2,gallery"), "query"),
    ],
)
def test_half_a_test_is_refused_also_where_the_other_half_is_junk(tmp_path, lines, lacking):
    with pytest.raises(UserError, match=f"none of {lacking}"):
        load_folder(labelled(tmp_path / "a", "1.jpg,1,1,train", *lines))


def test_images_without_labels_are_found_in_any_depth_with_any_ending(tmp_path):
    folder = write(
        tmp_path / "my crops", "b.JPG", "a.jpeg", "c.png", "d.Bmp", "e.webp", "f.txt", ".g.jpg"
    )

    dataset = load_folder(folder)

    assert relative(dataset, "train") == ["a.jpeg", "b.JPG", "c.png", "d.Bmp", "e.webp"]
    assert set(dataset.train.pids) == {-1}
    assert set(dataset.train.cams) == {0}
    assert (dataset.name, dataset.camera_rule, dataset.has_test) == ("my crops", "none", False)


def test_the_first_level_of_sub_folders_names_the_cameras(tmp_path):
    folder = write(tmp_path / "a", "cam10/x/1.jpg", "cam9/1.jpg", "cam9/y/2.jpg")

    dataset = load_folder(folder)

    assert relative(dataset, "train") == ["cam10/x/1.jpg", "cam9/1.jpg", "cam9/y/2.jpg"]
    assert dataset.train.cams.tolist() == [0, 1, 1]
    assert (dataset.camera_rule, dataset.cam_names) == ("sub-folders", ("cam10", "cam9"))
    together = load_folder(folder, "none")
    assert (set(together.train.cams), together.cam_names) == ({0}, ())


def test_sub_folders_with_numbers_are_ordered_as_numbers(tmp_path):
    dataset = load_folder(write(tmp_path / "a", "10/1.jpg", "9/1.jpg"))
    assert (dataset.train.cams.tolist(), dataset.cam_names) == ([1, 0], ("9", "10"))


def test_images_beside_the_sub_folders_are_a_camera_named_like_the_folder_itself(tmp_path):
    assert load_folder(write(tmp_path / "a", "1.jpg", "x/1.jpg")).cam_names == (".", "x")


def test_sub_folders_that_are_one_number_are_two_cameras(tmp_path):
    dataset = load_folder(write(tmp_path / "a", "01/1.jpg", "1/1.jpg", "2/1.jpg"))
    assert dataset.train.cams.tolist() == [0, 1, 2]
    assert dataset.cam_names == ("01", "1", "2")


def test_a_pattern_with_one_group_names_the_cameras(tmp_path):
    folder = write(tmp_path / "a", "p_c10.jpg", "q_c2.jpg", "r_c10.jpg")

    dataset = load_folder(folder, "_c([0-9]+)")

    assert dataset.train.cams.tolist() == [1, 0, 1]
    assert (dataset.camera_rule, dataset.cam_names) == ("pattern _c([0-9]+)", ("2", "10"))


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"_c(\d", r"'_c\(\\d' is not a regular expression"),
        ("_c.", "0 groups"),
        ("(_)(c)", "2 groups"),
    ],
)
def test_a_pattern_that_is_none_is_refused(tmp_path, pattern, message):
    with pytest.raises(UserError, match=message):
        load_folder(write(tmp_path / "a", "p_c1.jpg"), pattern)


@pytest.mark.parametrize("pattern", ["_c([0-9])", "_c([0-9])|[qr]"])
def test_names_that_the_pattern_does_not_fit_or_finds_no_camera_in_are_listed(tmp_path, pattern):
    with pytest.raises(UserError, match=r"2 of 3 names .* q\.jpg, r\.jpg"):
        load_folder(write(tmp_path / "a", "p_c1.jpg", "q.jpg", "r.jpg"), pattern)


def test_a_folder_laid_out_like_market1501_is_recognised(tmp_path):
    folder = write(
        tmp_path / "mine",
        "bounding_box_train/0009_c30_1.png",
        "bounding_box_train/0004_c7_1.jpg",
        "query/0001_c30_1.jpg",
        "bounding_box_test/0001_c99_1.jpg",
    )

    dataset = load_folder(folder)

    assert (dataset.name, dataset.camera_rule) == ("mine", "file name")
    assert dataset.train.pids.tolist() == [0, 1]
    assert dataset.train.cams.tolist() == [0, 1]
    assert dataset.query.cams.tolist() == [1]
    assert dataset.gallery.cams.tolist() == [2]
    assert dataset.cam_names == ("7", "30", "99")
    with pytest.raises(UserError, match="Leave --cameras out"):
        load_folder(folder, "_c([0-9]+)")
    portrait = write(folder, "query/portrait.jpg") / "query/portrait.jpg"
    with pytest.raises(UserError, match=r"1 file in .* -1\): query/portrait\.jpg\. Rename"):
        load_folder(folder)
    portrait.unlink()
    (folder / "query/0001_c30_1.jpg").unlink()
    with pytest.raises(UserError, match=r"no images in query of .* labels\.csv"):  # of any kind
        load_folder(folder)
    (folder / "query").rename(folder / "queries")
    with pytest.raises(UserError, match="in part: it lacks query/"):  # parts are no cameras
        load_folder(folder)
    assert load_folder(folder, "_c([0-9]+)").cam_names == ("7", "30", "99")


def test_no_folder_and_no_images_are_said(tmp_path):
    with pytest.raises(UserError, match="not a folder"):
        load_folder(tmp_path / "nothing")
    with pytest.raises(UserError, match="no images"):
        load_folder(write(tmp_path / "a", "b/readme.txt"))


def test_a_link_to_a_parent_does_not_go_round_in_circles(tmp_path):
    folder = write(tmp_path / "a", "b/1.jpg")
    (folder / "b" / "up").symlink_to(folder, target_is_directory=True)

    assert len(load_folder(folder).train) == 1


def test_a_link_to_itself_is_a_file_that_cannot_be_read(tmp_path):
    market = write(
        tmp_path / "market",
        *(f"{part}/0001_c1_1.jpg" for part in ("bounding_box_train", "query", "bounding_box_test")),
    )
    for folder in (write(tmp_path / "crops", "1.jpg"), market / "query"):
        (folder / "0002_c1_1.jpg").symlink_to(folder / "0002_c1_1.jpg")
        (folder / "loop").symlink_to(folder / "loop")

    for folder, images in ((tmp_path / "crops", 2), (market, 4)):
        report = check_dataset(load_folder(folder), workers=0)
        assert sum(counts.images for counts in report.found.values()) == images
        assert any("cannot be read" in reason for reason in report.bad_images.values())
        assert len(fingerprint(load_folder(folder))) == 16


@pytest.mark.parametrize("order", [list, lambda entries: list(reversed(entries))])
def test_a_folder_with_two_names_has_the_first_on_every_disk(tmp_path, monkeypatch, order):
    write(tmp_path / "elsewhere", "1.jpg")
    for name in ("cam2", "cam1", "cam3"):
        (tmp_path / "a" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "a" / name).symlink_to(tmp_path / "elsewhere")
    usual = scan._entries
    monkeypatch.setattr(scan, "_entries", lambda folder: order(usual(folder)))

    assert relative(load_folder(tmp_path / "a"), "train") == ["cam1/1.jpg"]


def test_a_labels_file_that_the_system_does_not_let_us_read_is_said(tmp_path, monkeypatch):
    folder = labelled(tmp_path / "a", "1.jpg,1,1,train")

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(UserError, match=r"labels\.csv cannot be read: Permission denied"):
        load_folder(folder)
