"""Headers of tar members: ustar (POSIX.1-1988), extended ones (pax) only where a name needs them.

The plain header is what `tarfile` writes, in a third of its time; the others are left to it.
"""

from __future__ import annotations

import struct
import tarfile
from functools import lru_cache
from typing import Final, NamedTuple

_FIELDS: Final = struct.Struct("100s 8s 16s 12s 12s 8s 1s 100s 8s 64s 16s 155s 12x")
_NOBODY: Final = b"0000000\0" * 2  # owner and group, or the numbers of a device
_MAGIC: Final = b"ustar\x0000"
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
    prefix, rest, linked, length = *map(str.encode, (*parts, link)), b"%011o" % size
    alike = _alike(kind, mode, mtime)
    checksum = alike.sum + sum(rest) + sum(length) + sum(linked) + sum(prefix)
    return _FIELDS.pack(
        rest,
        alike.mode,
        _NOBODY,
        length,
        alike.mtime,
        b"%06o\0 " % checksum,
        kind,
        linked,
        _MAGIC,
        b"",
        _NOBODY,
        prefix,
    )


class _Alike(NamedTuple):
    """What thousands of headers have in common, and the sum of all their other bytes."""

    mode: bytes
    mtime: bytes
    sum: int


@lru_cache
def _alike(kind: bytes, mode: int, mtime: int) -> _Alike:
    fields = (b"%07o" % mode, b"%011o" % mtime)
    # For the sum, the field of the checksum itself holds eight spaces.
    return _Alike(*fields, sum(map(sum, (*fields, _NOBODY, _NOBODY, _MAGIC, kind, b" " * 8))))


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
