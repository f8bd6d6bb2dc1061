"""The members of a tar archive, from a stream that is only read onwards."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from ..errors import ArchiveProblem
from .members import Member, portable_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .members import Chunks, Kind

_BLOCK: Final = 1 << 16


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
            if not self.read(min(_BLOCK, position - self._position)):
                message = "the end is missing"
                raise EOFError(message)

    def read(self, size: int) -> bytes:
        if size > _BLOCK:
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
            data = self.read(min(_BLOCK, size))
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
        padding = onwards.read(_BLOCK)


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
