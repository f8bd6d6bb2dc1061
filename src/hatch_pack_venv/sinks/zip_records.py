"""The records of a zip file around its members' data (PKWARE's APPNOTE.TXT 6.3).

The standard `zipfile` compresses what it writes, one member after the other; members that threads
have compressed need their records from elsewhere. ZIP64 is used where a number needs it only.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from typing import Final

STORED: Final = 0
DEFLATED: Final = 8

_UNIX: Final = 3
_VERSION: Final = 20
_VERSION_64: Final = 45
_UTF_8: Final = 0x800
_MS_DOS_DIRECTORY: Final = 0x10
_FIRST: Final = (1980, 1, 1, 0, 0, 0)
_BEYOND: Final = 1 << 33  # seconds: the year 2242; gmtime does not know every number
_LAST: Final = (2107, 12, 31, 23, 59, 58)
_MAX_16: Final = 0xFFFF
_MAX_32: Final = 0xFFFFFFFF

LOCAL_SIZE: Final = 30


@dataclass(slots=True, kw_only=True)
class Member:
    """A file or folder of a zip; `size` may be told before the rest is known.

    Parameters:
        mode: its Unix mode, with the bits of its kind.
        offset: where its local header begins.
    """

    name: bytes
    mode: int
    time: tuple[int, int]
    size: int = 0
    method: int = STORED
    checksum: int = 0
    compressed: int = 0
    offset: int = 0

    @property
    def is_large(self) -> bool:
        """Whether one of the sizes may need more than 32 bits; deflate adds less than 0.1 %."""
        return self.size + self.size // 1000 >= _MAX_32

    @property
    def flags(self) -> int:
        """General purpose bits: that the name is UTF-8, where that makes a difference."""
        if self.name.isascii():
            return 0
        try:
            self.name.decode("utf-8")
        except UnicodeDecodeError:
            return 0
        return _UTF_8


def local_header(member: Member) -> bytes:
    """Return what stands before a member's data."""
    sizes = (member.compressed, member.size)
    extra = b""
    if member.is_large:
        extra = struct.pack("<HHQQ", 1, 16, member.size, member.compressed)
        sizes = (_MAX_32, _MAX_32)
    return (
        struct.pack(
            "<4s5H3L2H",
            b"PK\3\4",
            _VERSION_64 if member.is_large else _VERSION,
            member.flags,
            member.method,
            *member.time,
            member.checksum,
            *sizes,
            len(member.name),
            len(extra),
        )
        + member.name
        + extra
    )


def central_header(member: Member) -> bytes:
    """Return a member's record of the central directory."""
    numbers = (member.size, member.compressed, member.offset)
    large = [number for number in numbers if number >= _MAX_32]
    extra = struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""
    size, compressed, offset = (min(number, _MAX_32) for number in numbers)
    needed = _VERSION_64 if large or member.is_large else _VERSION
    directory = _MS_DOS_DIRECTORY if member.name.endswith(b"/") else 0
    return (
        struct.pack(
            "<4s2B5H3L5H2L",
            b"PK\1\2",
            needed,
            _UNIX,
            needed,
            member.flags,
            member.method,
            *member.time,
            member.checksum,
            compressed,
            size,
            len(member.name),
            len(extra),
            0,  # comment
            0,  # disk
            0,  # internal attributes
            member.mode << 16 | directory,
            offset,
        )
        + member.name
        + extra
    )


def end_records(count: int, size: int, offset: int) -> bytes:
    """Return what ends the file.

    Parameters:
        count: the members.
        size, offset: of the central directory.
    """
    records = b""
    if count >= _MAX_16 or size >= _MAX_32 or offset >= _MAX_32:
        numbers = (_VERSION_64, _VERSION_64, 0, 0, count, count, size, offset)
        records += struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, *numbers)
        records += struct.pack("<4sLQL", b"PK\6\7", 0, offset + size, 1)
    short = min(count, _MAX_16)
    sizes = (min(size, _MAX_32), min(offset, _MAX_32))
    return records + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, short, short, *sizes, 0)


def dos_time(seconds: int) -> tuple[int, int]:
    """Return time and date as zip knows them: in UTC, even seconds, from 1980 to 2107."""
    moment = tuple(time.gmtime(min(seconds, _BEYOND))[:6])
    year, month, day, hour, minute, second = max(_FIRST, min(_LAST, moment))
    return hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day
