"""The equivalent of `strip --strip-all` for an ELF file, without the tool: bytes to bytes.

Debug information and the symbol table account for most of the size of a CPython built from source
(3.12: 40 of 49 MB); the loader needs neither. They come after everything that is loaded, so the
file is truncated there and gets a shorter section table.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from .elf import DamagedElfError, ElfHeaders

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHF_ALLOC: Final = 0x2
_SHT_NOBITS: Final = 8
_NAMES: Final = b".shstrtab"


class _Layout(NamedTuple):
    """Positions and formats of the section fields in an ELF header (System V ABI).

    Parameters:
        table: offset of `e_shoff`, and its format.
        counts: offset of `e_shentsize`, `e_shnum` and `e_shstrndx`, two bytes each.
        section: format of a section header.
    """

    table: tuple[int, str]
    counts: int
    section: str


_LAYOUTS: Final = {True: _Layout((40, "Q"), 58, "IIQQQQIIQQ"), False: _Layout((32, "I"), 46, "10I")}


class _Section(NamedTuple):
    """A section header."""

    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


def stripped(content: bytes) -> bytes:
    """Return an ELF file without anything that is never loaded, or an unusual one unchanged."""
    headers = ElfHeaders.from_stream(io.BytesIO(content))
    try:
        return content if headers is None else _stripped(content, headers)
    except (
        struct.error,
        ValueError,
        OverflowError,
    ):  # its section headers, which no loader reads, are damaged
        return content


def _stripped(content: bytes, headers: ElfHeaders) -> bytes:
    order, layout = headers.order, _LAYOUTS[headers.wide]
    sections, names = _sections(content, order, layout)
    kept = [0, *(i for i, each in enumerate(sections) if each.flags & _SHF_ALLOC)]
    # Symbols refer to sections by number: the remaining ones must keep theirs.
    if len(sections) < 2 or kept != list(range(len(kept))):
        return content
    loaded = (each.offset + each.size for each in headers.segments)
    held = (s.offset + s.size for s in sections[: len(kept)] if s.kind != _SHT_NOBITS)
    end = max([*loaded, *held], default=0)
    if end > len(content):
        return content
    table, offsets = _name_table(_name(content, names, sections[index].name) for index in kept)
    *names_of_kept, own = offsets
    new = [sections[i]._replace(name=name) for i, name in zip(kept, names_of_kept, strict=True)]
    new.append(names._replace(name=own, offset=end, size=len(table)))
    start = -(-(end + len(table)) // 8) * 8
    data = bytearray((content[:end] + table).ljust(start, b"\0"))
    data += b"".join(struct.pack(f"{order}{layout.section}", *each) for each in new)
    offset, kind = layout.table
    struct.pack_into(f"{order}{kind}", data, offset, start)
    struct.pack_into(f"{order}HH", data, layout.counts + 2, len(new), len(kept))
    return content if len(data) >= len(content) else bytes(data)


def has_appended_data(content: bytes) -> bool:
    """Return whether a file contains more than its headers describe: a payload that it reads.

    Such a program finds its payload by its own size or by offsets, which no change may affect.
    """
    try:
        headers = ElfHeaders.from_stream(io.BytesIO(content))
        if headers is None:
            return False
        layout = _LAYOUTS[headers.wide]
        (table,) = struct.unpack_from(f"{headers.order}{layout.table[1]}", content, layout.table[0])
        size, count = struct.unpack_from(f"{headers.order}HH", content, layout.counts)
        sections, _ = _sections(content, headers.order, layout)
    except (DamagedElfError, struct.error, OverflowError):
        return True  # whatever it is, it cannot be changed
    ends = [int(s.offset + s.size) for s in sections if s.kind != _SHT_NOBITS]
    ends += [each.offset + each.size for each in headers.segments]
    return len(content) > max([int(table + size * count), *ends]) + 16  # padding


def _sections(content: bytes, order: str, layout: _Layout) -> tuple[list[_Section], _Section]:
    """Return the section headers, and that of the section names' string table."""
    offset, kind = layout.table
    (start,) = struct.unpack_from(f"{order}{kind}", content, offset)
    size, count, names = struct.unpack_from(f"{order}HHH", content, layout.counts)
    sections = [
        _Section(*struct.unpack_from(f"{order}{layout.section}", content, start + size * number))
        for number in range(count)
    ]
    return sections, sections[names] if names < len(sections) else _Section(*[0] * 10)


def _name(content: bytes, names: _Section, start: int) -> bytes:
    begin = names.offset + start
    return content[begin : content.index(b"\0", begin)]


def _name_table(names: Iterable[bytes]) -> tuple[bytes, list[int]]:
    """Return a string table of some names and its own, and the offset of each."""
    table, offsets = b"\0", []
    for name in [*names, _NAMES]:
        offsets.append(len(table) if name else 0)
        table += name + b"\0" if name else b""
    return table, offsets
