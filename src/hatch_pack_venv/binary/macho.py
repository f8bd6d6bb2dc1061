"""Mach-O files of macOS, thin and universal, reduced to what they require.

Only load commands are read, in about 0.1 ms (Apple: `mach-o/loader.h`, `mach-o/fat.h`). Nothing
here writes: a changed byte would invalidate a signature. A damaged file does not count as Mach-O.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


_THIN: Final = {
    b"\xce\xfa\xed\xfe": ("<", 28),
    b"\xcf\xfa\xed\xfe": ("<", 32),
    b"\xfe\xed\xfa\xce": (">", 28),
    b"\xfe\xed\xfa\xcf": (">", 32),
}
_FAT: Final = {b"\xca\xfe\xba\xbe": ">IIIII", b"\xca\xfe\xba\xbf": ">IIQQII"}
MAGICS: Final = frozenset({*_THIN, *_FAT})

# Java classes start with the same number as universal files; in place of the count they have their
# version, 45 or more.
_MOST_ARCHITECTURES: Final = 20
_MOST_BYTES: Final = 1 << 20  # of load commands
_ARCHITECTURES: Final = {
    (7, 3): "i386",
    (0x0100_0007, 3): "x86_64",
    (0x0100_0007, 8): "x86_64h",
    (0x0100_000C, 0): "arm64",
    (0x0100_000C, 2): "arm64e",
    (18, 0): "ppc",
    (0x0100_0012, 0): "ppc64",
}
_EXECUTABLE: Final = 2
_REQUIRED: Final = 0x8000_0000  # LC_REQ_DYLD, a flag in some commands' numbers
_ID_DYLIB: Final = 0x0D
_LOADS: Final = {0x0C: False, 0x18: True, 0x1F: False, 0x20: False, 0x23: False}  # value: is weak
_RPATH: Final = 0x1C
_CODE_SIGNATURE: Final = 0x1D
_VERSION_MIN_MACOSX: Final = 0x24
_BUILD_VERSION: Final = 0x32
_MACOS: Final = 1  # PLATFORM_MACOS of LC_BUILD_VERSION
Version = tuple[int, ...]


class Load(NamedTuple):
    """A library that a file requires.

    Parameters:
        name: a path, or one that starts with `@rpath`, `@loader_path` or `@executable_path`.
        weak: whether the file also loads without it.
    """

    name: str
    weak: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The part of a file for one architecture.

    Parameters:
        architecture: as `lipo` names it; `cpu 0x…` for an unknown one.
        minos: the minimum macOS version; empty if it states none, or is for another system.
        install_name: the name by which others load it (LC_ID_DYLIB).
    """

    architecture: str
    executable: bool = False
    minos: Version = ()
    install_name: str | None = None
    loads: tuple[Load, ...] = ()
    rpaths: tuple[str, ...] = ()
    signed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MachO:
    """A file, with one slice per architecture."""

    slices: tuple[Slice, ...]

    @classmethod
    def from_stream(cls, stream: BinaryIO) -> MachO | None:
        """Read a file; return `None` if it is not a Mach-O file, or is damaged.

        Parameters:
            stream: seekable, positioned at its start.
        """
        try:
            slices = tuple(_slice(stream, offset) for offset in _offsets(stream))
        except (struct.error, ValueError, OverflowError):
            return None
        return cls(slices=slices) if slices else None

    @property
    def architectures(self) -> frozenset[str]:
        """The names of all architectures."""
        return frozenset(each.architecture for each in self.slices)

    @property
    def loads(self) -> tuple[Load, ...]:
        """The libraries that any slice requires, without duplicates."""
        return tuple(dict.fromkeys(load for each in self.slices for load in each.loads))

    @property
    def rpaths(self) -> tuple[str, ...]:
        """The search paths of any slice, without duplicates."""
        return tuple(dict.fromkeys(path for each in self.slices for path in each.rpaths))


def _offsets(stream: BinaryIO) -> Iterator[int]:
    """Yield the offset of each slice."""
    magic = stream.read(4)
    if magic in _THIN:
        yield 0
    if magic not in _FAT:
        return
    (count,) = struct.unpack(">I", stream.read(4))
    if count > _MOST_ARCHITECTURES:
        raise ValueError(count)
    layout = _FAT[magic]
    table = stream.read(struct.calcsize(layout) * count)
    for index in range(count):
        yield struct.unpack_from(layout, table, index * struct.calcsize(layout))[2]


def _slice(stream: BinaryIO, offset: int) -> Slice:
    stream.seek(offset)
    order, size = _THIN.get(stream.read(4), ("", 0))
    if not size:
        raise ValueError(offset)  # e.g. an archive of object files
    cpu, subtype, kind, count, length, _ = struct.unpack(f"{order}6I", stream.read(24))
    stream.seek(offset + size)
    data = stream.read(min(length, _MOST_BYTES))
    commands = list(_commands(data, order, count))
    name = _ARCHITECTURES.get((cpu, subtype & 0x00FF_FFFF), f"cpu {cpu:#x}")
    texts = {number: _texts(commands, number, order) for number in (*_LOADS, _ID_DYLIB, _RPATH)}
    return Slice(
        architecture=name,
        executable=kind == _EXECUTABLE,
        minos=_minos(commands, order),
        install_name=next(iter(texts[_ID_DYLIB]), None),
        loads=tuple(Load(text, weak) for number, weak in _LOADS.items() for text in texts[number]),
        rpaths=tuple(texts[_RPATH]),
        signed=any(number == _CODE_SIGNATURE for number, _ in commands),
    )


def _commands(data: bytes, order: str, count: int) -> Iterator[tuple[int, bytes]]:
    """Yield each load command's number, without its flag, and its bytes."""
    offset = 0
    for _ in range(count):
        number, size = struct.unpack_from(f"{order}2I", data, offset)
        if size < 8 or offset + size > len(data):
            raise ValueError(size)
        yield number & ~_REQUIRED, data[offset : offset + size]
        offset += size


def _texts(commands: list[tuple[int, bytes]], wanted: int, order: str) -> list[str]:
    """Return the strings of some commands (`lc_str`: starts with its offset in the command)."""
    found = []
    for number, data in commands:
        if number == wanted:
            (start,) = struct.unpack_from(f"{order}I", data, 8)
            found.append(data[start:].split(b"\0", 1)[0].decode("utf-8", "surrogateescape"))
    return found


def _minos(commands: list[tuple[int, bytes]], order: str) -> Version:
    for number, data in commands:
        if number == _BUILD_VERSION:
            platform, version = struct.unpack_from(f"{order}2I", data, 8)
            if platform == _MACOS:
                return _version(version)
        elif number == _VERSION_MIN_MACOSX:
            return _version(struct.unpack_from(f"{order}I", data, 8)[0])
    return ()


def _version(packed: int) -> Version:
    """Return X.Y or X.Y.Z, packed as xxxx.yy.zz."""
    whole = (packed >> 16, packed >> 8 & 0xFF, packed & 0xFF)
    return whole if whole[2] else whole[:2]
