"""Every kind of bad image, wrong counts and hopeless tests are found before training."""

import io
import signal
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.data import check
from common.data.catalogue import DATASETS
from common.data.check import check_dataset, leave_out, require_sound
from common.data.datasets import load_dataset, load_folder
from common.data.probe import probe
from common.data.programs import answers
from common.errors import UserError
from common.types import SPLITS, Dataset, Samples


def encoded(kind: str = "JPEG", mode: str = "RGB", size=(40, 80), **options) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def turned(orientation: int, kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(kind, exif=exif)


def with_broken_exif() -> bytes:
    return encoded(exif=b"Exif\0\0XX*\0" + b"\xff" * 20)


def png(width: int, height: int, depth: int = 8, rows: bytes = b"") -> bytes:
    """A PNG file written from its definition: colour type 2 (RGB)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


BAD = {
    "zero.jpg": (b"", "empty file"),
    "text.jpg": (b"<html>404 not found</html>", "not an image"),
    "head.jpg": (encoded()[:10], "truncated"),
    "cut.jpg": (encoded()[:-400], "truncated"),
    "cut.png": (encoded("PNG")[:-400], "truncated"),
    "broken.png": (encoded("PNG")[:60] + b"\0" * 40 + encoded("PNG")[100:], "cannot be decoded"),
    "cmyk.jpg": (encoded(mode="CMYK"), "CMYK"),
    "deep.png": (png(2, 2, depth=16, rows=(b"\0" + b"\1\2" * 6) * 2), "16 bits"),
    "grey.png": (encoded("PNG", mode="I;16"), "16 bits"),
    "turned.jpg": (turned(6), "EXIF orientation 6"),
    "mirrored.jpg": (turned(2), "EXIF orientation 2"),
    "turned.png": (turned(8, "PNG"), "EXIF orientation 8"),
    "large.png": (png(10_000, 6_000), "10000 x 6000"),
    "bomb.png": (png(60_000, 60_000), "absurdly large"),
    "really.jpg": (encoded("PNG"), "content is PNG"),
    "drawing.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
}
GOOD = {
    "plain.jpg": encoded(),
    "grey.jpg": encoded(mode="L"),
    "upright.jpg": turned(1),
    "undefined.jpg": turned(0),
    "metadata.jpg": with_broken_exif(),
    "clear.png": encoded("PNG", mode="RGBA"),
    "few.png": encoded("PNG", mode="P"),
    "own.bmp": encoded("BMP"),
    "own.webp": encoded("WEBP"),
    "BIG.JPEG": encoded(size=(1000, 2000)),
    "16 bits in name, ü 東.jpg": encoded(),
}


@pytest.mark.parametrize("name", BAD)
def test_every_kind_of_bad_image_is_named(tmp_path, name):
    content, reason = BAD[name]
    (tmp_path / name).write_bytes(content)

    assert reason in probe(str(tmp_path / name))


@pytest.mark.parametrize("name", GOOD)
def test_images_of_every_usual_kind_are_good(tmp_path, name):
    (tmp_path / name).write_bytes(GOOD[name])

    assert probe(str(tmp_path / name)) == ""


def test_a_file_that_is_not_there_is_bad(tmp_path):
    assert "cannot be read" in probe(str(tmp_path / "gone.jpg"))


@pytest.mark.parametrize(
    ("name", "parts", "images", "ids"),
    [
        ("dukemtmcreid", SPLITS, 36_411, 1_812),
        ("msmt17", SPLITS, 126_441, 4_101),
        ("personx", SPLITS, 45_792, 1_266),
        ("veri", ("train", "gallery"), 49_357, 776),  # of which its queries are a part
        ("celebreid", SPLITS, 34_186, 1_052),
        ("vehiclex", ("train",), 192_150, 1_362),
    ],
)
def test_published_parts_add_up_to_the_published_whole(name, parts, images, ids):
    published = DATASETS[name].published
    assert sum(getattr(published, part).images for part in parts) == images
    assert published.train.ids + (published.gallery.ids if published.gallery else 0) == ids


@pytest.fixture
def mixed(tmp_path) -> Path:
    folder = tmp_path / "mixed ü"
    folder.mkdir()
    for name, content in {**GOOD, **{name: content for name, (content, _) in BAD.items()}}.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("workers", [0, 2])
def test_all_bad_images_are_listed_in_one_report_by_any_number_of_processes(
    mixed, workers, monkeypatch
):
    monkeypatch.setattr(check, "_PORTION", 3)
    ticks = []

    report = check_dataset(
        load_folder(mixed),
        workers=workers,
        progress=lambda done, total: ticks.append((done, total)),
    )

    assert {path.rpartition("/")[2] for path in report.bad_images} == set(BAD)
    assert all(BAD[Path(path).name][1] in reason for path, reason in report.bad_images.items())
    assert ticks == sorted(ticks)
    assert ticks[-1] == (len(BAD) + len(GOOD),) * 2
    assert not report.sound


def test_images_are_left_alone_when_that_is_asked(mixed):
    report = check_dataset(load_folder(mixed), read_images=())

    assert report.bad_images == {}
    assert not report.images_read


def test_no_images_need_no_processes():
    assert check.bad_images({}, workers=2) == {}


def test_a_dying_process_ends_the_check_instead_of_waiting_for_ever(mixed, monkeypatch):
    monkeypatch.setattr(check, "_PORTION", 1)
    monkeypatch.setattr(check, "probe_all", sys.exit)

    with pytest.raises(
        RuntimeError, match=r"ended early, with exit code 1, when it was given \[\["
    ):
        check_dataset(load_folder(mixed), workers=2)


@pytest.mark.skipif(sys.platform == "win32", reason="other signals")
def test_a_process_that_the_system_kills_is_told_in_a_sentence():
    with pytest.raises(UserError, match=r"killed by signal 9, .*Start fewer --workers\."):
        list(answers(signal.raise_signal, [[9], [9]], workers=2))


@pytest.mark.skipif(sys.platform == "win32", reason="knows no broken pipes")
def test_a_process_whose_caller_was_killed_ends_without_a_word():
    command = [sys.executable, "-m", "common.data.programs", "math", "sqrt"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        process.stdout.close()
        process.stdin.write(b"[4]\n")
        process.stdin.close()
        assert process.stderr.read() == b""


def test_bad_images_stop_with_the_first_twenty_and_the_count(tmp_path):
    for number in range(25):
        (tmp_path / f"{number:02d}.jpg").write_bytes(b"")
    report = check_dataset(load_folder(tmp_path))

    with pytest.raises(UserError, match="25 images cannot be used") as error:
        require_sound(report)

    text = str(error.value)
    assert "19.jpg" in text
    assert "20.jpg" not in text
    assert "and 5 more" in text
    assert "--skip-bad-images" in text
    require_sound(report, skip_bad=True)


def test_dropping_bad_images_keeps_the_rest_and_closes_gaps_of_identities(tmp_path):
    (tmp_path / "labels.csv").write_text(
        "image,id,cam,split\na.jpg,5,1,train\nb.jpg,6,1,train\nc.jpg,7,1,train\n"
        "d.jpg,1,1,query\ng.jpg,1,2,query\ne.jpg,1,2,gallery\nf.jpg,1,3,gallery\n"
    )
    for name in "abcdefg":
        (tmp_path / f"{name}.jpg").write_bytes(b"" if name in "beg" else encoded())
    dataset = load_folder(tmp_path)

    sound = leave_out(dataset, check_dataset(dataset).bad_images)

    assert [Path(path).name for path in sound.train.paths] == ["a.jpg", "c.jpg"]
    assert sound.train.pids.tolist() == [0, 1]
    assert [Path(path).name for path in sound.query.paths] == ["d.jpg"]
    assert [Path(path).name for path in sound.gallery.paths] == ["f.jpg"]
    assert sound.gallery.cams.tolist() == [2], "cameras keep their numbers"


def test_dropping_leaves_a_part_without_images_as_it_is():
    dataset = made()

    sound = leave_out(dataset, dataset.train.paths[:1])

    assert [len(part) for part in (sound.train, sound.query, sound.gallery)] == [1, 0, 0]


def test_dropping_everything_is_refused(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    dataset = load_folder(tmp_path)

    with pytest.raises(UserError, match="no image of train"):
        leave_out(dataset, check_dataset(dataset).bad_images)


def samples(split: str, *rows: tuple[int, int]) -> Samples:
    paths = np.array([f"/d/{split}/{n}.jpg" for n in range(len(rows))], dtype=object)
    pids, cams = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    return Samples(paths, pids, cams)


def made(train=((0, 0), (0, 1)), query=(), gallery=(), name="own") -> Dataset:
    parts = (samples("train", *train), samples("query", *query), samples("gallery", *gallery))
    return Dataset(name, "/d", *parts)


def checked(dataset: Dataset):
    return check_dataset(dataset, read_images=())


def test_queries_without_a_match_in_another_camera_are_found_with_their_ids():
    report = checked(
        made(
            query=[(1, 0), (2, 0), (3, 0), (4, 0), (4, 1)],
            gallery=[(1, 1), (2, 0), (4, 0), (4, 0), (9, 5)],
        )
    )

    assert report.unmatched_ids == [2, 3, 4], "4 has one query with a match and one without"
    assert "3 of 4 query identities" in report.warnings[0]
    assert "2, 3, 4" in report.warnings[0]
    require_sound(report)
    with pytest.raises(UserError, match="2, 3, 4"):
        require_sound(report, strict=True)


@pytest.mark.parametrize("seed", range(10))
def test_unmatched_ids_equal_the_definition(seed):
    rng = np.random.default_rng(seed)
    query, gallery = (rng.integers(0, (9, 3), (12, 2)) for _ in range(2))

    expected = {
        int(pid)
        for pid, cam in query
        if not any(pid == other and cam != camera for other, camera in gallery)
    }

    assert checked(made(query=query, gallery=gallery)).unmatched_ids == sorted(expected)


def test_a_test_that_no_query_can_pass_is_an_error():
    report = checked(made(query=[(1, 0), (2, 0)], gallery=[(1, 0), (2, 0)]))

    with pytest.raises(UserError, match=r"cannot be tested.*: 1, 2\. .*leave the test part out"):
        require_sound(report)


def test_a_test_is_possible_where_every_identity_has_a_query_with_a_match_and_one_without():
    report = checked(made(query=[(1, 0), (1, 1), (2, 0), (2, 1)], gallery=[(1, 1), (2, 1)]))

    assert report.unmatched_ids == [1, 2]
    require_sound(report)


@pytest.mark.parametrize(
    ("dataset", "lacking"),
    [
        (made(train=()), ["train"]),
        (made(train=(), query=[(1, 0)], gallery=[(1, 1)]), []),  # weights can be scored on it
        (made(query=[(1, 0)]), ["gallery"]),
        (made(gallery=[(1, 0)]), ["query"]),
        (made(name="msmt17"), ["query", "gallery"]),
        (replace(made(name="vehicleid"), protocol="vehicleid"), ["gallery"]),
        (replace(made(gallery=[(1, 0), (1, 0)]), protocol="vehicleid"), []),
        (made(), []),
        (made(name="vehiclex"), []),
    ],
    ids=["train", "test", "gallery", "query", "named", "vehicleid", "drawn queries", "own", "none"],
)
def test_splits_that_a_set_must_have_are_errors_without_images(dataset, lacking):
    assert checked(dataset).errors == [
        f"{dataset.name} has no {split} images. Restore them." for split in lacking
    ]


def test_training_images_named_twice_or_in_the_test_are_found():
    twice = made()
    twice.train.paths[1] = twice.train.paths[0]
    assert any("more than once" in text for text in checked(twice).errors)

    leaked = made(query=[(1, 0)], gallery=[(1, 1)])
    leaked.train.paths[0] = leaked.gallery.paths[0]
    assert any("training and test share 1 image: " in text for text in checked(leaked).warnings)

    both = made(query=[(1, 0)], gallery=[(1, 1)])
    both.query.paths[0] = both.gallery.paths[0]
    assert "1 images are query and gallery at once." in checked(both).notes


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        ([], [], []),
        ([], [(1, 0)], ["no training images"]),
        ([(0, 0), (1, 0), (1, 0)], [], ["one camera", "1 training identities have one image"]),
        ([(-1, 0), (-1, 1)], [], ["training identities are unknown"]),
        ([(-1, 0), (0, 0), (0, 1)], [], []),
    ],
)
def test_notes_say_what_training_has_to_do_without_and_nothing_else(train, test, said):
    notes = checked(made(train, query=test, gallery=test)).notes
    assert all(part in note for part, note in zip(said, notes, strict=True))


def test_equal_names_in_several_folders_are_a_note(tmp_path):
    for camera in "ab":
        (tmp_path / camera).mkdir()
        (tmp_path / camera / "1.jpg").write_bytes(encoded())

    report = check_dataset(load_folder(tmp_path))

    assert report.sound
    assert any(note == "1 file name of train in several folders: 1.jpg." for note in report.notes)


def test_counts_that_differ_from_the_published_are_warnings_and_errors_when_strict(tmp_path):
    for part in ("bounding_box_train", "query", "bounding_box_test"):
        folder = tmp_path / "market1501" / part
        folder.mkdir(parents=True)
        for camera in (1, 2):
            (folder / f"0002_c{camera}s1_000001_00.jpg").write_bytes(encoded())

    report = check_dataset(load_dataset("market1501", tmp_path))

    assert "market1501: 2 train images, published are 12,936." in report.warnings
    assert "market1501: 1 gallery ids, published are 751." in report.warnings
    assert "market1501: 2 cameras, published are 6." in report.warnings
    assert len(report.warnings) == 7
    require_sound(report)
    with pytest.raises(UserError, match="12,936"):
        require_sound(report, strict=True)


def test_vehicleid_has_no_cameras_to_match(tmp_path):
    single = replace(made(gallery=[(1, 0), (1, 0)]), protocol="vehicleid")

    assert checked(single).unmatched_ids == []


def test_a_check_changes_nothing_so_that_a_read_only_folder_will_do(mixed):
    def state() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (mixed, *mixed.rglob("*"))}

    before = state()
    mixed.chmod(0o555)
    try:
        assert len(check_dataset(load_folder(mixed)).bad_images) == len(BAD)
    finally:
        mixed.chmod(0o755)
    assert state() == before, "to those who may write anywhere, permissions say nothing"
