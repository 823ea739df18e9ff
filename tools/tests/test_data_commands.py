"""`tools data list`, `check` and `prepare` on made data."""

import io
import json
import os
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from common.data.datasets import load_folder
from common.errors import UserError
from tools.data import check, list_datasets, prepare
from tools.data_shown import show_check, show_datasets, show_prepared
from tools.synth import synth

PARTS = ("bounding_box_train", "query", "bounding_box_test")
TOP = "Market-1501-v15.09.15/"


def jpeg() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 16), "white").save(stream, "JPEG")
    return stream.getvalue()


def market_zip(path: Path, top: str, parts=PARTS) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{top}readme.txt", "terms")
        for part in parts:
            for camera in (1, 2):
                file.writestr(f"{top}{part}/0002_c{camera}s1_000001_00.jpg", jpeg())
    return path


def shown(show, value, width=200) -> str:
    console = Console(file=io.StringIO(), width=width)
    show(value, console)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("top", "folder"),
    [
        (TOP, f"market1501/{TOP}"),
        ("", "market1501"),
        (f"market1501/{TOP}", f"market1501/{TOP}"),
        ("Market (1)/", "market1501"),
        ("downloads/2015/Market/", "market1501"),
    ],
)
def test_an_archive_is_put_where_the_data_set_is_looked_for(tmp_path, top, folder):
    archive = market_zip(tmp_path / "x.zip", top)

    result = prepare("market1501", archive, tmp_path / "data")

    assert result["folder"] == str(tmp_path / "data" / folder)
    assert result["found"]["gallery"] == {"images": 2, "ids": 1, "cameras": 2}
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["market1501"]
    assert (Path(result["folder"]) / "readme.txt").is_file()
    assert "7 files unpacked" in shown(show_prepared, result)


def test_nothing_that_exists_is_overwritten(tmp_path):
    archive = market_zip(tmp_path / "x.zip", TOP)
    mine = tmp_path / "data/market1501/notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("keep")

    with pytest.raises(UserError, match="nothing is overwritten"):
        prepare("market1501", archive, tmp_path / "data")
    assert [path.name for path in mine.parent.iterdir()] == ["notes.txt"]

    mine.unlink()
    prepare("market1501", archive, tmp_path / "data")
    with pytest.raises(UserError, match="already at"):
        prepare("market1501", archive, tmp_path / "data")


@pytest.mark.parametrize(("parts", "message"), [(PARTS[:2], "is not market1501"), ((), "is not")])
def test_an_archive_of_something_else_leaves_nothing(tmp_path, parts, message):
    with pytest.raises(UserError, match=message):
        prepare("market1501", market_zip(tmp_path / "x.zip", TOP, parts), tmp_path / "data")

    assert list((tmp_path / "data").iterdir()) == []


def test_an_archive_with_names_that_do_not_fit_leaves_nothing(tmp_path):
    archive = market_zip(tmp_path / "x.zip", TOP)
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(f"{TOP}query/portrait.jpg", jpeg())

    with pytest.raises(UserError, match="portrait") as caught:
        prepare("market1501", archive, tmp_path / "data")

    assert f"the names of 1 file in {archive} are not" in str(caught.value)
    assert str(caught.value).endswith(f"Nothing of {archive} was kept.")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_malicious_archive_leaves_nothing(tmp_path):
    archive = market_zip(tmp_path / "x.zip", TOP)
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("../../evil.jpg", b"evil")

    with pytest.raises(UserError, match="outside"):
        prepare("market1501", archive, tmp_path / "data")

    assert list((tmp_path / "data").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "x.zip"]


@pytest.mark.parametrize("there", [True, False])
def test_a_place_that_is_a_link_is_filled_where_it_leads(tmp_path, there):
    elsewhere = tmp_path / "disk/sets/market"
    (elsewhere if there else tmp_path / "disk").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/market1501").symlink_to(elsewhere, target_is_directory=True)

    result = prepare("market1501", market_zip(tmp_path / "x.zip", TOP), tmp_path / "data")

    assert result["folder"] == str(tmp_path / "data/market1501" / TOP.strip("/"))
    assert [path.name for path in elsewhere.parent.iterdir()] == ["market"]


def test_a_root_that_is_a_file_or_cannot_be_written_is_said(tmp_path, monkeypatch):
    archive = market_zip(tmp_path / "x.zip", TOP)
    with pytest.raises(UserError, match=r"x\.zip cannot be made"):
        prepare("market1501", archive, archive)

    def refused(path, *_, **__):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refused)
        with pytest.raises(UserError, match="cannot be made: Permission denied"):
            prepare("market1501", archive, tmp_path / "data")
        with pytest.raises(UserError, match="cannot be read or written: Permission denied"):
            synth(tmp_path / "data", ids=1, cameras=2)


