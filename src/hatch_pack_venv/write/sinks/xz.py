"""An .xz file of blocks that threads compress independently, each with its own filters.

Blocks rather than streams: every reader accepts them, even one that stops after the first stream
(Commons Compress by default). The standard library's `lzma` turns each block into a complete file;
everything around the block is cut off, and a single header, index and footer enclose all blocks.
See https://tukaani.org/xz/xz-file-format.txt.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ...plan.order import is_native
from .blocks import MIB, Cutter, Sizes, pieces
from .thread_pool import OrderedPool

if TYPE_CHECKING:
    from ...model.entries import FileEntry
    from ...model.formats import Compression
    from ...model.results import Progress
    from . import Output
    from .blocks import Block


Filters: TypeAlias = list[dict[str, Any]]
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
        progress: called from a thread, with the size of each piece that has been compressed.
    """

    def __init__(
        self, output: Output, compression: Compression, progress: Progress | None = None
    ) -> None:
        self._progress = progress or (lambda _count: None)
        self._file = _XzFile(output)
        self._level = compression.level
        self._branches = compression.x86
        self._remembered = compression.remembered
        self._native = False
        dictionary, threads = _DICTIONARIES[self._level] * MIB, compression.threads
        sizes = Sizes(least=dictionary * 9 // 4, most=3 * dictionary, last=dictionary)
        self._cutter = Cutter(sizes, compression.own)
        most = (threads + 1) * sizes.most // MIB  # pieces: what threads hold, plus a block
        self._pool = OrderedPool[bytes](threads, self._file.add, ahead=most - threads)

    def write(self, data: bytes, fingerprint: bytes | None = None) -> None:
        """Compress the next bytes."""
        for block in self._cutter.write(data, fingerprint):
            self._put(block)

    def enter(self, entry: FileEntry) -> None:
        """Announce the file that follows."""
        for block in self._cutter.enter(entry):
            self._put(block)
        self._native = is_native(entry)

    def close(self) -> None:
        """Compress the remaining bytes, and end the file."""
        for block in self._cutter.rest():
            self._put(block)
        self._pool.close()
        self._file.close()

    def discard(self) -> None:
        """Abort."""
        self._pool.cancel()

    def _put(self, block: Block) -> None:
        parts, told, filters = pieces(block.parts), block.fingerprints, self._filters()

        def done(count: int) -> None:
            self._pool.check()
            self._progress(count)

        def make() -> bytes:
            return _compressed(parts, filters, done)

        def work() -> bytes:
            size = sum(map(len, parts))
            found = self._remembered(make, told, f"xz {filters}")
            if parts:  # found in the cache
                done(size)
            return found

        self._pool.put(work, weight=len(parts))

    def _filters(self) -> Filters:
        size = _DICTIONARIES[self._level] * MIB
        lzma2 = {"id": lzma.FILTER_LZMA2, "preset": self._level, "dict_size": size, **_LITERALS}
        if 4 <= self._level <= 6:
            lzma2["depth"] = _NATIVE_DEPTH if self._native else _OTHER_DEPTH
        if self._level == 6:
            lzma2["nice_len"] = _NICE_LENGTH
        return [{"id": lzma.FILTER_X86}, lzma2] if self._native and self._branches else [lzma2]


def _compressed(pieces: list[bytes], filters: Filters, done: Progress) -> bytes:
    """Return a complete .xz file of some pieces, which are released one by one.

    Parameters:
        done: called with the size of each; raises an exception to end the work.
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
    """Return the only record of an index: two numbers, each ending with a byte below 128."""
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
