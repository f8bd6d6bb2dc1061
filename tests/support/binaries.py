"""ELF, Mach-O and PE files: made by hand, or by the C compiler."""

from __future__ import annotations

import shutil
import struct
from typing import TYPE_CHECKING

from support.environments import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


DT_NEEDED, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_RPATH, DT_RUNPATH = 1, 4, 5, 6, 15, 29


def make_elf(
    *tags: tuple[int, str], wide: bool = True, order: str = "<", symbol_at: int | None = None
) -> bytes:
    """Return a shared object with some tags and their texts.

    Parameters:
        wide: whether it is a 64-bit file.
        symbol_at: where in the string table a symbol's name begins; the first text begins at 1.
    """
    word, header_size, segment_size = ("Q", 64, 56) if wide else ("I", 52, 32)
    strings = b"\0"
    named: list[tuple[int, int]] = []
    for kind, text in tags:
        named.append((kind, len(strings)))
        strings += text.encode() + b"\0"
    names = [0] if symbol_at is None else [0, symbol_at]
    symbols = b"".join(struct.pack(f"{order}I{20 if wide else 12}x", name) for name in names)
    hashes = struct.pack(f"{order}4I", 1, len(names), 0, 0)
    dynamic_at = header_size + 2 * segment_size
    tag_size = struct.calcsize(f"{order}2{word}")
    hash_at = dynamic_at + tag_size * (len(named) + 4)
    symbols_at = hash_at + len(hashes)
    strings_at = symbols_at + len(symbols)
    address = 0x1000  # of the file's first byte
    places = [(DT_HASH, hash_at), (DT_SYMTAB, symbols_at), (DT_STRTAB, strings_at)]
    entries = [*named, *((kind, address + at) for kind, at in places), (0, 0)]
    dynamic = b"".join(struct.pack(f"{order}2{word}", *entry) for entry in entries)
    size = strings_at + len(strings)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    header = ident + struct.pack(
        f"{order}HHI3{word}IHHHHHH",
        *(3, 62, 1, 0, header_size, 0, 0, header_size, segment_size, 2, 0, 0, 0),
    )
    segments = [(1, 0, size), (2, dynamic_at, len(dynamic))]
    table = b"".join(_segment(order, wide, address, *segment) for segment in segments)
    return header + table + dynamic + hashes + symbols + strings


def _segment(order: str, wide: bool, address: int, kind: int, offset: int, size: int) -> bytes:
    at = address + offset
    if wide:
        return struct.pack(f"{order}2I6Q", kind, 4, offset, at, at, size, size, 8)
    return struct.pack(f"{order}8I", kind, offset, at, at, size, size, 4, 4)


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
    """Return a version as load commands contain it."""
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
    """Return LC_VERSION_MIN_MACOSX, the predecessor of LC_BUILD_VERSION."""
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
    """Return a universal file made from thin ones."""
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
    """Return an extension module that needs some libraries."""
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


_ALIGNED = 0x200


_MACHINES = {"amd64": 0x8664, "arm64": 0xAA64, "win32": 0x014C}


def small_pe(
    machine: str = "amd64",
    version: tuple[int, int] = (6, 0),
    *,
    gui: bool = False,
    tail: bytes = b"",
) -> bytes:
    """Return a program with headers and one section, which does nothing."""
    wide = machine != "win32"
    optional = bytearray(240 if wide else 224)
    struct.pack_into("<H", optional, 0, 0x20B if wide else 0x10B)
    struct.pack_into("<HH", optional, 48, *version)
    struct.pack_into("<H", optional, 68, 2 if gui else 3)
    struct.pack_into("<I", optional, 108 if wide else 92, 16)
    coff = struct.pack("<HHIIIHH", _MACHINES[machine], 1, 0, 0, 0, len(optional), 0x22)
    section = struct.pack("<8sIIIIIIHHI", b".text", 16, 0x1000, 16, _ALIGNED, 0, 0, 0, 0, 0)
    head = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40) + b"PE\0\0" + coff + optional
    return (head + section).ljust(_ALIGNED, b"\0") + bytes(16) + tail


