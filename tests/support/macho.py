"""Mach-O files made by hand: a header and load commands, and nothing that could run."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CPUS = {
    "i386": (7, 3),
    "x86_64": (0x0100_0007, 3),
    "arm64": (0x0100_000C, 0),
    "ppc": (18, 0),
}
EXECUTABLE, LIBRARY, BUNDLE = 2, 6, 8
LOAD, LOAD_WEAK, REEXPORT = 0x0C, 0x8000_0018, 0x8000_001F
MACOS, IOS = 1, 2


def packed(version: Sequence[int]) -> int:
    """Return a version as load commands hold it."""
    major, minor, patch = (*version, 0, 0)[:3]
    return major << 16 | minor << 8 | patch


def text_command(number: int, text: str, order: str = "<", *, dylib: bool = True) -> bytes:
    """Return a load command with a string: of a library (`dylib`), or of a search path."""
    fields = struct.pack(f"{order}3I", 0, 0, 0) if dylib else b""
    start = 12 + len(fields)
    data = text.encode() + b"\0"
    data += b"\0" * (-(start + len(data)) % 8)
    return struct.pack(f"{order}3I", number, start + len(data), start) + fields + data


def build_version(minos: Sequence[int], platform: int = MACOS, order: str = "<") -> bytes:
    """Return LC_BUILD_VERSION, with one tool."""
    return struct.pack(f"{order}8I", 0x32, 32, platform, packed(minos), packed((14, 5)), 1, 3, 0)


def version_min(minos: Sequence[int], order: str = "<") -> bytes:
    """Return LC_VERSION_MIN_MACOSX, which came before."""
    return struct.pack(f"{order}4I", 0x24, 16, packed(minos), 0)


def signature(order: str = "<") -> bytes:
    """Return LC_CODE_SIGNATURE."""
    return struct.pack(f"{order}4I", 0x1D, 16, 0, 0)


def thin(
    commands: Iterable[bytes],
    *,
    architecture: str = "arm64",
    kind: int = BUNDLE,
    order: str = "<",
    wide: bool = True,
) -> bytes:
    """Return a file for one architecture."""
    commands = list(commands)
    magic = 0xFEEDFACF if wide else 0xFEEDFACE
    cpu, subtype = CPUS[architecture]
    size = sum(map(len, commands))
    header = struct.pack(f"{order}7I", magic, cpu, subtype, kind, len(commands), size, 0x85) + (
        bytes(4) if wide else b""
    )
    return header + b"".join(commands) + b"text"


def fat(*parts: tuple[str, bytes], wide: bool = False) -> bytes:
    """Return a universal file of some thin ones."""
    layout = ">IIQQII" if wide else ">IIIII"
    offset = 8 + struct.calcsize(layout) * len(parts)
    table, body = b"", b""
    for architecture, content in parts:
        padding = bytes(-(offset + len(body)) % 16)
        body += padding
        fields = (*CPUS[architecture], offset + len(body), len(content), 4)
        table += struct.pack(layout, *fields, *([0] if wide else []))
        body += content
    return struct.pack(">2I", 0xCAFEBABF if wide else 0xCAFEBABE, len(parts)) + table + body


def module(
    *loads: str,
    minos: Sequence[int] = (11, 0),
    architecture: str = "arm64",
    signed: bool = True,
    rpaths: Sequence[str] = (),
    kind: int = BUNDLE,
) -> bytes:
    """Return an extension module that wants some libraries."""
    return thin(
        [
            *(text_command(LOAD, name) for name in (*loads, "/usr/lib/libSystem.B.dylib")),
            *(text_command(0x8000_001C, path, dylib=False) for path in rpaths),
            build_version(minos),
            *([signature()] if signed else []),
        ],
        architecture=architecture,
        kind=kind,
    )
