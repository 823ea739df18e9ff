"""Archives are unpacked whole or not at all, and nothing leaves the target."""

import errno
import gzip
import io
import stat
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from common.data import archive as unpacking
from common.data.archive import unpack
from common.errors import UserError

KINDS = ("zip", "tar", "tar.gz", "tar.bz2", "tar.xz")


def pack(path: Path, members: dict[str, bytes]) -> Path:
    """An archive of the kind that the file name says; names ending in / are folders."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in members.items():
                file.writestr(name, content)
        return path
    compression = "" if path.suffix == ".tar" else path.suffix[1:]
    with tarfile.open(path, f"w:{compression}") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            file.addfile(info, io.BytesIO(content))
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def assert_refused(archive: Path, message: str) -> None:
    """With the message, and nothing new beside the archive."""
    before = tree(archive.parent)
    with pytest.raises(UserError, match=message):
        unpack(archive, archive.parent / "target")
    assert tree(archive.parent) == before
    assert not (archive.parent / "target").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_files_and_folders_arrive_with_their_content(tmp_path, kind):
    members = {"./": b"", "set/a b/ü.jpg": b"1" * 5, "./set/c.jpg": b"2", "d.txt": b""}
    members |= {"set/": b"", "e/": b""}
    ticks = []

    count = unpack(
        pack(tmp_path / f"x.{kind}", members),
        tmp_path / "target",
        progress=lambda done, total: ticks.append((done, total)),
    )

    assert count == 3
    assert tree(tmp_path / "target") == {"set/a b/ü.jpg": b"1" * 5, "set/c.jpg": b"2", "d.txt": b""}
    assert (tmp_path / "target/e").is_dir()
    assert ticks[-1] == (6, 6 if kind == "zip" else 0)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize(
    "name",
    [
        "../evil.jpg",
        "set/../../evil.jpg",
        "/tmp/evil.jpg",
        "..\\evil.jpg",
        "C:\\evil.jpg",
        "c:evil.jpg",
        "./c:evil.jpg",
        "\\evil.jpg",
        "set/a\nb.jpg",
        "..",
    ],
)
def test_names_outside_the_target_are_refused(tmp_path, kind, name):
    archive = pack(tmp_path / f"x.{kind}", {"set/good.jpg": b"1", name: b"evil"})

    assert_refused(archive, "outside of the folder")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    archive = tmp_path / "x.tar"
    with tarfile.open(archive, "w") as file:
        info = tarfile.TarInfo("set/link")
        info.type = kind
        info.linkname = "../../elsewhere"
        file.addfile(info)
        inside = tarfile.TarInfo("set/link/evil.jpg")
        inside.size = 1
        file.addfile(inside, io.BytesIO(b"1"))

    assert_refused(archive, "a link or a device")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO])
def test_links_and_devices_in_a_zip_are_refused(tmp_path, kind):
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as file:
        info = zipfile.ZipInfo("set/link")
        info.external_attr = (kind | 0o777) << 16
        file.writestr(info, "/etc")

    assert_refused(archive, "a link or a device")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_bombs_are_refused_by_size_ratio_and_number(tmp_path, kind, monkeypatch):
    archive = pack(tmp_path / f"x.{kind}", {f"{n}.bmp": b"\0" * 400_000 for n in range(5)})

    for limit, least, message in (
        ("_MOST_BYTES", 1_000_000, "refused as a bomb"),
        ("_RATIO_FROM", 1_000_000, "100 times its own size"),
        ("_MOST_MEMBERS", 4, "more than 4 members"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(unpacking, limit, least)
            assert_refused(archive, message)
    monkeypatch.setattr(unpacking, "_MOST_MEMBERS", 5)
    assert unpack(archive, tmp_path / "target") == 5, "small archives may shrink well"
    monkeypatch.setattr(unpacking, "_RATIO_FROM", 1_000)
    images = pack(tmp_path / f"y.{kind}", {"a.jpg": np.random.default_rng(0).bytes(2_000)})
    assert unpack(images, tmp_path / "images") == 1, "images hardly shrink, however many there are"


def test_a_zip_that_says_how_large_it_is_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "_MOST_BYTES", 1_000)
    monkeypatch.setattr(unpacking._Unpacking, "_written", None)

    assert_refused(pack(tmp_path / "x.zip", {"a.bmp": b"\0" * 2_000}), "refused as a bomb")


def test_a_zip_that_lies_about_its_sizes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "_MOST_BYTES", 1_000_000)
    archive = pack(tmp_path / "x.zip", {"a.bmp": b"\0" * 3_000_000})
    true, false = ((3_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    archive.write_bytes(archive.read_bytes().replace(true, false))

    assert_refused(archive, "cannot be unpacked|bomb")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_second_member_of_the_same_name_is_refused(tmp_path, kind):
    archive = pack(tmp_path / f"x.{kind}", {"a.jpg": b"1", "./a.jpg": b"2"})

    assert_refused(archive, "holds './a.jpg' twice")


@pytest.mark.parametrize("second", ["a/b.jpg", "a/b/"])
def test_a_file_that_is_also_a_folder_is_refused(tmp_path, second):
    archive = pack(tmp_path / "x.tar", {"a": b"1", second: b""})

    assert_refused(archive, "holds 'a/b.*' twice, or as a file and a folder")


def test_folders_of_a_zip_may_end_in_a_backslash(tmp_path):
    archive = pack(tmp_path / "x.zip", {"set\\": b"", "set\\a.jpg": b"1"})

    assert unpack(archive, tmp_path / "target") == 1
    assert tree(tmp_path / "target") == {"set/a.jpg": b"1"}


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_archives_are_refused_and_leave_nothing(tmp_path, kind):
    content = bytes(range(256)) * 200
    archive = pack(tmp_path / f"x.{kind}", {f"{n}.jpg": content for n in range(20)})
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])

    assert_refused(archive, "cannot be unpacked")


def tar_of_three(path: Path) -> tuple[bytearray, int]:
    """Content of a tar, and where the header of its last file begins."""
    pack(path, {f"{n}.jpg": b"1" * 600 for n in range(3)})
    return bytearray(path.read_bytes()), 2 * (512 + 1024)


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content, at: content[: at + 100], id="cut inside a header"),
        pytest.param(lambda content, at: content[:at], id="cut before a header"),
        pytest.param(
            lambda content, at: content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :],
            id="a flipped bit",
        ),
        pytest.param(
            lambda content, at: content[:at] + bytes(512) + content[at + 512 :], id="a lost block"
        ),
    ],
)
def test_a_tar_with_a_damaged_header_is_not_taken_in_part(tmp_path, kind, damage):
    archive = tmp_path / f"x.{kind}"
    content, at = tar_of_three(tmp_path / "whole.tar")
    content = bytes(damage(content, at))
    archive.write_bytes(content if kind == "tar" else gzip.compress(content))

    assert_refused(archive, "cannot be unpacked.*(damaged header|end is missing)")


def test_a_tar_whose_first_name_begins_like_a_bzip2_file_is_unpacked(tmp_path):
    assert unpack(pack(tmp_path / "x.tar", {"BZh/a.jpg": b"1"}), tmp_path / "target") == 1


def test_a_tar_that_ends_in_a_zip_is_unpacked_as_the_tar(tmp_path):
    inner = pack(tmp_path / "inner.zip", {"readme.txt": b"1"}).read_bytes()
    archive = pack(tmp_path / "x.tar", {"a.jpg": b"2", "inner.zip": inner})

    assert unpack(archive, tmp_path / "target") == 2
    assert tree(tmp_path / "target") == {"a.jpg": b"2", "inner.zip": inner}


def headers(path: Path, kind: bytes, size: int, count: int = 1, before: int = 0) -> Path:
    """A tar.gz of headers that extend the one behind them by `size` bytes each, among files."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, size
    header = info.tobuf(tarfile.GNU_FORMAT)
    attribute = f"{size} a=".encode().ljust(size - 1, b"a") + b"\n"  # as newer tarfiles demand it
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(tarfile.TarInfo("0.jpg").tobuf() * before)
        for _ in range(count):
            file.write(header + attribute + bytes(-size % 512))
        file.write(tarfile.TarInfo("a.jpg").tobuf() + bytes(1024))
    return path


