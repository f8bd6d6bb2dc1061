"""Deflate (RFC 1951), at once or in blocks that threads compress independently, for any reader.

Content in memory is compressed at once by libdeflate: the 19,000 files of the benchmark
environment, each on its own, became 150.0 MB in 5.7 s of CPU time at level 6; zlib-ng took 7.2 s
for 153.0 MB. libdeflate can neither stream nor start with a dictionary. Streams use zlib-ng: each
block starts with the preceding 32 KiB as its dictionary and ends on a byte boundary, as in pigz.

Both produce the same bytes on every x86-64 CPU, whichever zlib Python was built with: at run time
they select only among functions with identical results, for checksums, match lengths, memory moves
and filling tables (libdeflate: `lib/x86/matchfinder_impl.h`; zlib-ng's output on an emulated CPU of
2006 was the same as on one with AVX2). ISA-L's igzip is faster, but uses different hash functions
and match finders with AVX2 and AVX-512, so its output depends on the machine.

Where they have no wheels (ppc64le, s390x, riscv64), the standard library's zlib takes their place.
Its output is just as valid, but depends on the zlib that Python was built with.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

_whole: Any
_streaming: Any
try:
    import deflate as _whole
    from zlib_ng import zlib_ng as _streaming
except ImportError:
    _whole, _streaming = None, zlib
LIBRARIES: Final = (
    f"zlib {zlib.ZLIB_RUNTIME_VERSION}"
    if _whole is None
    else f"libdeflate {_whole.__version__}, zlib-ng {_streaming.ZLIBNG_VERSION}"
)
"""What the output depends on in addition to the level."""
REPLACED: Final = (
    None
    if _whole is not None
    else "deflate and zlib-ng are not installed: zlib is used instead, and the archive's bytes"
    " differ from those that they would produce"
)
"""The warning for when zlib takes the place of both; `None` if it does not."""


BLOCK: Final = 1 << 20  # bytes
WINDOW: Final = 1 << 15
_RAW: Final = -15  # no header, a window of 32 KiB
_MEMORY: Final = 7
"""Half of zlib's 8: codes are chosen twice as often, and the result is 0.2 % smaller."""


def deflate_whole(data: bytes, level: int) -> bytes:
    """Compress data to a whole raw deflate stream; levels 0 to 9, from fastest to smallest."""
    if _whole is None:
        return deflate_block(data, b"", level, last=True)
    return bytes(_whole.deflate_compress(data, level))


def deflate_block(data: bytes, dictionary: bytes, level: int, *, last: bool) -> bytes:
    """Compress one block of a raw deflate stream (RFC 1951).

    Parameters:
        dictionary: the data before the block, up to 32 KiB.
        last: whether the block ends the stream.
    """
    arguments = (level, zlib.DEFLATED, _RAW, _MEMORY, zlib.Z_DEFAULT_STRATEGY)
    stream = _streaming.compressobj(*arguments, *([dictionary] if dictionary else []))
    end = zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH
    compressed: bytes = stream.compress(data) + stream.flush(end)
    return compressed


def block_depends_on(dictionary: bytes, level: int, *, last: bool) -> str:
    """Return what `deflate_block` depends on, other than the bytes and the libraries."""
    return f"deflate {level} {_MEMORY} {len(dictionary)} {last}"


def checksum(data: bytes, before: int = 0) -> int:
    """Return the CRC-32 used by gzip and zip, continued from a previous one."""
    return int(_streaming.crc32(data, before))
