"""Stream compressors that use all CPUs: the output depends neither on their number nor on timing.

Each buffers a bounded part of its input. Blocks and dictionaries depend only on format and level.
"""

from __future__ import annotations

import bz2
import struct
import sys
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from ...model.formats import CompressionFormat
from .blocks import MIB, Cutter, Sizes, of_bytes
from .deflate import WINDOW, block_depends_on, checksum, deflate_block
from .thread_pool import AHEAD, OrderedPool
from .xz import XzCompressor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...model.entries import FileEntry
    from ...model.formats import Compression
    from ...model.results import Progress
    from . import Output
    from .blocks import Block


if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd
ZSTD_VERSION: Final = zstd.zstd_version


class Compressor(Protocol):
    """Compresses a stream into an output."""

    def write(self, data: bytes, fingerprint: bytes | None = None) -> None:
        """Compress the next bytes.

        Parameters:
            fingerprint: identifies these bytes, if it is known; see `blocks`.
        """
        ...

    def enter(self, entry: FileEntry) -> None:
        """Announce the file that follows."""
        ...

    def close(self) -> None:
        """Compress the remaining bytes, and end the stream."""
        ...

    def discard(self) -> None:
        """Abort; afterwards, threads at most finish a call that has already begun."""
        ...


def compressor(
    output: Output, compression: Compression, progress: Progress | None = None
) -> Compressor:
    """Return the compressor for a tar format.

    Parameters:
        progress: called with the size of what has been compressed, but only by xz, which lags
            behind its input.
    """
    match compression.format:
        case CompressionFormat.GZIP:
            return GzipCompressor(output, compression)
        case CompressionFormat.BZIP2:
            return Bzip2Compressor(output, compression)
        case CompressionFormat.XZ:
            return XzCompressor(output, compression, progress)
        case CompressionFormat.ZSTD:
            return ZstdCompressor(output, compression)
        case _:
            return Uncompressed(output)


class Uncompressed:
    """Passes the stream through unchanged."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def write(self, data: bytes, _fingerprint: bytes | None = None) -> None:
        """Write the bytes."""
        self._output.write(data)

    def enter(self, entry: FileEntry) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def discard(self) -> None:
        """Do nothing."""


class _Blocks:
    """Compresses block by block, in threads.

    Parameters:
        ahead: the total weight of the blocks that may wait for a thread.
    """

    def __init__(
        self, output: Output, compression: Compression, sizes: Sizes, *, ahead: int = AHEAD
    ) -> None:
        self._output = output
        self._level = compression.level
        self._remembered = compression.remembered
        self._cutter = Cutter(sizes, compression.own)
        self._pool = OrderedPool[bytes](compression.threads, self._take, ahead=ahead)

    def enter(self, entry: FileEntry) -> None:
        """Announce the file that follows."""
        for block in self._cutter.enter(entry):
            self._put(block)

    def write(self, data: bytes, fingerprint: bytes | None = None) -> None:
        """Compress the next bytes."""
        for block in self._cutter.write(data, fingerprint):
            self._put(block)

    def close(self) -> None:
        """Compress the remaining bytes, and end the stream."""
        for block in self._cutter.rest():
            self._put(block)
        self._end()

    def discard(self) -> None:
        """Abort."""
        self._pool.cancel()

    def _put(self, block: Block) -> None:
        raise NotImplementedError

    def _end(self) -> None:
        self._pool.close()

    def _take(self, part: bytes) -> None:
        self._output.write(part)


_GZIP_SIZES: Final = Sizes(least=MIB * 3 // 4, most=MIB * 5 // 4)


class GzipCompressor(_Blocks):
    """Writes one gzip member (RFC 1952) without name or time, of blocks deflated in threads."""

    def __init__(self, output: Output, compression: Compression) -> None:
        super().__init__(output, compression, _GZIP_SIZES)
        self._dictionary = b""
        self._checksum = 0
        self._size = 0
        output.write(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")

    def _put(self, block: Block) -> None:
        data, dictionary, level = b"".join(block.parts), self._dictionary, self._level
        self._checksum = checksum(data, self._checksum)
        self._size += len(data)
        make = partial(deflate_block, data, dictionary, level, last=False)
        how = block_depends_on(dictionary, level, last=False)
        told = [of_bytes(dictionary), *block.fingerprints]
        self._pool.put(partial(self._remembered, make, told, how))
        self._dictionary = data[-WINDOW:]

    def _end(self) -> None:
        super()._end()
        self._output.write(deflate_block(b"", b"", self._level, last=True))
        self._output.write(struct.pack("<II", self._checksum, self._size & 0xFFFFFFFF))


_BZIP2_UNIT: Final = 100_000
_BZIP2_RESERVE: Final = 100
"""bzip2 keeps 19 bytes of a block free; with this reserve, most of ours fit into one."""


class Bzip2Compressor(_Blocks):
    """Writes a sequence of streams with one block each, as `pbzip2` does."""

    def __init__(self, output: Output, compression: Compression) -> None:
        most = compression.level * _BZIP2_UNIT - _BZIP2_RESERVE
        super().__init__(output, compression, Sizes(least=most * 7 // 8, most=most))

    def _put(self, block: Block) -> None:
        make = partial(bz2.compress, b"".join(block.parts), self._level)
        how = f"bzip2 {self._level}"
        self._pool.put(partial(self._remembered, make, block.fingerprints, how))


_ZSTD_SIZES: Final = Sizes(least=36 * MIB, most=48 * MIB)
"""With 64 MiB an environment became 0.3 % smaller, for 70 MiB more memory; long-distance matching,
whose matches are of no use to other blocks, made it 0.4 % larger."""
_ZSTD_WINDOW: Final = 26  # binary logarithm
_ZSTD_BLOCK: Final = 17  # binary logarithm of a block's largest size (RFC 8878, 3.1.1.2.4)
_ZSTD_LAST: Final = b"\x01\0\0"
"""An empty block that ends a frame (RFC 8878, 3.1.1.2)."""


class ZstdCompressor(_Blocks):
    """Writes one zstd frame (RFC 8878) of blocks that are independent of each other.

    libzstd's own threads compress jobs that can follow anything, so that a frame can be made of
    them: they neither look back nor rely on the repeat offsets that the decompressor keeps
    (`lib/compress/zstdmt_compress.c`: `ZSTD_invalidateRepCodes`). The first job of a frame does;
    here it is a single byte, and its output is cut off. A frame for each block would be simpler,
    but some readers stop after the first one (python-zstandard by default).
    """

    def __init__(self, output: Output, compression: Compression) -> None:
        waiting = compression.threads * (_ZSTD_SIZES.most // MIB)  # what threads hold, in MiB
        super().__init__(output, compression, _ZSTD_SIZES, ahead=waiting)
        self._sum = _ZstdChecksum()
        self._streams = _ZstdStreams(compression.level, self._pool)
        self._how = f"zstd {_zstd_options(self._level, 0)}"  # jobs are as long as their blocks
        output.write(_zstd_header(compression.level))

    def _put(self, block: Block) -> None:
        for part in block.parts:
            self._sum.update(part)
        weight = 1 + block.size // MIB
        make = partial(self._streams.compress, block.parts)
        work = partial(self._remembered, make, block.fingerprints, self._how)
        self._pool.put(work, weight=weight)

    def _end(self) -> None:
        super()._end()
        self._output.write(_ZSTD_LAST + self._sum.digest())


@contextmanager
def _telling_memory() -> Iterator[None]:
    """Turn libzstd's only error for valid input, a lack of memory, into `MemoryError`."""
    try:
        yield
    except zstd.ZstdError as error:
        raise MemoryError(str(error)) from error