@pytest.mark.parametrize(
    ("kind", "before"),
    [
        (tarfile.GNUTYPE_LONGNAME, 0),
        (tarfile.XHDTYPE, 0),
        (tarfile.XGLTYPE, 0),
        (tarfile.GNUTYPE_LONGNAME, 1),
    ],
)
def test_a_header_is_read_into_memory_only_if_it_is_small(tmp_path, kind, before):
    archive = headers(tmp_path / "x.tar.gz", kind, 30_000_000, before=before)

    tracemalloc.start()
    assert_refused(archive, "impossible size")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 5_000_000


def test_headers_that_extend_each_other_without_end_are_refused(tmp_path):
    chain = headers(tmp_path / "x.tar.gz", tarfile.GNUTYPE_LONGNAME, 10, count=3_000)
    assert_refused(chain, "cannot be unpacked")


def test_headers_count_for_the_limits_of_a_tar(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "_MOST_BYTES", 300_000)
    archive = headers(tmp_path / "x.tar.gz", tarfile.XGLTYPE, 100_000, count=5)
    assert_refused(archive, "refused as a bomb")


@pytest.mark.parametrize("error", [MemoryError, RecursionError, SystemError])
def test_an_archive_that_exhausts_the_reader_is_refused(tmp_path, monkeypatch, error):
    def exhausted(file: tarfile.TarFile) -> None:
        raise error

    archive = pack(tmp_path / "x.tar", {"a.jpg": b"1"})
    monkeypatch.setattr(tarfile.TarFile, "next", exhausted)
    assert_refused(archive, f"nothing of it was kept: {error.__name__}")


