"""Archives and folders read back, member by member, in bounded memory; nothing is written.

Whatever could reach out of the folder it is unpacked into is refused by name: an archive is judged
here before any tool unpacks it.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import posixpath
import re
import stat
import struct
import sys
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal, TypeAlias, cast

from ..model.errors import ArchiveProblem, DamagedArchive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_SKIP_BLOCK: Final = 1 << 16


class _Onwards:
    """A stream that is only read onwards; `tarfile` reads headers from it.

    Sizes that a header asks for are limited, or a few hostile bytes would fill the memory.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._position = 0

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        if position < self._position:
            message = "a header leads backwards"
            raise tarfile.ReadError(message)
        while self._position < position:
            if not self.read(min(_SKIP_BLOCK, position - self._position)):
                message = "the end is missing"
                raise EOFError(message)

    def read(self, size: int) -> bytes:
        if size > _SKIP_BLOCK:
            message = f"a header claims {size} bytes"
            raise tarfile.ReadError(message)
        data = self._stream.read(size)
        while len(data) < size and (more := self._stream.read(size - len(data))):
            data += more
        self._position += len(data)
        return data

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield the next bytes."""
        while size:
            data = self.read(min(_SKIP_BLOCK, size))
            if not data:
                message = "the end is missing"
                raise EOFError(message)
            size -= len(data)
            yield data


def tar_members(path: Path, stream: BinaryIO) -> Iterator[tuple[Member, Chunks]]:
    """Yield the members of an archive that is no longer compressed.

    Raises:
        ArchiveProblem: it holds what no archive of ours holds: hard links, devices, sparse files,
            names that lead out of it.
        tarfile.TarError, EOFError: it is damaged or cut off.
    """
    onwards = _Onwards(stream)
    tar = tarfile.TarFile(fileobj=cast("BinaryIO", onwards), mode="r", encoding="utf-8")
    header: tarfile.TarInfo | None = cast("Any", tar).firstmember
    while header is not None:
        member = _tar_member(path, header)
        onwards.seek(header.offset_data)
        if member.name:
            yield member, onwards.chunks(member.size)
        onwards.seek(tar.offset)
        try:
            header = tarfile.TarInfo.fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            header = None
    _check_end(onwards)


def _check_end(onwards: _Onwards) -> None:
    """Read on to the end, where compressors keep their check sums: zeros only."""
    padding = onwards.read(tarfile.BLOCKSIZE)
    if len(padding) < tarfile.BLOCKSIZE:
        message = "the end is missing"
        raise EOFError(message)
    while padding:
        if padding.strip(b"\0"):
            message = "something follows the end"
            raise tarfile.ReadError(message)
        padding = onwards.read(_SKIP_BLOCK)


def _tar_member(path: Path, header: tarfile.TarInfo) -> Member:
    if header.issym():
        kind: Kind = "link"
    elif header.isdir():
        kind = "directory"
    elif header.isreg() and not header.issparse():
        kind = "file"
    else:
        what = "a hard link" if header.islnk() else "no file, folder or symbolic link"
        raise ArchiveProblem(f"{path} is refused: its entry {header.name!r} is {what}")
    return Member(
        name=portable_name(path, header.name),
        kind=kind,
        mode=header.mode,
        size=header.size if kind == "file" else 0,
        linkname=header.linkname if kind == "link" else "",
    )


if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd
_BLOCK: Final = 1 << 16
_LINK_LIMIT: Final = 4096  # bytes of a link's text, PATH_MAX
_MAGIC: Final[tuple[tuple[bytes, Callable[[BinaryIO], object]], ...]] = (
    (b"\xfd7zXZ\0", lzma.LZMAFile),
    (b"\x1f\x8b", lambda stream: gzip.GzipFile(fileobj=stream)),
    (b"BZh", bz2.BZ2File),
    (b"\x28\xb5\x2f\xfd", zstd.ZstdFile),
)
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_TAR: Final = b"ustar"
_TAR_OFFSET: Final = 257

# What the standard library's readers raise for bytes that are not what they should be.
_DAMAGE: Final = (
    EOFError,
    OSError,
    RuntimeError,
    UnicodeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    zstd.ZstdError,
)
Advance: TypeAlias = "Callable[[int], object]"
"""Told of bytes that were read: an archive's own, or those of a folder's files."""


def bytes_to_read(path: Path) -> int:
    """Return how many bytes an archive has, or the files of a folder, as far as can be told."""
    if not path.is_dir():
        return path.stat().st_size
    found = (
        os.lstat(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names
    )
    return sum(status.st_size for status in found if stat.S_ISREG(status.st_mode))


def read_members(path: Path, advance: Advance) -> Iterator[tuple[Member, Chunks]]:
    """Read an archive or a folder, whichever there is.

    Parameters:
        advance: told of the bytes that were read.

    Raises:
        DamagedArchive: it is damaged or cut off.
        ArchiveProblem: it cannot be read, or holds what no archive of ours
            holds: names that lead out of it, one name twice, hard links, devices.
    """
    if path.is_dir():
        return _read_folder(path, advance)
    return _Archive(path, advance).members()


class _Archive:
    def __init__(self, path: Path, advance: Advance) -> None:
        self.path = path
        self.names = Names(path)
        self.advance = advance
        self.position = 0

    def members(self) -> Iterator[tuple[Member, Chunks]]:
        with _telling_damage(self.path, self.names), self.path.open("rb") as stream:
            for member, chunks in _archive_members(self.path, stream):
                self.names.add(member.name, member.kind, member.linkname)
                guarded = self._guarded(chunks, stream)
                yield member, guarded
                for _ in guarded:
                    pass
            self.advance(os.fstat(stream.fileno()).st_size - self.position)

    def _guarded(self, chunks: Chunks, stream: BinaryIO) -> Chunks:
        with _telling_damage(self.path, self.names):
            for chunk in chunks:
                self._follow(stream)
                yield chunk

    def _follow(self, stream: BinaryIO) -> None:
        """Tell how far the archive was read; a zip file's end is read first."""
        count = stream.tell() - self.position
        if count > 0:
            self.advance(count)
            self.position += count