class _ZstdStreams:
    """One stream per thread, whose memory is reused from block to block.

    A new stream for each block took 4 % more time, for pages that the system had to clear. A whole
    block is compressed at its end, in one call, which takes most of a minute at level 19.
    """

    def __init__(self, level: int, pool: OrderedPool[bytes]) -> None:
        self._level = level
        self._pool = pool
        self._local = threading.local()

    @_telling_memory()
    def compress(self, parts: list[bytes]) -> bytes:
        """Return a frame's blocks that hold the parts, which are released one by one."""
        stream = self._stream()
        stream.compress(b"\0", zstd.ZstdCompressor.FLUSH_BLOCK)
        parts.reverse()
        compressed = []
        while parts:
            compressed.append(stream.compress(parts.pop()))
        end = partial(stream.flush, zstd.ZstdCompressor.FLUSH_BLOCK)
        compressed.append(self._pool.call(end))
        stream.flush(zstd.ZstdCompressor.FLUSH_FRAME)
        return b"".join(compressed)

    def _stream(self) -> zstd.ZstdCompressor:
        if not hasattr(self._local, "stream"):
            options = _zstd_options(self._level, _ZSTD_SIZES.most)
            self._local.stream = zstd.ZstdCompressor(options=options)
        stream: zstd.ZstdCompressor = self._local.stream
        return stream


@_telling_memory()
def _zstd_header(level: int) -> bytes:
    """Return the header of a frame that has a checksum."""
    lowest, _ = zstd.CompressionParameter.job_size.bounds()
    options = {**_zstd_options(level, lowest), zstd.CompressionParameter.checksum_flag: 1}
    stream = zstd.ZstdCompressor(options=options)
    first: bytes = stream.compress(b"\0", zstd.ZstdCompressor.FLUSH_BLOCK)
    return first[: -len(b"\1\0\0\0")]


def _zstd_options(level: int, job: int) -> dict[int, int]:
    """Return the options for blocks of at most one job; the frame's checksum is separate."""
    parameter = zstd.CompressionParameter
    return {
        parameter.compression_level: level,
        parameter.checksum_flag: 0,
        parameter.nb_workers: 1,
        parameter.window_log: _ZSTD_WINDOW,
        parameter.overlap_log: 1,  # none
        parameter.job_size: job,
    }


class _ZstdChecksum:
    """The XXH64 checksum that ends a frame, computed by having libzstd compress the content.

    It compresses as little as it can, and its output is discarded; with the smallest window, and
    thus smaller blocks, it takes twice as long.
    """

    def __init__(self) -> None:
        parameter = zstd.CompressionParameter
        fastest, _ = parameter.compression_level.bounds()
        options: dict[int, int] = {
            parameter.compression_level: fastest,
            parameter.checksum_flag: 1,
            parameter.window_log: _ZSTD_BLOCK,
        }
        with _telling_memory():
            self._stream = zstd.ZstdCompressor(options=options)

    @_telling_memory()
    def update(self, data: bytes) -> None:
        """Add data."""
        self._stream.compress(data)

    @_telling_memory()
    def digest(self) -> bytes:
        """Return the four bytes."""
        end: bytes = self._stream.flush()
        return end[-4:]
