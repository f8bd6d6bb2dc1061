"""Windows programs made by hand, or changed as Windows' own tools change them."""

from __future__ import annotations

import struct

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
    """Return the programs that lie in another one, as uv carries its trampolines."""
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
