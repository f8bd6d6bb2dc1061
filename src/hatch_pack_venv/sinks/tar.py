"""Tar archives, plain or compressed."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING, BinaryIO, Final

from ..normalise import is_native, mode_of
from .compressors import compressor

if TYPE_CHECKING:
    from ..entries import DirectoryEntry, Entry, FileEntry, SymlinkEntry
    from ..formats import Compression
    from . import Output

_BLOCK: Final = 1 << 20
_RECORD: Final = tarfile.RECORDSIZE


class TarSink:
    """Writes ustar headers (POSIX.1-1988), with extended ones (pax) only where a name needs them.

    Parameters:
        output: where the archive's bytes go.
        install_target: the top folder, `"."` for none.
    """

    holds_links = True

    def __init__(self, output: Output, compression: Compression, install_target: str) -> None:
        self._stream = compressor(output, compression)
        self._top = "" if install_target == "." else f"{install_target}/"
        self._size = 0

    def add_directory(self, entry: DirectoryEntry) -> None:
        """Add a folder."""
        self._add(self._header(entry, tarfile.DIRTYPE))

    def add_link(self, entry: SymlinkEntry) -> None:
        """Add a symbolic link."""
        header = self._header(entry, tarfile.SYMTYPE)
        header.linkname = entry.linkname
        self._add(header)

    def add_file(self, entry: FileEntry, stream: BinaryIO) -> None:
        """Add a file."""
        self._stream.enter(native=is_native(entry))
        header = self._header(entry, tarfile.REGTYPE)
        header.size = entry.size
        self._add(header)
        while block := stream.read(_BLOCK):
            self._stream.write(block)
        self._pad(entry.size, tarfile.BLOCKSIZE)

    def close(self) -> None:
        """End the archive and the compressed stream."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._pad(self._size, _RECORD)
        self._stream.close()

    def discard(self) -> None:
        """End the compressor's threads."""
        self._stream.discard()

    def _header(self, entry: Entry, kind: bytes) -> tarfile.TarInfo:
        # A fresh header has owner and group 0 without names.
        header = tarfile.TarInfo((self._top + entry.arcname).removesuffix("/"))
        header.type = kind
        header.mode = mode_of(entry)
        header.mtime = entry.mtime or 0
        return header

    def _add(self, header: tarfile.TarInfo) -> None:
        self._write(_encoded(header))
        self._size += header.size

    def _pad(self, size: int, unit: int) -> None:
        self._write(bytes(-size % unit))

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        self._size += len(data)


def _encoded(header: tarfile.TarInfo) -> bytes:
    try:
        return header.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    except ValueError:  # a long name, one that is not ASCII, a size or time of too many digits
        return header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
