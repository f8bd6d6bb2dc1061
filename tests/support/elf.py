"""ELF files made by hand: a header, a dynamic section, symbols and strings, nothing to run."""

from __future__ import annotations

import struct

DT_NEEDED, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_RPATH, DT_RUNPATH = 1, 4, 5, 6, 15, 29


def make_elf(
    *tags: tuple[int, str], wide: bool = True, order: str = "<", symbol_at: int | None = None
) -> bytes:
    """Return a shared object with some tags and their texts.

    Parameters:
        wide: whether it is of the 64-bit kind.
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
