"""Stream compressors that use all CPUs: the output depends neither on their number nor on timing.

Each buffers a bounded part of its input. Blocks and dictionaries depend only on format and level.
"""

from __future__ import annotations

import bz2
import struct
import sys
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from ...model.formats import CompressionFormat
from .deflate import BLOCK, WINDOW, Chunker, checksum, deflate_block
from .thread_pool import AHEAD, OrderedPool
from .xz import XzCompressor

if TYPE_CHECKING:
    from ...model.entries import FileEntry
    from ...model.formats import Compression
    from ...model.results import Progress
    from . import Output


if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


class Compressor(Protocol):
    """Compresses a stream into an output."""

    def write(self, data: bytes) -> None:
        """Compress the next bytes."""
        ...

    def enter(self, entry: FileEntry) -> None:
        """Announce the file that follows."""
        ...

    def close(self) -> None:
        """Compress the remaining bytes, and end the stream."""
        ...

    def discard(self) -> None:
        """Abort; no thread is running afterwards."""
        ...


def compressor(
    output: Output, compression: Compression, progress: Progress | None = None
) -> Compressor:
    """Return the compressor for a tar format.

    Parameters:
        progress: called with the size of what was compressed, where a compressor lags behind what
            it was given (`is_slow`).
    """
    level, threads = compression.level, compression.threads
    match compression.format:
        case CompressionFormat.GZIP:
            return GzipCompressor(output, level, threads)
        case CompressionFormat.BZIP2:
            return Bzip2Compressor(output, level, threads)
        case CompressionFormat.XZ:
            told = {} if progress is None else {"progress": progress}
            return XzCompressor(output, level, threads, branches=compression.x86, **told)
        case CompressionFormat.ZSTD:
            return ZstdCompressor(output, level, threads)
        case _:
            return Uncompressed(output)


class _Stream:
    """A compressor that does not care which file the bytes belong to."""

    def enter(self, entry: FileEntry) -> None:
        """Do nothing."""


class Uncompressed(_Stream):
    """Passes the stream through unchanged."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def write(self, data: bytes) -> None:
        """Write the bytes."""
        self._output.write(data)

    def close(self) -> None:
        """Do nothing."""

    def discard(self) -> None:
        """Do nothing."""


class GzipCompressor(_Stream):
    """One gzip member (RFC 1952) with neither name nor time, of blocks deflated in threads."""

    def __init__(self, output: Output, level: int, threads: int) -> None:
        self._output = output
        self._level = level
        self._pool = OrderedPool[bytes](threads, self._take, ahead=AHEAD)
        self._cutter = Chunker(BLOCK)
        self._dictionary = b""
        self._checksum = 0
        self._size = 0
        output.write(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")

    def write(self, data: bytes) -> None:
        """Compress the next bytes."""
        for block in self._cutter.cut(data):
            self._put(block, last=False)

    def close(self) -> None:
        """Compress the remaining bytes, and write the trailer."""
        self._put(self._cutter.rest(), last=True)
        self._pool.close()
        self._output.write(struct.pack("<II", self._checksum, self._size & 0xFFFFFFFF))

    def discard(self) -> None:
        """Abort."""
        self._pool.cancel()

    def _put(self, block: bytes, *, last: bool) -> None:
        self._checksum = checksum(block, self._checksum)
        self._size += len(block)
        self._pool.put(partial(deflate_block, block, self._dictionary, self._level, last=last))
        self._dictionary = block[-WINDOW:]

    def _take(self, part: bytes) -> None:
        self._output.write(part)


_BZIP2_UNIT: Final = 100_000
_BZIP2_RESERVE: Final = 100
"""bzip2 keeps 19 bytes of a block free; with this reserve most of our blocks fit into one."""


class Bzip2Compressor(_Stream):
    """A sequence of streams with one block each, as `pbzip2` writes them."""

    def __init__(self, output: Output, level: int, threads: int) -> None:
        self._output = output
        self._level = level
        self._pool = OrderedPool[bytes](threads, self._take, ahead=AHEAD)
        self._cutter = Chunker(level * _BZIP2_UNIT - _BZIP2_RESERVE)

    def write(self, data: bytes) -> None:
        """Compress the next bytes."""
        for block in self._cutter.cut(data):
            self._pool.put(partial(bz2.compress, block, self._level))

    def close(self) -> None:
        """Compress the remaining bytes."""
        self._pool.put(partial(bz2.compress, self._cutter.rest(), self._level))
        self._pool.close()

    def discard(self) -> None:
        """Abort."""
        self._pool.cancel()

    def _take(self, part: bytes) -> None:
        self._output.write(part)


_ZSTD_WINDOW: Final = 27
"""128 MiB: the largest window that decompressors accept by default."""
_ZSTD_JOB: Final = 6 << 20
"""Bytes per compression job: 16 MiB would save 0.4 % of the size for 50 MiB more memory."""
_ZSTD_LONG_HASHES: Final = 18
"""Binary logarithm of the size of the long-distance matching table; libzstd's own choice made an
environment 0.1 % smaller, for 4 % more time and 20 MiB more memory.
"""


class ZstdCompressor(_Stream):
    """One zstd frame (RFC 8878) by libzstd's own threads, with long-distance matching.

    With at least one worker, libzstd splits jobs by size alone, so the number of workers does not
    affect the output; without workers it would be different.
    """

    def __init__(self, output: Output, level: int, threads: int) -> None:
        self._output = output
        self._cutter = Chunker(BLOCK)
        self._compressor = zstd.ZstdCompressor(options=_zstd_options(level, threads))

    def write(self, data: bytes) -> None:
        """Compress the next bytes."""
        try:
            for block in self._cutter.cut(data):
                self._output.write(self._compressor.compress(block))
        except zstd.ZstdError as error:  # libzstd's only one for valid input
            raise MemoryError(str(error)) from error

    def close(self) -> None:
        """Compress the remaining bytes, and end the frame."""
        try:
            self._output.write(self._compressor.compress(self._cutter.rest()))
            self._output.write(self._compressor.flush())
        except zstd.ZstdError as error:
            raise MemoryError(str(error)) from error

    def discard(self) -> None:
        """Have libzstd stop its threads."""
        del self._compressor


def _zstd_options(level: int, threads: int) -> dict[int, int]:
    parameter = zstd.CompressionParameter
    lowest, highest = parameter.nb_workers.bounds()
    return {
        parameter.compression_level: level,
        parameter.checksum_flag: 1,
        parameter.nb_workers: max(lowest, min(threads, highest)),
        parameter.enable_long_distance_matching: 1,
        parameter.ldm_hash_log: _ZSTD_LONG_HASHES,
        parameter.window_log: _ZSTD_WINDOW,
        parameter.job_size: _ZSTD_JOB,
    }
