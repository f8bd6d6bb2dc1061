"""ELF files: their headers, parsed from a few hundred bytes of each.

An environment holds hundreds of shared objects, and almost none of them need changes. This reader
finds those that do in about 0.1 ms each; a general-purpose one (pyelftools) took 10 s for scipy's.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, TypeAlias

from ..model.entries import Patch
from ..model.errors import InterpreterProblem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAGIC: Final = b"\x7fELF"
DT_NULL: Final = 0
DT_NEEDED: Final = 1
DT_HASH: Final = 4
DT_STRTAB: Final = 5
DT_STRSZ: Final = 10
DT_SYMTAB: Final = 6
DT_SONAME: Final = 14
DT_RPATH: Final = 15
DT_RUNPATH: Final = 29
DT_GNU_HASH: Final = 0x6FFFFEF5
DT_VERNEED: Final = 0x6FFFFFFE
DT_VERNEEDNUM: Final = 0x6FFFFFFF
PT_LOAD: Final = 1
PT_DYNAMIC: Final = 2
PT_INTERP: Final = 3
_LONGEST: Final = 1 << 16  # bytes of the section, and of a string in the string table
_FARTHEST: Final = 1 << 40  # bytes; file systems refuse to seek beyond their limits
_ALL_TEXTS: Final = 1 << 20  # bytes of all strings together
_VER_FLG_WEAK: Final = 2
_MOST: Final = 4096  # libraries, and versions of one; a damaged file may claim any number


Kind: TypeAlias = tuple[int, bool, str]
"""Machine, word size and byte order: a process can only load libraries that match its own."""


class Tag(NamedTuple):
    """One entry of the dynamic section: its tag and value."""

    kind: int
    value: int


class Text(NamedTuple):
    """A string that a tag refers to, and its offset in the string table."""

    kind: int
    start: int
    text: str


class VersionNeed(NamedTuple):
    """A symbol version that a file requires of a library (`.gnu.version_r`).

    Parameters:
        weak: whether the file also loads without it.
    """

    library: str
    version: str
    weak: bool


class Segment(NamedTuple):
    """A program header, reduced to the fields used here."""

    kind: int
    offset: int
    address: int
    size: int


class DamagedElfError(ValueError):
    """A file starts like an ELF file but cannot be parsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfHeaders:
    """What the dynamic linker reads from a file.

    Parameters:
        order: `<` or `>`, the byte order as `struct` spells it.
        wide: whether it is of the 64-bit class.
        machine: the processor's number (`e_machine`).
        loader: the absolute path of the dynamic loader that a program starts with; empty for a
            library and for a static program.
        is_dynamic: whether it has a dynamic section; static programs and object files have none.
        offset: file offset of its tags.
        strings: file offset of its string table.
        tags: those before the first DT_NULL.
        texts: the strings of DT_NEEDED, DT_SONAME, DT_RPATH and DT_RUNPATH.
        versions: the symbol versions it requires.
    """

    order: str
    wide: bool
    segments: tuple[Segment, ...]
    machine: int = 0
    loader: str = ""
    is_dynamic: bool = False
    offset: int = 0
    strings: int = 0
    tags: tuple[Tag, ...] = ()
    texts: tuple[Text, ...] = ()
    versions: tuple[VersionNeed, ...] = ()

    @classmethod
    def from_stream(cls, stream: BinaryIO) -> ElfHeaders | None:
        """Read a file's headers; return `None` if it is not an ELF file.

        Parameters:
            stream: seekable, positioned at its start.

        Raises:
            DamagedElfError: if it starts like one but is damaged.
        """
        if stream.read(4) != MAGIC:
            return None
        try:
            return _read(stream)
        except (struct.error, ValueError, IndexError, OverflowError) as error:
            raise DamagedElfError(str(error)) from error

    @property
    def kind(self) -> Kind:
        """What a file must share to be loaded together with this one."""
        return (self.machine, self.wide, self.order)

    @property
    def search_paths(self) -> tuple[Text, ...]:
        """The texts of DT_RPATH and DT_RUNPATH."""
        return tuple(text for text in self.texts if text.kind in (DT_RPATH, DT_RUNPATH))

    @property
    def search_path(self) -> Text | None:
        """The effective search path: if a file has both, the loader uses DT_RUNPATH only."""
        return max(self.search_paths, key=lambda text: text.kind, default=None)

    @property
    def needed(self) -> tuple[str, ...]:
        """The names of the libraries it requires; a name containing a slash is a path."""
        return tuple(text.text for text in self.texts if text.kind == DT_NEEDED)

    @property
    def layout(self) -> str:
        """The `struct` format of a tag."""
        return f"{self.order}{'qQ' if self.wide else 'iI'}"

    def file_offset(self, kind: int) -> int | None:
        """Return the file offset of the address in a tag, or `None` if it has none."""
        address = next((tag.value for tag in self.tags if tag.kind == kind), None)
        if address is None:
            return None
        for segment in self.segments:
            inside = address - segment.address
            if segment.kind == PT_LOAD and 0 <= inside < segment.size:
                return segment.offset + inside
        return None

    def is_data(self, offset: int) -> bool:
        """Return whether a file offset is loaded and is not in the linker's string table."""
        names = self.file_offset(DT_STRTAB)
        size = next((tag.value for tag in self.tags if tag.kind == DT_STRSZ), 0)
        if names is not None and names <= offset < names + size:
            return False
        return any(
            segment.kind == PT_LOAD and segment.offset <= offset < segment.offset + segment.size
            for segment in self.segments
        )

    def without_search_paths(self) -> bytes:
        """Return the tags without search paths, padded to the same length."""
        kept = [tag for tag in self.tags if tag.kind not in (DT_RPATH, DT_RUNPATH)]
        kept += [Tag(DT_NULL, 0)] * (len(self.tags) - len(kept))
        return b"".join(struct.pack(self.layout, *tag) for tag in kept)

    def symbol_names(self, stream: BinaryIO) -> list[int] | None:
        """Return each symbol name's offset in the string table, or `None` if unknown.

        No header states the number of symbols: it is derived from one of the two hash tables.
        """
        table = self.file_offset(DT_SYMTAB)
        try:
            count = self._symbol_count(stream)
            if table is None or count is None:
                return None
            layout = f"{self.order}I{20 if self.wide else 12}x"
            data = _at(stream, table, count * struct.calcsize(layout))
            return [name for (name,) in struct.iter_unpack(layout, data)]
        except (struct.error, ValueError, OverflowError):
            return None

    def _symbol_count(self, stream: BinaryIO) -> int | None:
        plain, gnu = self.file_offset(DT_HASH), self.file_offset(DT_GNU_HASH)
        if plain is not None:
            (count,) = struct.unpack(f"{self.order}I", _at(stream, plain + 4, 4))
            return int(count)
        return self._counted_by_gnu_hash(stream, gnu) if gnu is not None else None

    def _counted_by_gnu_hash(self, stream: BinaryIO, offset: int) -> int:
        """Walk to the end of the chain that starts last; the last hash of a chain is odd."""
        buckets, first, blooms, _ = struct.unpack(f"{self.order}4I", _at(stream, offset, 16))
        offset += 16 + blooms * (8 if self.wide else 4)
        table = _at(stream, offset, 4 * buckets)
        last = max(struct.unpack(f"{self.order}{buckets}I", table), default=0)
        if last < first:
            return int(first)
        _at(stream, offset + 4 * buckets + 4 * (last - first), 0)
        while not struct.unpack(f"{self.order}I", stream.read(4))[0] & 1:
            last += 1
        return int(last) + 1

    def is_shared(self, stream: BinaryIO, text: Text) -> bool:
        """Return whether another name shares the end of a search path (linkers merge tails)."""
        names = self.symbol_names(stream)
        if names is None:
            return True
        paths = self.search_paths
        same = {(each.start, each.text) for each in paths} - {(text.start, text.text)}
        others = [each.start for each in self.texts if each not in paths]
        end = text.start + len(os.fsencode(text.text))
        starts = [*names, *others, *(start for start, _ in same)]
        return any(text.start <= start < end for start in starts)

    def text_patch(self, old: Text, new: str) -> Patch:
        """Return the patch that replaces a text with one of at most the same length."""
        room = len(os.fsencode(old.text))
        return Patch(
            offset=self.strings + old.start, replacement=os.fsencode(new).ljust(room, b"\0")
        )

    def tag_patch(self, text: Text, kind: int) -> Patch:
        """Return the patch that changes the tag of a text to another kind."""
        index = self.tags.index(Tag(text.kind, text.start))
        return Patch(
            offset=self.offset + index * struct.calcsize(self.layout),
            replacement=struct.pack(self.layout[:2], kind),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfFile:
    """An ELF file and its location, which determines `$ORIGIN`."""

    path: Path
    headers: ElfHeaders

    @classmethod
    def from_path(cls, path: Path) -> ElfFile | None:
        """Read a file's headers; return `None` if it is not an ELF file.

        Raises:
            InterpreterProblem: if it starts like one but is damaged.
        """
        with path.open("rb") as stream:
            try:
                headers = ElfHeaders.from_stream(stream)
            except DamagedElfError as error:
                raise InterpreterProblem(f"{path} is a damaged ELF file: {error}") from error
        return None if headers is None else cls(path=path, headers=headers)

    @property
    def needed(self) -> tuple[str, ...]:
        """The names of the libraries it requires (DT_NEEDED)."""
        return self.headers.needed

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of the effective search path, in order."""
        text = self.headers.search_path
        return () if text is None else tuple(text.text.split(":"))

    @property
    def is_runpath(self) -> bool:
        """Whether the effective search path is a DT_RUNPATH.

        That is searched after `LD_LIBRARY_PATH`, and makes the loader ignore other files' DT_RPATH
        (ld.so(8)).
        """
        text = self.headers.search_path
        return text is not None and text.kind == DT_RUNPATH

    def with_search_path(self, folders: tuple[str, ...]) -> tuple[Patch, ...]:
        """Return the patches that replace the search path, as DT_RPATH.

        DT_RPATH rather than DT_RUNPATH, because only the former is searched before
        `LD_LIBRARY_PATH` and also applies to a library's own dependencies (measured; ld.so(8)).

        Raises:
            InterpreterProblem: if it does not fit.
        """
        found = self.headers.search_path
        text = ":".join(folders)
        if found is None or len(os.fsencode(text)) > len(os.fsencode(found.text)):
            raise self._no_room(text)
        patch = self.headers.tag_patch(found, DT_RPATH)
        if text == found.text:
            return (patch,)
        with self.path.open("rb") as stream:
            if self.headers.is_shared(stream, found):
                raise self._no_room(text)
        return (patch, self.headers.text_patch(found, text))

    def _no_room(self, text: str) -> InterpreterProblem:
        return InterpreterProblem(f"{self.path} has no room for the relative search path {text!r}")


def _read(stream: BinaryIO) -> ElfHeaders:
    """Read everything after the magic number."""
    ident = stream.read(12)
    wide, order = ident[0] == 2, ">" if ident[1] == 2 else "<"
    (machine,) = struct.unpack(f"{order}2xH", stream.read(4))
    stream.seek(16)
    segments = tuple(_segments(stream, order, wide=wide))
    named = next((segment for segment in segments if segment.kind == PT_INTERP), None)
    loader = "" if named is None else _string(stream, named.offset)
    headers = ElfHeaders(order=order, wide=wide, machine=machine, segments=segments, loader=loader)
    dynamic = next((segment for segment in segments if segment.kind == PT_DYNAMIC), None)
    if dynamic is None:
        return headers
    size = struct.calcsize(headers.layout)
    data = _at(stream, dynamic.offset, min(dynamic.size, _LONGEST) // size * size)
    tags: list[Tag] = []
    for tag in struct.iter_unpack(headers.layout, data):
        if tag[0] == DT_NULL:
            break
        tags.append(Tag(*tag))
    headers = replace(headers, is_dynamic=True, offset=dynamic.offset, tags=tuple(tags))
    strings = headers.file_offset(DT_STRTAB)
    if strings is None:
        return headers
    headers = replace(headers, strings=strings)
    return replace(
        headers,
        texts=tuple(_texts(headers, stream)),
        versions=tuple(_versions(headers, stream)),
    )


def _versions(headers: ElfHeaders, stream: BinaryIO) -> list[VersionNeed]:
    """Return the symbol versions that a file requires, or none if they cannot be read."""
    offset = headers.file_offset(DT_VERNEED)
    count = next((tag.value for tag in headers.tags if tag.kind == DT_VERNEEDNUM), 0)
    try:
        return [] if offset is None else [*_version_needs(headers, stream, offset, count)]
    except (struct.error, ValueError, OverflowError):
        return []


def _version_needs(
    headers: ElfHeaders, stream: BinaryIO, offset: int, count: int
) -> Iterator[VersionNeed]:
    """Walk Elfxx_Verneed and Elfxx_Vernaux (LSB, "Symbol Version Requirements")."""
    left = 4 * _MOST
    for _ in range(min(count, _MOST)):
        needed = struct.unpack(f"{headers.order}2H3I", _at(stream, offset, 16))
        _, versions, name, first, following = needed
        library, at = _string(stream, headers.strings + name), offset + first
        left -= min(versions, _MOST) + 1
        if left < 0:
            raise DamagedElfError("it requires an impossible number of symbol versions")
        for _ in range(min(versions, _MOST)):
            need = struct.unpack(f"{headers.order}I2H2I", _at(stream, at, 16))
            _, flags, _, name, distance = need
            version = _string(stream, headers.strings + name)
            yield VersionNeed(library, version, bool(flags & _VER_FLG_WEAK))
            at += distance
        offset += following


def _segments(stream: BinaryIO, order: str, *, wide: bool) -> Iterator[Segment]:
    """Yield the program headers (System V ABI, "ELF Header" and "Program Header")."""
    header = stream.read(48 if wide else 36)
    (offset,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", header, 16 if wide else 12)
    size, count = struct.unpack_from(f"{order}HH", header, 38 if wide else 26)
    table = _at(stream, offset, size * count)
    for index in range(count):
        if wide:
            kind, _, offset, address, _, length = struct.unpack_from(
                f"{order}IIQQQQ", table, index * size
            )
        else:
            kind, offset, address, _, length = struct.unpack_from(f"{order}5I", table, index * size)
        yield Segment(kind, offset, address, length)


def _texts(headers: ElfHeaders, stream: BinaryIO) -> Iterator[Text]:
    left = _ALL_TEXTS
    for kind, value in headers.tags:
        if kind in (DT_NEEDED, DT_SONAME, DT_RPATH, DT_RUNPATH):
            text = Text(kind, value, _string(stream, headers.strings + value))
            left -= len(text.text)
            if left < 0:
                raise DamagedElfError("its strings are impossibly long")
            yield text


def _at(stream: BinaryIO, offset: int, size: int) -> bytes:
    """Read from an offset that a file gives, at most to its end.

    Raises:
        DamagedElfError: if no file can have such an offset.
    """
    if offset > _FARTHEST:
        raise DamagedElfError(f"it refers to the impossible offset {offset}")
    if size > _LONGEST:  # otherwise memory is allocated for all that it claims
        size = min(size, max(0, stream.seek(0, os.SEEK_END) - offset))
    stream.seek(offset)
    return stream.read(size)


def _string(stream: BinaryIO, offset: int) -> str:
    data = _at(stream, offset, 0)
    while b"\0" not in data and len(data) < _LONGEST:
        block = stream.read(256)
        if not block:
            break
        data += block
    return data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
