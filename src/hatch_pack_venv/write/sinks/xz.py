"""An .xz file of blocks that threads compress independently, each with its own filters.

Blocks rather than streams: every reader accepts them, even one that stops after the first stream
(Commons Compress by default). The standard `lzma` turns each block into a complete file; everything
around the block is cut off, and a single header, index and footer enclose all blocks. See
https://tukaani.org/xz/xz-file-format.txt.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ...plan.order import is_native
from .deflate import Chunker
from .thread_pool import OrderedPool

if TYPE_CHECKING:
    from ...model.entries import FileEntry
    from ...model.results import Progress
    from . import Output


Filters: TypeAlias = list[dict[str, Any]]
_PIECE: Final = 1 << 20
_DICTIONARIES: Final = (1, 1, 2, 4, 4, 8, 16, 16, 32, 64)
"""MiB by level; a block holds three times as much, as in xz. Level 6 has twice as much as in xz: an
environment took 98.96 MB with 12 MiB and 97.31 with 16, for 3 % more time and 170 MiB more memory.
"""
_LITERALS: Final = {"lc": 4, "lp": 0, "pb": 0}
"""Context for predicting a byte: more bits of the previous byte than by default, and not its
position, which means little in a tar: machine code is 0.5 % smaller, text 0.3 %, in the same time.
"""
_NATIVE_DEPTH: Final = 10
_OTHER_DEPTH: Final = 16
_NICE_LENGTH: Final = 48
"""Levels 4 to 6 search for matches less deeply than xz, whose level 6 has a depth of 48 and a nice
length of 64. The environment took 102.6 s and 97.31 MB with depths of 12 and 24, 95.1 s and 97.71
MB with 10 and 18, 91.2 s and 98.10 MB as set here; `tar | xz -T2 -6` 97.4 s and 103.73 MB.
"""
_HEADER_SIZE: Final = 12
_FOOTER_SIZE: Final = 12


class XzCompressor:
    """Compresses into an .xz file.

    Parameters:
        output: receives the bytes.
        branches: whether machine code is for x86, whose branch filter makes it smaller.
        progress: called in a thread with the size of each piece that was compressed.
    """

    def __init__(
        self,
        output: Output,
        level: int,
        threads: int,
        *,
        branches: bool,
        progress: Progress = lambda _count: None,
    ) -> None:
        self._progress = progress
        self._file = _XzFile(output)
        self._block = 3 * _DICTIONARIES[level]  # in pieces
        most = (threads + 1) * self._block - 1  # pieces: what threads hold, plus less than a block
        self._pool = OrderedPool[bytes](threads, self._file.add, ahead=most - threads)
        self._level = level
        self._branches = branches
        self._native = False
        self._cutter = Chunker(_PIECE)
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Compress the next bytes."""
        for piece in self._cutter.cut(data):
            self._pieces.append(piece)
            if len(self._pieces) == 2 * self._block:
                self._put(self._block)

    def enter(self, entry: FileEntry) -> None:
        """Start a new block where machine code starts or ends."""
        native = is_native(entry)
        if native != self._native:
            self._put_rest(self._block * 4 // 3)
            self._native = native

    def close(self) -> None:
        """Compress the remaining bytes, in small blocks so that all threads finish together."""
        self._put_rest(self._block // 3)
        self._pool.close()
        self._file.close()

    def discard(self) -> None:
        """Abort."""
        self._pool.cancel()

    def _put_rest(self, most: int) -> None:
        """Split the pending pieces into blocks of equal size, at most `most` pieces each."""
        self._pieces.append(self._cutter.rest())
        for left in range(-(-len(self._pieces) // most), 0, -1):
            self._put(-(-len(self._pieces) // left))

    def _put(self, size: int) -> None:
        """Submit a block of the first pieces."""
        pieces, self._pieces = self._pieces[:size], self._pieces[size:]
        if any(pieces):
            filters = self._filters()

            def done(count: int) -> None:
                self._pool.check()
                self._progress(count)

            self._pool.put(lambda: _compressed(pieces, filters, done), weight=size)

    def _filters(self) -> Filters:
        size = _DICTIONARIES[self._level] << 20
        lzma2 = {"id": lzma.FILTER_LZMA2, "preset": self._level, "dict_size": size, **_LITERALS}
        if 4 <= self._level <= 6:
            lzma2["depth"] = _NATIVE_DEPTH if self._native else _OTHER_DEPTH
        if self._level == 6:
            lzma2["nice_len"] = _NICE_LENGTH
        return [{"id": lzma.FILTER_X86}, lzma2] if self._native and self._branches else [lzma2]


def _compressed(pieces: list[bytes], filters: Filters, done: Progress) -> bytes:
    """Return a complete .xz file of some pieces, which are released one by one.

    Parameters:
        done: called with the size of each; ends the work by an exception.
    """
    compressor = lzma.LZMACompressor(lzma.FORMAT_XZ, lzma.CHECK_CRC64, filters=filters)
    pieces.reverse()
    parts = []
    done(0)
    while pieces:
        piece = pieces.pop()
        parts.append(compressor.compress(piece))
        done(len(piece))
    parts.append(compressor.flush())
    return b"".join(parts)


@dataclass(slots=True)
class _XzFile:
    """Merges the blocks of many .xz files into one file."""

    output: Output
    header: bytes = b""
    records: list[bytes] = field(default_factory=list)

    def add(self, file: bytes) -> None:
        """Append the single block of a file."""
        if not self.header:
            self.header = file[:_HEADER_SIZE]
            self.output.write(self.header)
        footer = file[-_FOOTER_SIZE:]
        index_size = 4 * (struct.unpack_from("<I", footer, 4)[0] + 1)
        end = len(file) - _FOOTER_SIZE - index_size
        self.output.write(memoryview(file)[_HEADER_SIZE:end])
        self.records.append(_only_record(file[end:-_FOOTER_SIZE]))

    def close(self) -> None:
        """Write the index and the footer."""
        index = b"\0" + _number(len(self.records)) + b"".join(self.records)
        index += bytes(-len(index) % 4)
        index += struct.pack("<I", zlib.crc32(index))
        sizes_and_flags = struct.pack("<I", len(index) // 4 - 1) + self.header[6:8]
        checksum = struct.pack("<I", zlib.crc32(sizes_and_flags))
        self.output.write(index + checksum + sizes_and_flags + b"YZ")


def _only_record(index: bytes) -> bytes:
    """Return the record of an index with one: two numbers, each ending at a byte below 128."""
    start = 2  # after the indicator and the number of records
    end = start
    for _ in range(2):
        while index[end] & 0x80:
            end += 1
        end += 1
    return index[start:end]


def _number(value: int) -> bytes:
    """Encode a number with seven bits per byte, the lowest first."""
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
