"""Unpacking of archives from anywhere: member by member, and nothing outside the target."""

import bz2
import errno
import gzip
import io
import lzma
import math
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from common.errors import UserError, explained
from common.types import Tick

_CHUNK = 1 << 20
_LONGEST_HEADER = 1 << 20  # bytes; one of a tar with its long name and all its attributes
_COMPRESSED = (  # with more of a bzip2 file than "BZh", with which a name in a plain tar may begin
    (b"\x1f\x8b", gzip.open),
    (b"BZh.1AY&SY", bz2.open),
    (b"\xfd7zXZ\0", lzma.open),
)
# What an archive may unpack to before it is taken for a bomb.
_MOST_BYTES = 200 * 2**30
_MOST_MEMBERS = 2_000_000  # files and folders
_MOST_RATIO = 100.0  # bytes unpacked per byte of the archive; images hardly shrink: 1 is usual
_RATIO_FROM = 64 * 2**20  # unpacked bytes from which the ratio counts
_TAR_MAGIC, _TAR_MAGIC_PLACE = b"ustar", 257
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,  # a compression that zipfile does not know
    MemoryError,
    RecursionError,  # tarfile calls itself for every header that extends the next one
    SystemError,  # what Python 3.12 makes of it in a buffered read
)


@dataclass(frozen=True)
class Member:
    """One entry of an archive; `opened` gives the content of a file, and None is a folder."""

    name: str
    opened: Callable[[], IO[bytes] | None] | None


def unpack(archive: Path, target: Path, progress: Tick | None = None) -> int:
    """Unpack a zip or tar (gz, bz2, xz) file into a new folder and return the number of files.

    Every name is judged before it is written, every byte counted while it is. If anything is
    refused, the target is removed again; it never holds part of an archive.

    Args:
        target: must not exist; its parent must.
        progress: called with bytes of the archive's files written, and the largest number that
            is known for the end (0 if none is).

    Raises:
        UserError: no archive, damaged, encrypted, too large for the disk or the limits, with
            members that are links, devices or lie outside, or a target that cannot be made.
    """
    if not archive.is_file():
        raise UserError(f"{archive} is not a file. Name a downloaded archive (zip, tar, tar.gz).")
    with explained(f"{target} cannot be made"):
        target.mkdir()
    try:
        return _Unpacking(archive, target, progress).run()
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


class _Unpacking:
    def __init__(self, archive: Path, target: Path, progress: Tick | None) -> None:
        self.archive = archive
        self.target = target
        self.progress = progress
        self.packed = archive.stat().st_size
        self.written = 0
        self.expected = 0

    def run(self) -> int:
        files = 0
        try:
            with closing(self._members()) as found:
                self.expected = self._require_room()
                for count, member in enumerate(found, start=1):
                    if count > _MOST_MEMBERS:
                        raise self._bomb(f"more than {_MOST_MEMBERS:,} members")
                    files += self._written(member)
        except _BROKEN as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise self._without_room(self.written) from None
            reason = str(error) or type(error).__name__
            raise UserError(
                f"{self.archive} cannot be unpacked, nothing of it was kept: {reason}. Download it "
                "again, or unpack it by hand."
            ) from None
        return files

    def _members(self) -> Generator[Member, None, None]:
        if _is_zip(self.archive):
            return _zip_members(self.archive)
        return _tar_members(self.archive, self._require_within_limits)

    def _require_room(self) -> int:
        """Bytes that the archive says it holds, if it says so; checked against the disk."""
        expected = 0
        if _is_zip(self.archive):
            with zipfile.ZipFile(self.archive) as file:
                expected = sum(info.file_size for info in file.infolist())
            self._require_within_limits(expected)
        if max(expected, self.packed) > shutil.disk_usage(self.target).free:
            raise self._without_room(max(expected, self.packed))
        return expected

    def _without_room(self, size: int) -> UserError:
        free = shutil.disk_usage(self.target).free
        return UserError(
            f"{self.archive} unpacks to {size / 1e9:.1f} GB or more, and {self.target.parent} has "
            f"{free / 1e9:.1f} GB left. Make room, or name another data root with --data-root or "
            "$REID_DATA."
        )

    def _written(self, member: Member) -> int:
        try:
            return self._write(member)
        except (FileExistsError, NotADirectoryError):
            raise UserError(
                f"{self.archive} holds {member.name!r} twice, or as a file and a folder. Unpack it "
                "by hand, and look at which one is right."
            ) from None

    def _write(self, member: Member) -> int:
        path = self.target.joinpath(*_safe_parts(self.archive, member.name))
        if member.opened is None:
            path.mkdir(parents=True, exist_ok=True)
            return 0
        path.parent.mkdir(parents=True, exist_ok=True)
        source = member.opened()
        if source is None:
            raise UserError(f"{self.archive} holds {member.name!r} without content. Refused.")
        with source, path.open("xb") as goal:  # "x": a second member of this name is refused
            while chunk := source.read(_CHUNK):
                self.written += len(chunk)
                self._require_within_limits(self.written)
                goal.write(chunk)
        if self.progress:
            self.progress(self.written, self.expected)
        return 1

    def _require_within_limits(self, size: int) -> None:
        if size > _MOST_BYTES:
            raise self._bomb(f"more than {_MOST_BYTES / 1e9:.1f} GB")
        if size > _RATIO_FROM and size > _MOST_RATIO * self.packed:
            raise self._bomb(f"more than {_MOST_RATIO:g} times its own size")

    def _bomb(self, what: str) -> UserError:
        return UserError(
            f"{self.archive} unpacks to {what}, and was refused as a bomb. If it is what you "
            "expect, unpack it by hand."
        )


