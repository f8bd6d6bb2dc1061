"""Headers of tar members: ustar (POSIX.1-1988), extended ones (pax) only where a name needs them.

The plain header is what `tarfile` writes, in a third of its time; the others are left to it.
"""

from __future__ import annotations

import struct
import tarfile
import zlib
from typing import Final

_FIELDS: Final = struct.Struct("100s 8s 16s 12s 12s 8s 1s 100s 8s 64s 16s 155s 12x")
_NOBODY: Final = b"0000000\0" * 2  # owner and group, or the numbers of a device
_MAGIC: Final = b"ustar\x0000"
_NO_CHECKSUM: Final = b" " * 8  # what the field holds for the sum
_BEFORE_CHECKSUM: Final = 148
_AFTER_CHECKSUM: Final = 156
_NAME: Final = 100
_PREFIX: Final = 155
_LARGEST: Final = 8**11 - 1


def header(
    name: str, kind: bytes, mode: int, mtime: int, *, size: int = 0, link: str = ""
) -> bytes:
    """Return the blocks before a member's data.

    Parameters:
        kind: the type as `tarfile` spells it.
        link: the text of a symbolic link.
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
    # Adler-32's lower half is one more than the sum of all bytes (RFC 1950), modulo 65521: far
    # more than a header can reach that is all ASCII.
    checksum = (zlib.adler32(block) & 0xFFFF) - 1
    return b"%b%06o\0 %b" % (block[:_BEFORE_CHECKSUM], checksum, block[_AFTER_CHECKSUM:])


def _split(name: str) -> tuple[str, str] | None:
    """Return the two fields that hold a name, the first mostly empty; `None` if they cannot."""
    if not name.isascii():
        return None
    if len(name) <= _NAME:
        return "", name
    slash = name.find("/", len(name) - _NAME - 1)
    if slash < 1 or slash > _PREFIX or slash == len(name) - 1:
        return None
    return name[:slash], name[slash + 1 :]
