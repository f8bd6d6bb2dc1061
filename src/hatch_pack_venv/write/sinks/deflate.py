"""Deflate (RFC 1951), whole or in blocks that threads compress independently, for any reader.

What is at hand as a whole is compressed by libdeflate: 150.0 MB in 5.7 s of CPU time at level 6 for
the 19,000 files of the benchmark's environment, each on its own, where zlib-ng took 7.2 s for
153.0 MB. It can neither stream nor begin with a dictionary. For what does, zlib-ng: each block
starts with the last 32 KiB before it as its dictionary and ends on a byte's border, as in pigz.

Both give the same bytes on every x86-64 CPU, whatever zlib the Python has been built with: at run
time they choose only checksums, match lengths, memory moves and how tables are filled, among
functions that return the same (libdeflate: `lib/x86/matchfinder_impl.h`; zlib-ng's output under an
emulated CPU of 2006 was that of one with AVX2). ISA-L's igzip is faster, but takes other hash
functions and other match finders with AVX2 and AVX-512, so that its output depends on the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import deflate as libdeflate
from zlib_ng import zlib_ng

if TYPE_CHECKING:
    from collections.abc import Iterator


class Chunker:
    """Cuts what is written into blocks of one size, wherever the writes begin and end.

    Most writes are far smaller than a block, and only kept.

    Parameters:
        size: of every block but the last, in bytes.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._parts: list[bytes] = []
        self._held = 0

    def cut(self, data: bytes) -> Iterator[bytes]:
        """Return the blocks that are full now."""
        self._parts.append(data)
        self._held += len(data)
        return iter(()) if self._held < self._size else self._blocks()

    def rest(self) -> bytes:
        """Return what is left over, and start anew."""
        rest = b"".join(self._parts)
        self._parts, self._held = [], 0
        return rest

    def _blocks(self) -> Iterator[bytes]:
        whole = memoryview(self.rest())
        full = len(whole) - len(whole) % self._size
        self._parts, self._held = [bytes(whole[full:])], len(whole) - full
        for start in range(0, full, self._size):
            yield bytes(whole[start : start + self._size])


BLOCK: Final = 1 << 20  # bytes
WINDOW: Final = 1 << 15
_RAW: Final = -15  # no header, a window of 32 KiB
_MEMORY: Final = 7
"""Half of zlib's 8: codes are chosen anew twice as often, and the result is 0.2 % smaller."""


def deflate_whole(data: bytes, level: int) -> bytes:
    """Compress a raw deflate stream at once; level 0 to 9, faster to smaller."""
    return bytes(libdeflate.deflate_compress(data, level))


def deflate_block(data: bytes, dictionary: bytes, level: int, *, last: bool) -> bytes:
    """Compress one block of a raw deflate stream (RFC 1951).

    Parameters:
        dictionary: what comes before the block, up to 32 KiB of it.
        last: whether the stream ends with the block.
    """
    arguments = (level, zlib_ng.DEFLATED, _RAW, _MEMORY, zlib_ng.Z_DEFAULT_STRATEGY)
    stream = zlib_ng.compressobj(*arguments, *([dictionary] if dictionary else []))
    end = zlib_ng.Z_FINISH if last else zlib_ng.Z_SYNC_FLUSH
    return stream.compress(data) + stream.flush(end)


def checksum(data: bytes, before: int = 0) -> int:
    """Return the CRC-32 of gzip and zip, continued from what came before."""
    return zlib_ng.crc32(data, before)
