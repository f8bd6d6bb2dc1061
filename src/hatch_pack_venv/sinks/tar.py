"""Tar archives, plain or compressed."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import tarfile
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from ..formats import CompressionFormat
from ..normalise import mode_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from ..entries import DirectoryEntry, Entry, FileEntry, SymlinkEntry


_BLOCK: Final = 1 << 20


class TarSink:
    """Writes POSIX.1-2001 (pax) headers, extended ones only where a name needs them.

    Parameters:
        output: where the archive's bytes go; it stays open.
        install_target: the top folder, `"."` for none.
    """

    holds_links = True

    def __init__(
        self, output: BinaryIO, format: CompressionFormat, level: int | None, install_target: str
    ) -> None:
        self._compressor = _compressor(output, format, level)
        self._tar = tarfile.TarFile(
            fileobj=self._compressor or output,
            mode="w",
            format=tarfile.PAX_FORMAT,
            copybufsize=_BLOCK,
        )
        self._top = "" if install_target == "." else f"{install_target}/"

    def add_directory(self, entry: DirectoryEntry) -> None:
        """Add a folder."""
        self._tar.addfile(self._header(entry, tarfile.DIRTYPE))

    def add_link(self, entry: SymlinkEntry) -> None:
        """Add a symbolic link."""
        header = self._header(entry, tarfile.SYMTYPE)
        header.linkname = entry.linkname
        self._tar.addfile(header)

    def add_file(self, entry: FileEntry, stream: BinaryIO) -> None:
        """Add a file."""
        header = self._header(entry, tarfile.REGTYPE)
        header.size = entry.size
        self._tar.addfile(header, stream)

    def close(self) -> None:
        """End the archive and the compressed stream."""
        self._tar.close()
        if self._compressor is not None:
            self._compressor.close()

    def discard(self) -> None:
        """End the compressed stream, or its finalizer would write to a file that is gone."""
        with suppress(Exception):
            if self._compressor is not None:
                self._compressor.close()

    def _header(self, entry: Entry, kind: bytes) -> tarfile.TarInfo:
        # A fresh header has owner and group 0 without names.
        header = tarfile.TarInfo((self._top + entry.arcname).removesuffix("/"))
        header.type = kind
        header.mode = mode_of(entry)
        header.mtime = entry.mtime or 0
        return header


def _compressor(output: BinaryIO, format: CompressionFormat, level: int | None) -> BinaryIO | None:
    """Return the stream that compresses into `output`; `None` for a plain tar."""
    if format.levels is None:
        return None
    if level is None:
        level = format.levels.default
    match format:
        case CompressionFormat.GZIP:
            # No name and no time in the header (RFC 1952).
            stream: object = gzip.GzipFile("", "wb", level, output, mtime=0)
        case CompressionFormat.BZIP2:
            stream = bz2.BZ2File(output, "wb", compresslevel=level)
        case CompressionFormat.XZ:
            stream = lzma.LZMAFile(output, "wb", preset=level)  # noqa: SIM115 - closed by close()
        case _:
            parameter = zstd.CompressionParameter
            options: dict[int, int] = {
                parameter.compression_level: level,
                parameter.checksum_flag: 1,
            }
            stream = zstd.ZstdFile(output, "wb", options=options)
    return cast("BinaryIO", stream)