def _safe_parts(archive: Path, name: str) -> list[str]:
    """The parts of a member's name, all of them below the target.

    Raises:
        UserError: an absolute name, a drive letter, `..`, or characters that no name has.
    """
    plain = name.replace("\\", "/")
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    drive = bool(parts) and re.match(r"[A-Za-z]:", parts[0]) is not None
    control = any(ord(character) < 32 for character in name)
    if plain.startswith("/") or ".." in parts or drive or control:
        raise UserError(
            f"{archive} holds {name!r}, which lies outside of the folder to unpack into or is "
            "no plain name. The archive was refused; get it from its authors."
        )
    return parts


def _refused(archive: Path, name: str) -> UserError:
    return UserError(
        f"{archive} holds {name!r}, which is a link or a device. Only files and folders are "
        "unpacked; the archive was refused."
    )


def _is_zip(archive: Path) -> bool:
    """Whether it is a zip file, and no tar whose last file is one: a zip is told by its end."""
    with archive.open("rb") as file:
        start = file.read(_TAR_MAGIC_PLACE + len(_TAR_MAGIC))
    return not start.endswith(_TAR_MAGIC) and zipfile.is_zipfile(archive)


def _zip_members(archive: Path) -> Generator[Member, None, None]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, info.filename)
            if info.flag_bits & 1:
                raise UserError(f"{archive} is encrypted. Unpack it by hand with its password.")
            folder = info.filename.endswith(("/", "\\"))  # the latter from old Windows programs
            yield Member(info.filename, None if folder else partial(file.open, info))


def _tar_members(
    archive: Path, require_within_limits: Callable[[int], None]
) -> Generator[Member, None, None]:
    with (
        _TarStream(archive, require_within_limits) as stream,
        tarfile.TarFile(fileobj=stream) as file,
    ):
        for info in file:
            if not (info.isreg() or info.isdir()):
                raise _refused(archive, info.name)
            stream.allowed = math.inf
            yield Member(info.name, None if info.isdir() else partial(file.extractfile, info))
            stream.allowed = _LONGEST_HEADER
        stream.require_end(file.offset)


class _TarStream(io.BufferedReader):
    """What a tar holds without its compression, as far as the limits allow to read it.

    Long names and attributes are read whole by tarfile, before there is a member to judge.

    Args:
        require_within_limits: called with the bytes that were read in all.
    """

    def __init__(self, archive: Path, require_within_limits: Callable[[int], None]) -> None:
        super().__init__(_decompressed(archive))
        self.require_within_limits = require_within_limits
        self.allowed: float = _LONGEST_HEADER  # bytes until the next member, or of its content
        self.total = 0

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= self.allowed:
            raise tarfile.ReadError("a header of impossible size")
        data = super().read(size)
        self.allowed -= len(data)
        self.total += len(data)
        self.require_within_limits(self.total)
        return data

    def require_end(self, offset: int) -> None:
        """Refuse a tar that goes on where tarfile stopped, as it does at a damaged header."""
        self.allowed = math.inf
        self.seek(offset)
        rest = self.read(tarfile.BLOCKSIZE)
        if len(rest) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError("its end is missing")
        while rest:
            if rest.strip(b"\0"):
                raise tarfile.ReadError("a damaged header")
            rest = self.read(_CHUNK)


def _decompressed(archive: Path) -> io.BufferedIOBase:
    with archive.open("rb") as file:
        start = file.read(10)
    opened = [opener for pattern, opener in _COMPRESSED if re.match(pattern, start, re.DOTALL)]
    return opened[0](archive) if opened else archive.open("rb")
