"""Shared objects and executables of Linux: where they look for libraries, and how to change it.

Only headers are read; a change is a list of patches for the copy that goes into the archive.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self, TypeAlias, cast

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

from ..model.entries import FileEntry, Patch, PatchedFile
from ..model.errors import InterpreterProblem
from .elf import MAGIC

if TYPE_CHECKING:
    from ..model.entries import ScannedEntry


_DT_RPATH: Final = 15
Kind: TypeAlias = tuple[str, int, bool]
"""Machine, word size and byte order: what a process can load, it shares with its libraries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPath:
    """The DT_RPATH or DT_RUNPATH of a file.

    Parameters:
        folders: its parts, in order.
        room: bytes that a new text may take.
        tag_offset: where in the file the dynamic entry begins.
        text_offset: where in the file the text begins.
        is_runpath: whether it is a DT_RUNPATH, which comes after `LD_LIBRARY_PATH` and keeps the
            DT_RPATH of others from being looked at (ld.so(8)).
    """

    folders: tuple[str, ...]
    room: int
    tag_offset: int
    text_offset: int
    is_runpath: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfFile:
    """What the dynamic section of an ELF file says.

    Parameters:
        needed: the names of the libraries it wants (DT_NEEDED).
        search_path: its own search path, if it has one.
    """

    path: Path
    needed: tuple[str, ...] = ()
    search_path: SearchPath | None = None
    little_endian: bool = True
    tag_size: int = 8
    machine: str = ""

    @classmethod
    def from_path(cls, path: Path) -> Self | None:
        """Read a file's dynamic section; `None` if it is no ELF file.

        Raises:
            InterpreterProblem: it begins like one but is damaged.
        """
        with path.open("rb") as stream:
            return cls.from_stream(stream, path)

    @classmethod
    def from_stream(cls, stream: BinaryIO, path: Path) -> Self | None:
        """Do as `from_path` does, with a file that is open or in memory.

        Parameters:
            path: where the file is, or will be.
        """
        if stream.read(4) != MAGIC:
            return None
        try:
            elf = ELFFile(stream)
            facts: dict[str, Any] = {
                "path": path,
                "little_endian": elf.little_endian,
                "tag_size": elf.elfclass // 8,
                "machine": str(elf.header.e_machine),
            }
            segment = next((s for s in elf.iter_segments("PT_DYNAMIC")), None)
            if not isinstance(segment, DynamicSegment):
                return cls(**facts)
            tags = list(segment.iter_tags())
            needed = tuple(
                cast("Any", tag).needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"
            )
            return cls(**facts, needed=needed, search_path=_search_path(segment, tags))
        except (ELFError, KeyError, ValueError) as error:
            raise InterpreterProblem(f"{path} is a damaged ELF file: {error}") from error

    @classmethod
    def from_entry(cls, entry: ScannedEntry, prefix: Path) -> Self | None:
        """Read what an entry holds; `None` if that is no ELF file.

        Parameters:
            prefix: the folder that arcnames are taken below.
        """
        if not isinstance(entry, FileEntry):
            return None
        match entry.content:
            case bytes() as content:
                return cls.from_stream(io.BytesIO(content), prefix / entry.arcname)
            case PatchedFile(path=path):
                return cls.from_path(Path(path))
            case path:
                return cls.from_path(Path(path))

    @property
    def kind(self) -> Kind:
        """What it can be loaded together with."""
        return (self.machine, self.tag_size, self.little_endian)

    def with_search_path(self, folders: tuple[str, ...]) -> tuple[Patch, ...]:
        """Return the patches that replace the search path, as DT_RPATH.

        DT_RPATH and not DT_RUNPATH, because only the former comes before `LD_LIBRARY_PATH` and
        also serves the libraries that a library wants (measured; ld.so(8)).

        Raises:
            InterpreterProblem: there is no room for it.
        """
        found = self.search_path
        text = ":".join(folders).encode()
        if found is None or len(text) > found.room:
            raise self._no_room(text)
        tag = _DT_RPATH.to_bytes(self.tag_size, "little" if self.little_endian else "big")
        patch = Patch(offset=found.tag_offset, replacement=tag)
        if folders == found.folders:
            return (patch,)
        if _is_shared(self.path, found):
            raise self._no_room(text)
        return (
            patch,
            Patch(offset=found.text_offset, replacement=text.ljust(found.room, b"\0")),
        )

    def _no_room(self, text: bytes) -> InterpreterProblem:
        return InterpreterProblem(
            f"{self.path} has no room for the relative search path {text.decode()!r}"
        )


def needs_private_glibc(path: Path) -> bool:
    """Whether a library uses what glibc keeps for its own parts, and so belongs to one glibc."""
    with path.open("rb") as stream:
        section = ELFFile(stream).get_section_by_name(".gnu.version_r")
        return isinstance(section, GNUVerNeedSection) and any(
            auxiliary.name == "GLIBC_PRIVATE"
            for _, auxiliaries in section.iter_versions()
            for auxiliary in auxiliaries
        )


def _search_path(segment: DynamicSegment, tags: list[Any]) -> SearchPath | None:
    names = [tag.entry.d_tag for tag in tags]
    # Where a file has both, the loader looks at DT_RUNPATH only.
    name = next((name for name in ("DT_RUNPATH", "DT_RPATH") if name in names), None)
    if name is None:
        return None
    index = names.index(name)
    value = tags[index].entry.d_val
    text: str = getattr(tags[index], name[3:].lower())
    _, table = segment.get_table_offset("DT_STRTAB")
    return SearchPath(
        folders=tuple(text.split(":")),
        room=len(text.encode()),
        tag_offset=segment.header.p_offset + index * segment.elfstructs.Elf_Dyn.sizeof(),
        text_offset=table + value,
        is_runpath=name == "DT_RUNPATH",
    )


def _is_shared(path: Path, found: SearchPath) -> bool:
    """Whether another string of the file ends in the same bytes (linkers merge tails)."""
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        segment = cast("DynamicSegment", next(elf.iter_segments("PT_DYNAMIC")))
        _, table = segment.get_table_offset("DT_STRTAB")
        value = found.text_offset - int(table or 0)
        offsets = _string_offsets(elf, segment)
    return offsets.count(value) > 1 or any(value < other <= value + found.room for other in offsets)


def _string_offsets(elf: ELFFile, segment: DynamicSegment) -> list[int]:
    """Return the offsets of all strings that the dynamic section and its symbols refer to."""
    named = ("DT_NEEDED", "DT_SONAME", "DT_RPATH", "DT_RUNPATH")
    offsets = [tag.entry.d_val for tag in segment.iter_tags() if tag.entry.d_tag in named]
    _, table = segment.get_table_offset("DT_SYMTAB")
    if table is not None:
        # A symbol begins with the offset of its name; pyelftools would parse each in full.
        layout = struct.Struct(f"{'<' if elf.little_endian else '>'}I")
        size = elf.structs.Elf_Sym.sizeof()
        elf.stream.seek(table)
        data = elf.stream.read(size * segment.num_symbols())
        # How many there are may be a guess (files without a hash table) that reaches too far.
        whole = range(0, len(data) - layout.size + 1, size)
        offsets += [layout.unpack_from(data, at)[0] for at in whole]
    return offsets
