"""The dynamic section of ELF files, read from a few hundred bytes of them.

An environment holds hundreds of shared objects, and nearly all have nothing to be changed: this
tells which do, in about 0.1 ms each (pyelftools took 10 s for scipy's). What is no ELF file, or a
damaged one, has no dynamic section here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


MAGIC: Final = b"\x7fELF"
DT_NULL: Final = 0
DT_NEEDED: Final = 1
DT_HASH: Final = 4
DT_STRTAB: Final = 5
DT_SYMTAB: Final = 6
DT_SONAME: Final = 14
DT_RPATH: Final = 15
DT_RUNPATH: Final = 29
DT_GNU_HASH: Final = 0x6FFFFEF5
DT_VERNEED: Final = 0x6FFFFFFE
DT_VERNEEDNUM: Final = 0x6FFFFFFF
_PT_LOAD: Final = 1
_PT_DYNAMIC: Final = 2
_LONGEST: Final = 1 << 16  # bytes of the section, and of a string in it
_VER_FLG_WEAK: Final = 2
_MOST: Final = 4096  # libraries, and versions of one; a damaged file may count without end


class Tag(NamedTuple):
    """One entry of the section: what it is and its value."""

    kind: int
    value: int


class Text(NamedTuple):
    """A string that a tag names, and where it begins in the string table."""

    kind: int
    start: int
    text: str


class VersionNeed(NamedTuple):
    """A version of symbols that a file wants of a library (`.gnu.version_r`).

    Parameters:
        weak: whether the file is loaded without it too.
    """

    library: str
    version: str
    weak: bool


class Segment(NamedTuple):
    """A program header, as far as it matters here."""

    kind: int
    offset: int
    address: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicSection:
    """What the dynamic linker reads of a file.

    Parameters:
        order: `<` or `>`, the byte order as `struct` spells it.
        wide: whether it is of the 64-bit kind.
        machine: the processor's number (`e_machine`).
        offset: where in the file its tags begin.
        strings: where in the file its string table begins.
        tags: up to the first DT_NULL, which is left out.
        texts: of DT_NEEDED, DT_SONAME, DT_RPATH and DT_RUNPATH.
    """

    order: str
    wide: bool
    segments: tuple[Segment, ...]
    machine: int = 0
    offset: int = 0
    strings: int = 0
    tags: tuple[Tag, ...] = ()
    texts: tuple[Text, ...] = ()

    @classmethod
    def from_stream(cls, stream: BinaryIO) -> DynamicSection | None:
        """Read a file's dynamic section; `None` if it has none that can be read.

        Parameters:
            stream: seekable, at its beginning.
        """
        try:
            return _read(stream)
        except (struct.error, ValueError, OverflowError):
            return None

    @property
    def search_paths(self) -> tuple[Text, ...]:
        """The texts of DT_RPATH and DT_RUNPATH."""
        return tuple(text for text in self.texts if text.kind in (DT_RPATH, DT_RUNPATH))

    @property
    def needed(self) -> tuple[str, ...]:
        """The names of the libraries it wants; one with a slash in it is a path."""
        return tuple(text.text for text in self.texts if text.kind == DT_NEEDED)

    @property
    def layout(self) -> str:
        """How `struct` packs a tag."""
        return f"{self.order}{'qQ' if self.wide else 'iI'}"

    def file_offset(self, kind: int) -> int | None:
        """Return where in the file lies what the address of a tag names."""
        address = next((tag.value for tag in self.tags if tag.kind == kind), None)
        if address is None:
            return None
        for segment in self.segments:
            inside = address - segment.address
            if segment.kind == _PT_LOAD and 0 <= inside < segment.size:
                return segment.offset + inside
        return None

    def version_needs(self, stream: BinaryIO) -> list[VersionNeed]:
        """Return the versions of symbols that it wants; none where they cannot be read."""
        offset = self.file_offset(DT_VERNEED)
        count = next((tag.value for tag in self.tags if tag.kind == DT_VERNEEDNUM), 0)
        try:
            return [] if offset is None else [*self._version_needs(stream, offset, count)]
        except (struct.error, ValueError, OverflowError):
            return []

    def _version_needs(self, stream: BinaryIO, offset: int, count: int) -> Iterator[VersionNeed]:
        """Follow Elfxx_Verneed and Elfxx_Vernaux (LSB, "Symbol Version Requirements")."""
        for _ in range(min(count, _MOST)):
            stream.seek(offset)
            _, versions, name, first, following = struct.unpack(
                f"{self.order}2H3I", stream.read(16)
            )
            library, at = _string(stream, self.strings + name), offset + first
            for _ in range(min(versions, _MOST)):
                stream.seek(at)
                _, flags, _, name, distance = struct.unpack(f"{self.order}I2H2I", stream.read(16))
                version = _string(stream, self.strings + name)
                yield VersionNeed(library, version, bool(flags & _VER_FLG_WEAK))
                at += distance
            offset += following

    def without_search_paths(self) -> bytes:
        """Return the tags without those of search paths, as long as before."""
        kept = [tag for tag in self.tags if tag.kind not in (DT_RPATH, DT_RUNPATH)]
        kept += [Tag(DT_NULL, 0)] * (len(self.tags) - len(kept))
        return b"".join(struct.pack(self.layout, *tag) for tag in kept)

    def symbol_names(self, stream: BinaryIO) -> list[int] | None:
        """Return where in the string table each symbol's name begins; `None` if it cannot be told.

        The number of symbols stands in no header: it comes from one of the two hash tables.
        """
        table = self.file_offset(DT_SYMTAB)
        try:
            count = self._symbol_count(stream)
            if table is None or count is None:
                return None
            stream.seek(table)
            layout = f"{self.order}I{20 if self.wide else 12}x"
            data = stream.read(count * struct.calcsize(layout))
            return [name for (name,) in struct.iter_unpack(layout, data)]
        except (struct.error, ValueError, OverflowError):
            return None

    def _symbol_count(self, stream: BinaryIO) -> int | None:
        plain, gnu = self.file_offset(DT_HASH), self.file_offset(DT_GNU_HASH)
        if plain is not None:
            stream.seek(plain + 4)
            (count,) = struct.unpack(f"{self.order}I", stream.read(4))
            return int(count)
        return self._counted_by_gnu_hash(stream, gnu) if gnu is not None else None

    def _counted_by_gnu_hash(self, stream: BinaryIO, offset: int) -> int:
        """Go to the end of the chain that begins last; the last hash of a chain is odd."""
        stream.seek(offset)
        buckets, first, blooms, _ = struct.unpack(f"{self.order}4I", stream.read(16))
        stream.seek(blooms * (8 if self.wide else 4), 1)
        last = max(struct.unpack(f"{self.order}{buckets}I", stream.read(4 * buckets)), default=0)
        if last < first:
            return int(first)
        stream.seek(4 * (last - first), 1)
        while not struct.unpack(f"{self.order}I", stream.read(4))[0] & 1:
            last += 1
        return int(last) + 1


def _read(stream: BinaryIO) -> DynamicSection | None:
    ident = stream.read(16)
    if ident[:4] != MAGIC or len(ident) < 16:
        return None
    wide = ident[4] == 2
    order = ">" if ident[5] == 2 else "<"
    (machine,) = struct.unpack(f"{order}2xH", stream.read(4))
    stream.seek(16)
    segments = tuple(_segments(stream, order, wide=wide))
    section = DynamicSection(order=order, wide=wide, machine=machine, segments=segments)
    dynamic = next((segment for segment in segments if segment.kind == _PT_DYNAMIC), None)
    if dynamic is None:
        return None
    size = struct.calcsize(section.layout)
    stream.seek(dynamic.offset)
    data = stream.read(min(dynamic.size, _LONGEST) // size * size)
    tags: list[Tag] = []
    for tag in struct.iter_unpack(section.layout, data):
        if tag[0] == DT_NULL:
            break
        tags.append(Tag(*tag))
    section = replace(section, offset=dynamic.offset, tags=tuple(tags))
    strings = section.file_offset(DT_STRTAB)
    if strings is None:
        return section
    section = replace(section, strings=strings)
    return replace(section, texts=tuple(_texts(section, stream)))


def _segments(stream: BinaryIO, order: str, *, wide: bool) -> Iterator[Segment]:
    """Yield the program headers (System V ABI, "ELF Header" and "Program Header")."""
    header = stream.read(48 if wide else 36)
    (offset,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", header, 16 if wide else 12)
    size, count = struct.unpack_from(f"{order}HH", header, 38 if wide else 26)
    stream.seek(offset)
    table = stream.read(size * count)
    for index in range(count):
        if wide:
            kind, _, offset, address, _, length = struct.unpack_from(
                f"{order}IIQQQQ", table, index * size
            )
        else:
            kind, offset, address, _, length = struct.unpack_from(f"{order}5I", table, index * size)
        yield Segment(kind, offset, address, length)


def _texts(section: DynamicSection, stream: BinaryIO) -> Iterator[Text]:
    for kind, value in section.tags:
        if kind in (DT_NEEDED, DT_SONAME, DT_RPATH, DT_RUNPATH):
            yield Text(kind, value, _string(stream, section.strings + value))


def _string(stream: BinaryIO, offset: int) -> str:
    stream.seek(offset)
    data = b""
    while b"\0" not in data and len(data) < _LONGEST:
        block = stream.read(256)
        if not block:
            break
        data += block
    return data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