@contextmanager
def _telling_damage(path: Path, names: Names) -> Iterator[None]:
    """Turn what the readers raise into one sentence that names the place."""
    try:
        yield
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise ArchiveProblem(f"{path} cannot be read: {error.strerror}") from error
        where = f" in or after {names.last}" if names.last else ""
        reason = str(error) or type(error).__name__
        raise DamagedArchive(f"{path} is damaged or cut off{where}: {reason}") from error


def _archive_members(path: Path, stream: BinaryIO) -> Iterator[tuple[Member, Chunks]]:
    start = stream.read(_TAR_OFFSET + len(_TAR))
    stream.seek(0)
    for magic, decompress in _MAGIC:
        if start.startswith(magic):
            return tar_members(path, cast("BinaryIO", decompress(stream)))
    if start.startswith(_ZIP):
        return _zip_members(path, stream)
    if start[_TAR_OFFSET:] == _TAR:
        return tar_members(path, stream)
    raise ArchiveProblem(
        f"{path} is no archive that pack-venv writes: it begins like none of tar, gzip, bzip2, xz,"
        " zstd and zip"
    )


def _zip_members(path: Path, stream: BinaryIO) -> Iterator[tuple[Member, Chunks]]:
    with zipfile.ZipFile(stream) as archive:
        for info in archive.infolist():
            if info.flag_bits & 1:
                raise ArchiveProblem(f"{path} is refused: its entry {info.filename!r} is encrypted")
            member = _zip_member(path, archive, info)
            if member.name:
                is_file = member.kind == "file"
                yield member, _zip_chunks(archive, info) if is_file else iter(())


def _zip_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    mode = info.external_attr >> 16
    kinds: dict[int, Kind] = {0: "file", stat.S_IFREG: "file", stat.S_IFLNK: "link"}
    kind = "directory" if info.is_dir() else kinds.get(stat.S_IFMT(mode))
    if kind is None or (kind == "link" and info.file_size > _LINK_LIMIT):
        raise ArchiveProblem(f"{path} is refused: its entry {info.filename!r} is no file or folder")
    linkname = archive.read(info).decode("utf-8", "surrogateescape") if kind == "link" else ""
    return Member(
        name=portable_name(path, info.filename),
        kind=kind,
        mode=stat.S_IMODE(mode),
        size=info.file_size,
        linkname=linkname,
    )


