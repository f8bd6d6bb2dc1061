"""Tar archives, plain or compressed."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING, BinaryIO, Final

from ..normalise import mode_of
from .compressors import compressor
from .tar_headers import header

if TYPE_CHECKING:
    from ..entries import DirectoryEntry, FileEntry, SymlinkEntry
    from ..formats import Compression
    from . import Output

_BLOCK: Final = 1 << 20
_JOINED: Final = 1 << 14
"""Bytes up to which copying costs less than two more writes."""
_RECORD: Final = tarfile.RECORDSIZE


class TarSink:
    """Writes ustar headers (POSIX.1-1988), with extended ones (pax) only where a name needs them.

    Parameters:
        output: where the archive's bytes go.
        install_target: the top folder, `"."` for none.
    """

    holds_links = True
    shares_files = False

    def __init__(self, output: Output, compression: Compression, install_target: str) -> None:
        self._stream = compressor(output, compression)
        self._top = "" if install_target == "." else f"{install_target}/"
        self._size = 0

    def add_directory(self, entry: DirectoryEntry) -> None:
        """Add a folder."""
        name = (self._top + entry.arcname).removesuffix("/")
        self._write(header(name, tarfile.DIRTYPE, mode_of(entry), entry.mtime or 0))

    def add_link(self, entry: SymlinkEntry) -> None:
        """Add a symbolic link."""
        name = self._top + entry.arcname
        mode, mtime = mode_of(entry), entry.mtime or 0
        self._write(header(name, tarfile.SYMTYPE, mode, mtime, link=entry.linkname))

    def add_bytes(self, entry: FileEntry, data: bytes) -> None:
        """Add a file that has been read; a small one in one write."""
        head, padding = self._head(entry), _padding(entry)
        if len(data) < _JOINED:
            self._write(head + data + padding)
        else:
            self._write(head)
            self._write(data)
            self._write(padding)

    def add_file(self, entry: FileEntry, stream: BinaryIO) -> None:
        """Add a file."""
        self._write(self._head(entry))
        while block := stream.read(_BLOCK):
            self._write(block)
        self._write(_padding(entry))

    def close(self) -> None:
        """End the archive and the compressed stream."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._write(bytes(-self._size % _RECORD))
        self._stream.close()

    def discard(self) -> None:
        """End the compressor's threads."""
        self._stream.discard()

    def _head(self, entry: FileEntry) -> bytes:
        self._stream.enter(entry)
        name = self._top + entry.arcname
        mode, mtime = mode_of(entry), entry.mtime or 0
        return header(name, tarfile.REGTYPE, mode, mtime, size=entry.size)

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        self._size += len(data)


def _padding(entry: FileEntry) -> bytes:
    return bytes(-entry.size % tarfile.BLOCKSIZE)
