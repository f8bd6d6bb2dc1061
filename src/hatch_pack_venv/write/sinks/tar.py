"""Tar archives, plain or compressed."""

from __future__ import annotations

import struct
import tarfile
import zlib
from typing import TYPE_CHECKING, Final

from ...model.entries import mode_of
from .blocks import of_file, of_piece
from .compressors import compressor

if TYPE_CHECKING:
    from ...model.entries import DirectoryEntry, Entry, FileEntry, SymlinkEntry
    from ...model.formats import Compression
    from ...model.results import Progress
    from . import Content, Output


_FIELDS: Final = struct.Struct("100s 8s 16s 12s 12s 8s 1s 100s 8s 64s 16s 155s 12x")
_NOBODY: Final = b"0000000\0" * 2  # owner and group, or device numbers
_MAGIC: Final = b"ustar\x0000"
_NO_CHECKSUM: Final = b" " * 8  # placeholder while the checksum is computed
_BEFORE_CHECKSUM: Final = 148
_AFTER_CHECKSUM: Final = 156
_NAME: Final = 100
_PREFIX: Final = 155
_LARGEST: Final = 8**11 - 1


def header(
    name: str, kind: bytes, mode: int, mtime: int, *, size: int = 0, link: str = ""
) -> bytes:
    """Return the header blocks of a member.

    Parameters:
        kind: the type, as in `tarfile`.
        link: the linkname of a symbolic link.
    """
    stored = f"{name}/" if kind == tarfile.DIRTYPE else name
    parts = _split(stored)
    plain = parts is not None and len(link) <= _NAME and link.isascii()
    if parts is None or not plain or max(mtime, size) > _LARGEST:
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.mtime, info.size, info.linkname = kind, mode, mtime, size, link
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    prefix, rest, linked = map(str.encode, (*parts, link))
    block = _FIELDS.pack(
        rest,
        b"%07o" % mode,
        _NOBODY,
        b"%011o" % size,
        b"%011o" % mtime,
        _NO_CHECKSUM,
        kind,
        linked,
        _MAGIC,
        b"",
        _NOBODY,
        prefix,
    )
    # The lower half of Adler-32 is one more than the sum of all bytes (RFC 1950), modulo 65521: far
    # more than an all-ASCII header can reach.
    checksum = (zlib.adler32(block) & 0xFFFF) - 1
    return b"%b%06o\0 %b" % (block[:_BEFORE_CHECKSUM], checksum, block[_AFTER_CHECKSUM:])


def _split(name: str) -> tuple[str, str] | None:
    """Split a name into prefix (usually empty) and name field; return `None` if it does not fit."""
    if not name.isascii():
        return None
    if len(name) <= _NAME:
        return "", name
    slash = name.find("/", len(name) - _NAME - 1)
    if slash < 1 or slash > _PREFIX or slash == len(name) - 1:
        return None
    return name[:slash], name[slash + 1 :]


_BLOCK: Final = 1 << 20
_JOINED: Final = 1 << 14
"""Bytes up to which copying costs less than two more writes."""
_RECORD: Final = tarfile.RECORDSIZE


class TarSink:
    """Writes ustar headers (POSIX.1-1988), with extended ones (pax) only where a name needs them.

    Parameters:
        output: receives the archive's bytes.
        install_target: the top-level folder, or `"."` for none.
        progress: called with the size of what has been compressed, by compressors that lag behind.
    """

    holds_links = True
    shares_files = False

    def __init__(
        self,
        output: Output,
        compression: Compression,
        install_target: str,
        progress: Progress | None = None,
    ) -> None:
        self._stream = compressor(output, compression, progress)
        self._top = "" if install_target == "." else f"{install_target}/"
        self._size = 0

    def add_directory(self, entry: DirectoryEntry) -> None:
        """Add a folder."""
        self._write(self._header(entry, tarfile.DIRTYPE))

    def add_link(self, entry: SymlinkEntry) -> None:
        """Add a symbolic link."""
        self._write(self._header(entry, tarfile.SYMTYPE, link=entry.linkname))

    def add_bytes(self, entry: FileEntry, data: bytes, digest: bytes) -> None:
        """Add a file whose content has been read."""
        self._write_file(self._head(entry), data, digest)

    def add_file(self, entry: FileEntry, stream: Content) -> None:
        """Add a file."""
        self._write(self._head(entry))
        while block := stream.read(_BLOCK):
            self._write(block, of_piece(len(block), stream.digest()))
        self._write(_padding(entry.size))

    def close(self, _digest: str) -> None:
        """End the archive and the compressed stream."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._write(bytes(-self._size % _RECORD))
        self._stream.close()

    def discard(self) -> None:
        """Stop the compressor's threads."""
        self._stream.discard()

    def _head(self, entry: FileEntry) -> bytes:
        self._stream.enter(entry)
        return self._header(entry, tarfile.REGTYPE, size=entry.size)

    def _header(self, entry: Entry, kind: bytes, *, size: int = 0, link: str = "") -> bytes:
        return header(
            self._name(entry), kind, mode_of(entry), entry.mtime or 0, size=size, link=link
        )

    def _name(self, entry: Entry) -> str:
        return (self._top + entry.arcname).removesuffix("/")

    def _write_file(self, head: bytes, data: bytes, digest: bytes) -> None:
        """Write a header and a whole file; a small one in a single write."""
        padding = _padding(len(data))
        if len(data) < _JOINED:
            self._write(head + data + padding, of_file(digest, head))
        else:
            self._write(head)
            self._write(data, of_file(digest))
            self._write(padding)

    def _write(self, data: bytes, fingerprint: bytes | None = None) -> None:
        self._stream.write(data, fingerprint)
        self._size += len(data)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