def _zip_chunks(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(info) as stream:
        while data := stream.read(_BLOCK):
            yield data


def _read_folder(path: Path, advance: Advance) -> Iterator[tuple[Member, Chunks]]:
    try:
        yield from _folder_members(path, "", advance)
    except OSError as error:
        raise ArchiveProblem(f"{error.filename} cannot be read: {error.strerror}") from error


def _folder_members(root: Path, folder: str, advance: Advance) -> Iterator[tuple[Member, Chunks]]:
    for child in sorted(os.scandir(root / folder), key=lambda child: child.name):
        name = f"{folder}/{child.name}" if folder else child.name
        status = child.stat(follow_symlinks=False)
        member = _folder_member(name, child, status)
        is_file = member.kind == "file"
        yield member, _file_chunks(Path(child.path), advance) if is_file else iter(())
        if member.kind == "directory":
            yield from _folder_members(root, name, advance)


def _folder_member(name: str, child: os.DirEntry[str], status: os.stat_result) -> Member:
    kinds: dict[int, Kind] = {
        stat.S_IFREG: "file",
        stat.S_IFDIR: "directory",
        stat.S_IFLNK: "link",
    }
    kind = kinds.get(stat.S_IFMT(status.st_mode), "other")
    return Member(
        name=name,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        size=status.st_size if kind == "file" else 0,
        linkname=os.readlink(child.path) if kind == "link" else "",
    )


def _file_chunks(path: Path, advance: Advance) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while data := stream.read(_BLOCK):
            advance(len(data))
            yield data


Kind: TypeAlias = Literal["file", "directory", "link", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What stands in an archive or a folder under one name.

    Parameters:
        name: relative, with `/` between its parts and nothing to normalise in it.
        mode: the permission bits.
        size: of a file, in bytes.
        linkname: a link's text.
    """

    name: str
    kind: Kind
    mode: int
    size: int = 0
    linkname: str = ""


Chunks: TypeAlias = "Iterator[bytes]"
"""A file's bytes; what is not taken is passed over."""
_WINDOWS_ABSOLUTE: Final = re.compile(r"\\|[A-Za-z]:[\\/]")


def portable_name(archive: Path, name: str) -> str:
    """Return a member's name without what does not matter in it (`./`, `//`, a last `/`).

    Raises:
        ArchiveProblem: it is absolute or leads upwards, on any platform.
    """
    either = name.replace("\\", "/")
    if name.startswith("/") or _WINDOWS_ABSOLUTE.match(name) or ".." in either.split("/"):
        raise ArchiveProblem(
            f"{archive} is refused: its entry {name!r} would be written outside of the folder it"
            " is unpacked into"
        )
    if "\0" in name:
        raise ArchiveProblem(f"{archive} is refused: its entry {name!r} has no possible name")
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def leaves(name: str, linkname: str) -> bool:
    """Whether a link's text leads out of the archive.

    A `..` behind another part counts as leading out: where that part is a link, what it means is
    only known when it is followed.
    """
    parts = [part for part in linkname.split("/") if part not in ("", ".")]
    upwards = len(parts) - len([*_without_leading_parents(parts)])
    depth = name.count("/")
    inner = ".." in parts[upwards:]
    return posixpath.isabs(linkname) or inner or upwards > depth


def _without_leading_parents(parts: list[str]) -> list[str]:
    for index, part in enumerate(parts):
        if part != "..":
            return parts[index:]
    return []


class Names:
    """The names seen so far, each once and none below anything but a folder.

    Parameters:
        archive: for messages.
    """

    def __init__(self, archive: Path) -> None:
        self.last = ""
        self._archive = archive
        self._seen: set[str] = set()
        self._folders: set[str] = set()
        self._others: set[str] = set()

    def add(self, name: str, kind: str, linkname: str) -> None:
        """Take the next member.

        Raises:
            ArchiveProblem: the name was there before, as this or as another kind, or its folder
                is a file or a link; a link's text is empty.
        """
        parents = [name[:index] for index, letter in enumerate(name) if letter == "/"]
        below = next((parent for parent in parents if parent in self._others), None)
        if below is not None:
            raise self._refusal(name, f"lies below {below!r}, which is no folder")
        if name in self._seen or (kind != "directory" and name in self._folders):
            raise self._refusal(name, "is there twice")
        if kind == "link" and not linkname:
            raise self._refusal(name, "is a link to nothing")
        self._seen.add(name)
        self._folders.update(parents)
        (self._folders if kind == "directory" else self._others).add(name)
        self.last = name

    def _refusal(self, name: str, why: str) -> ArchiveProblem:
        return ArchiveProblem(f"{self._archive} is refused: its entry {name!r} {why}")