def test_an_encrypted_zip_is_refused_with_what_to_do(tmp_path):
    archive = pack(tmp_path / "x.zip", {"a.jpg": b"1"})
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x03\x04") + 6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)

    assert_refused(archive, "encrypted")


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "x.zip").write_text("<html>please log in</html>")
    assert_refused(tmp_path / "x.zip", "cannot be unpacked")
    with pytest.raises(UserError, match="not a file"):
        unpack(tmp_path / "y.zip", tmp_path / "target")


def test_an_archive_that_does_not_fit_on_the_disk_is_refused_before_it_is_unpacked(
    tmp_path, monkeypatch
):
    class Usage:
        free = 1_000

    monkeypatch.setattr("common.data.archive.shutil.disk_usage", lambda path: Usage)

    assert_refused(pack(tmp_path / "x.zip", {"a.bmp": b"\0" * 10_000}), "Make room")


def test_a_disk_that_fills_up_meanwhile_is_no_reason_to_download_again(tmp_path, monkeypatch):
    archive = pack(tmp_path / "x.tar.gz", {"a.jpg": b"1"})

    def full(unpacking: object, member: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("common.data.archive._Unpacking._write", full)
    assert_refused(archive, "GB left. Make room")


def test_an_existing_target_is_never_touched(tmp_path):
    archive = pack(tmp_path / "x.zip", {"a.jpg": b"1"})
    (tmp_path / "target").mkdir()
    (tmp_path / "target/mine.txt").write_text("keep")

    with pytest.raises(UserError, match="cannot be made: File exists"):
        unpack(archive, tmp_path / "target")

    assert tree(tmp_path / "target") == {"mine.txt": b"keep"}
