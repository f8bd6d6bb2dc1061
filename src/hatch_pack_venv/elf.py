"""Shared objects and executables of Linux: where they look for libraries, and how to change it.

Only headers are read; a change is a list of patches for the copy that goes into the archive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, cast

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

from .entries import Patch
from .errors import InterpreterProblem

if TYPE_CHECKING:
    from pathlib import Path

_DT_RPATH: Final = 15
_MAGIC: Final = b"\x7fELF"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPath:
    """The DT_RPATH or DT_RUNPATH of a file.

    Parameters:
        folders: its parts, in order.
        room: bytes that a new text may take.
        tag_offset: where in the file the dynamic entry begins.
        text_offset: where in the file the text begins.
        shared: whether another string of the file ends in the same bytes (linkers merge tails).
    """

    folders: tuple[str, ...]
    room: int
    tag_offset: int
    text_offset: int
    shared: bool


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

    @classmethod
    def from_path(cls, path: Path) -> Self | None:
        """Read a file's dynamic section; `None` if it is no ELF file.

        Raises:
            InterpreterProblem: it begins like one but is damaged.
        """
        with path.open("rb") as stream:
            if stream.read(4) != _MAGIC:
                return None
            try:
                elf = ELFFile(stream)
                segment = next((s for s in elf.iter_segments("PT_DYNAMIC")), None)
                if not isinstance(segment, DynamicSegment):
                    return cls(path=path)
                return cls(
                    path=path,
                    needed=tuple(cast("Any", tag).needed for tag in segment.iter_tags("DT_NEEDED")),
                    search_path=_search_path(segment),
                    little_endian=elf.little_endian,
                    tag_size=elf.elfclass // 8,
                )
            except (ELFError, KeyError, ValueError) as error:
                raise InterpreterProblem(f"{path} is a damaged ELF file: {error}") from error

    def with_search_path(self, folders: tuple[str, ...]) -> tuple[Patch, ...]:
        """Return the patches that replace the search path, as DT_RPATH.

        DT_RPATH and not DT_RUNPATH, because only the former comes before `LD_LIBRARY_PATH` and
        also serves the libraries that a library wants (measured; ld.so(8)).

        Raises:
            InterpreterProblem: there is no room for it.
        """
        found = self.search_path
        text = ":".join(folders).encode()
        if found is None or found.shared or len(text) > found.room:
            raise InterpreterProblem(
                f"{self.path} has no room for the relative search path {text.decode()!r}"
            )
        tag = _DT_RPATH.to_bytes(self.tag_size, "little" if self.little_endian else "big")
        return (
            Patch(offset=found.tag_offset, replacement=tag),
            Patch(offset=found.text_offset, replacement=text.ljust(found.room, b"\0")),
        )


def _search_path(segment: DynamicSegment) -> SearchPath | None:
    tags = list(segment.iter_tags())
    index = next(
        (i for i, tag in enumerate(tags) if tag.entry.d_tag in ("DT_RPATH", "DT_RUNPATH")), None
    )
    if index is None:
        return None
    value = tags[index].entry.d_val
    text: str = getattr(tags[index], tags[index].entry.d_tag[3:].lower())
    room = len(text.encode())
    _, table = segment.get_table_offset("DT_STRTAB")
    return SearchPath(
        folders=tuple(text.split(":")),
        room=room,
        tag_offset=segment.header.p_offset + index * segment.elfstructs.Elf_Dyn.sizeof(),
        text_offset=table + value,
        shared=any(value < other <= value + room for other in _string_offsets(segment, tags))
        or sum(other == value for other in _string_offsets(segment, tags)) > 1,
    )


def _string_offsets(segment: DynamicSegment, tags: list[Any]) -> list[int]:
    """Return the offsets of all strings that the dynamic section and its symbols refer to."""
    named = ("DT_NEEDED", "DT_SONAME", "DT_RPATH", "DT_RUNPATH")
    offsets = [tag.entry.d_val for tag in tags if tag.entry.d_tag in named]
    return offsets + [symbol.entry.st_name for symbol in segment.iter_symbols()]