def test_a_closed_place_is_said_by_every_command(tmp_path, monkeypatch):
    stat, folder = Path.stat, tmp_path / "closed"

    def closed(path, **how):
        if path.is_relative_to(tmp_path):
            raise PermissionError(13, "Permission denied")
        return stat(path, **how)

    monkeypatch.setattr(Path, "stat", closed)
    for call in (
        lambda: load_folder(folder),
        lambda: check(str(folder), tmp_path),
        lambda: check("market1501", tmp_path),
        lambda: synth(tmp_path, out=folder, ids=1, cameras=2),
    ):
        with pytest.raises(UserError, match=r"cannot be read.*: Permission denied"):
            call()


def test_what_a_killed_call_left_is_named_and_not_touched(tmp_path):
    left = tmp_path / "data/.market1501-unpacking-1"
    left.mkdir(parents=True)

    result = prepare("market1501", market_zip(tmp_path / "x.zip", TOP), tmp_path / "data")

    assert result["warnings"][-1].startswith(f"{left} was left")
    assert left.is_dir()


def test_a_place_that_was_taken_meanwhile_is_left_alone(tmp_path, monkeypatch):
    def taken(path, goal):
        raise OSError(39, "Directory not empty")

    monkeypatch.setattr(Path, "rename", taken)
    with pytest.raises(UserError, match="market1501 cannot be filled: Directory not empty"):
        prepare("market1501", market_zip(tmp_path / "x.zip", TOP), tmp_path / "data")

    assert list((tmp_path / "data").iterdir()) == []


def test_a_bad_image_with_a_name_that_is_not_utf_8_is_shown_on_any_output(tmp_path, call):
    name = tmp_path / os.fsdecode(b"\xe4.jpg")
    name.write_bytes(b"")
    assert sys.stdout.errors == "strict"  # so that printing the name as it is would raise
    done = call("data", "check", tmp_path)

    assert (done.code, done.err) == (1, "")
    assert "\\udce4.jpg" in done.out


def test_the_synthetic_set_comes_in_no_archive(tmp_path):
    with pytest.raises(UserError, match="tools data synth"):
        prepare("synthetic", market_zip(tmp_path / "x.zip", ""), tmp_path)


def test_the_list_says_what_is_there_incomplete_and_missing(tmp_path):
    root = tmp_path / "[b]"
    prepare("market1501", market_zip(tmp_path / "x.zip", TOP), root)
    (root / "personx/PersonX/query").mkdir(parents=True)

    rows = {row["name"]: row for row in list_datasets(root)}

    assert rows["market1501"]["found"] == str(root / "market1501/Market-1501-v15.09.15")
    assert rows["market1501"]["published"]["train"] == {"images": 12_936, "ids": 751}
    assert rows["personx"]["found"] is None
    assert rows["personx"]["incomplete"][str(root / "personx/PersonX")] == [
        "bounding_box_train/",
        "bounding_box_test/",
    ]
    assert rows["veri"]["incomplete"] == {}
    assert not rows["dukemtmcreid"]["download"]
    assert json.loads(json.dumps(list(rows.values()))) == list(rows.values())
    text = shown(show_datasets, list(rows.values()), width=400)
    assert "12,936 / 3,368 / 15,913" in text
    assert "withdrawn" in text
    narrow = shown(show_datasets, list(rows.values()), width=80)
    assert [name for name in rows if f"\n {name} " not in narrow] == [], "a name is never broken"
    assert "[b]/market1501" in text.partition("personx: ")[0]
    (line,) = (line for line in text.splitlines() if line.startswith("vehicleid, vehicleid-1600"))
    assert line.endswith(f" Belongs in {root / 'vehicleid/VehicleID'}.")


def test_a_check_returns_what_is_wrong_instead_of_stopping(tmp_path):
    prepare("market1501", market_zip(tmp_path / "x.zip", TOP), tmp_path / "data")
    bad = tmp_path / "data/market1501" / TOP / "query/0002_c1s1_000001_00.jpg"
    bad.write_bytes(b"")

    result = check("market1501", tmp_path / "data")

    assert not result["sound"]
    assert result["bad_images"] == {str(bad): "empty file (0 bytes)"}
    assert "published are 12,936" in result["warnings"][0]
    text = shown(show_check, result, width=40)
    assert "not sound" in text
    assert f"\nbad image: {bad}: empty file (0 bytes)\n" in text


def test_warnings_are_unsound_only_when_strict(tmp_path):
    prepare("market1501", market_zip(tmp_path / "x.zip", TOP), tmp_path)

    assert check("market1501", tmp_path)["sound"]
    assert not check("market1501", tmp_path, strict=True)["sound"]


def test_a_folder_of_own_images_can_be_checked(tmp_path):
    (tmp_path / "crops").mkdir()
    (tmp_path / "crops/a_c3.jpg").write_bytes(jpeg())

    result = check(str(tmp_path / "crops"), tmp_path, cameras="_c([0-9])")

    assert result["found"]["train"] == {"images": 1, "ids": 0, "cameras": 1}
    assert result["published"]["train"] is None
    assert "sound" in shown(show_check, result)
    with pytest.raises(UserError, match="nothing is not a folder"):
        check(str(tmp_path / "nothing"), tmp_path)