def with_resources(program: bytes, resources: dict[str, bytes]) -> bytes:
    """Return a program with resources of type RCDATA, as UpdateResource would add them.

    They get a section of their own at the end; those that the program had are lost.
    """
    content = bytearray(program)
    (start,) = struct.unpack_from("<I", content, 0x3C)
    (count,) = struct.unpack_from("<H", content, start + 6)
    (optional_size,) = struct.unpack_from("<H", content, start + 20)
    optional = start + 24
    table = optional + optional_size
    ends = [struct.unpack_from("<II", content, table + 40 * n + 8) for n in range(count)]
    address = -(-max(size + place for size, place in ends) // 0x1000) * 0x1000
    content += bytes(-len(content) % _ALIGNED)
    data = _resource_section(resources, address)
    padded = data + bytes(-len(data) % _ALIGNED)
    header = struct.pack(
        "<8sIIIIIIHHI",
        b".rsrc2",
        len(data),
        address,
        len(padded),
        len(content),
        0,
        0,
        0,
        0,
        1 << 30,
    )
    struct.pack_into("<40s", content, table + 40 * count, header)
    struct.pack_into("<H", content, start + 6, count + 1)
    struct.pack_into("<I", content, optional + 56, address + -(-len(data) // 0x1000) * 0x1000)
    wide = struct.unpack_from("<H", content, optional)[0] == 0x20B
    struct.pack_into("<II", content, optional + (112 if wide else 96) + 16, address, len(data))
    return bytes(content) + padded


def _resource_section(resources: dict[str, bytes], address: int) -> bytes:
    """Return a type directory, a name directory, a language directory for each, texts and data."""
    items = sorted(resources.items())
    named = 1 << 31
    names_at = 24
    languages_at = names_at + 16 + 8 * len(items)
    entries_at = languages_at + 24 * len(items)
    texts_at = entries_at + 16 * len(items)
    texts, places = b"", []
    for name, _ in items:
        places.append(texts_at + len(texts))
        texts += struct.pack("<H", len(name)) + name.encode("utf-16-le")
    data_at = texts_at + len(texts) + -(texts_at + len(texts)) % 8
    head = struct.pack("<12xHH", 0, 1) + struct.pack("<II", 10, named | names_at)
    head += struct.pack("<12xHH", len(items), 0)
    languages, entries, data = b"", b"", b""
    for number, (_, content) in enumerate(items):
        head += struct.pack("<II", named | places[number], named | (languages_at + 24 * number))
        languages += struct.pack("<12xHHII", 0, 1, 0, entries_at + 16 * number)
        entries += struct.pack("<IIII", address + data_at + len(data), len(content), 0, 0)
        data += content + bytes(-len(content) % 8)
    return (head + languages + entries + texts).ljust(data_at, b"\0") + data


def programs_in(content: bytes) -> list[bytes]:
    """Return the programs embedded in another one, as uv's trampolines are."""
    found = []
    start = content.find(b"MZ", 2)
    while start >= 0:
        end = _size_at(content, start)
        if end:
            found.append(content[start : start + end])
        start = content.find(b"MZ", start + 2)
    return found


def _size_at(content: bytes, start: int) -> int:
    (place,) = struct.unpack_from("<I", content.ljust(start + 0x40, b"\0"), start + 0x3C)
    head = start + place
    if place > 0x400 or content[head : head + 4] != b"PE\0\0":
        return 0
    (count,) = struct.unpack_from("<H", content, head + 6)
    (optional_size,) = struct.unpack_from("<H", content, head + 20)
    table = head + 24 + optional_size
    sections = [struct.unpack_from("<II", content, table + 40 * n + 16) for n in range(count)]
    return max(int(size) + int(offset) for size, offset in sections)


def compile_library(path: Path, *flags: str, source: str = "int x;") -> Path:
    """Compile a shared library.

    Parameters:
        flags: options of gcc after the source, such as `-Wl,-rpath,…` and `-lz`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.with_suffix(".c")
    text.write_text(source)
    run("gcc", "-g", "-shared", "-fPIC", "-o", path, text, f"-Wl,-soname,{path.name}", *flags)
    text.unlink()
    return path


def rpath(folder: str) -> tuple[str, str]:
    """Return the flags that give a library a DT_RPATH."""
    return (f"-Wl,-rpath,{folder}", "-Wl,--disable-new-dtags")


def runpath(folder: str) -> tuple[str, str]:
    """Return the flags that give a library a DT_RUNPATH."""
    return (f"-Wl,-rpath,{folder}", "-Wl,--enable-new-dtags")


def compile_needing_glibc(
    path: Path, version: str, *, node: str = "GLIBC", library: str = "libc.so.6", source: str = ""
) -> Path:
    """Compile a shared library that needs a version of symbols which a library here may not have.

    Parameters:
        node: the prefix of the version, such as `GLIBC` or `GLIBCXX`.
        library: the library that must define it.
        source: more source of the library, after the use of that symbol.
    """
    aside = path.parent / f"{path.stem}-future"
    aside.mkdir(parents=True)
    versions = aside / "versions"
    versions.write_text(f"{node}_{version} {{ of_the_future; }};\n")
    future = compile_library(
        aside / library,
        "-nostdlib",
        f"-Wl,--version-script={versions}",
        source="int of_the_future(void) { return 1; }",
    )
    use = "int of_the_future(void);\nint (*used)(void) = of_the_future;\n"
    compile_library(path, "-nostdlib", str(future), source=use + source)
    shutil.rmtree(aside)
    return path
