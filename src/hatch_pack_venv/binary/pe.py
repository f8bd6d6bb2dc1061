"""Windows programs and libraries (PE, "Portable Executable"), reduced to what is needed here.

The layout follows Microsoft's "PE Format" specification. Only headers and resources are read;
nothing is loaded or run.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterator


MAGIC: Final = b"MZ"
MACHINES: Final = {0x8664: "amd64", 0xAA64: "arm64", 0x014C: "win32", 0x01C4: "arm32"}
"""Suffixes of `sysconfig.get_platform()`, by the header's machine number."""
RCDATA: Final = 10
"""The resource type for raw data (RT_RCDATA)."""
_PE_OFFSET: Final = 0x3C  # location of the PE header's offset
_HEADERS: Final = 1 << 16  # bytes; section tables end well before
_GUI: Final = 2  # IMAGE_SUBSYSTEM_WINDOWS_GUI
_WIDE: Final = 0x20B  # PE32+, i.e. 64-bit
_SUBSYSTEM_VERSION: Final = 48  # offsets in the optional header
_SUBSYSTEM: Final = 68
_RESOURCES, _CERTIFICATES = 2, 4  # indexes of data directories
_IS_NAMED: Final = 1 << 31  # in a resource's name: it is a string; in its offset: it is a directory


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of a file and its mapped address."""

    address: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Raw data embedded in a program.

    Parameters:
        entry: offset of the record that holds its address and size.
        offset: where the data starts in the file.
    """

    entry: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeFile:
    """The headers of a Windows program or library.

    Parameters:
        machine: as in `MACHINES`; hexadecimal digits if not listed there.
        version: the minimum version of the Windows subsystem that it requires.
        gui: whether it has no console.
        signed: whether an Authenticode signature is attached, which any change to the file
            invalidates.
        end: the file's size according to its sections; appended data starts there.
    """

    machine: str
    version: tuple[int, int]
    gui: bool
    signed: bool
    end: int
    sections: tuple[Section, ...]
    resources: int

    @classmethod
    def from_bytes(cls, content: bytes) -> Self | None:
        """Read a file's headers; return `None` if it is not a PE file or is damaged."""
        if not content.startswith(MAGIC):
            return None
        try:
            return cls._parsed(content)
        except (struct.error, IndexError):
            return None

    @classmethod
    def from_stream(cls, stream: BinaryIO) -> Self | None:
        """Do the same as `from_bytes`, reading no more than needed."""
        head = stream.read(2)
        return cls.from_bytes(head + stream.read(_HEADERS)) if head == MAGIC else None

    @classmethod
    def _parsed(cls, content: bytes) -> Self | None:
        (start,) = struct.unpack_from("<I", content, _PE_OFFSET)
        if content[start : start + 4] != b"PE\0\0":
            return None
        machine, count, optional_size = struct.unpack_from("<HH12xH", content, start + 4)
        optional = start + 24
        (magic,) = struct.unpack_from("<H", content, optional)
        major, minor = struct.unpack_from("<HH", content, optional + _SUBSYSTEM_VERSION)
        (subsystem,) = struct.unpack_from("<H", content, optional + _SUBSYSTEM)
        directories = optional + (112 if magic == _WIDE else 96)
        resources, certificates = (
            struct.unpack_from("<I", content, directories + 8 * number)[0]
            for number in (_RESOURCES, _CERTIFICATES)
        )
        table = optional + optional_size
        found = [struct.unpack_from("<III", content, table + 40 * n + 12) for n in range(count)]
        sections = tuple(Section(address=a, size=s, offset=o) for a, s, o in found)
        return cls(
            machine=MACHINES.get(machine, f"{machine:x}"),
            version=(major, minor),
            gui=subsystem == _GUI,
            signed=certificates != 0,
            end=max((each.offset + each.size for each in sections), default=table),
            sections=sections,
            resources=resources,
        )

    def resource(self, content: bytes, name: str) -> Resource | None:
        """Return the resource of type `RCDATA` with a name, or `None` if there is none.

        Parameters:
            content: the whole file.
        """
        start = self._offset_of(self.resources) if self.resources else None
        if start is None:
            return None
        try:
            return self._found(content, start, name)
        except struct.error:
            return None

    def _found(self, content: bytes, start: int, name: str) -> Resource | None:
        """Descend the three levels: type, name, language."""
        of_type = dict(_directory(content, start, 0)).get(RCDATA)
        of_name = dict(_directory(content, start, of_type or 0)).get(name) if of_type else None
        languages = [place for _, place in _directory(content, start, of_name or 0)]
        if of_name is None or not languages:
            return None
        entry = start + languages[0]
        address, size = struct.unpack_from("<II", content, entry)
        offset = self._offset_of(address)
        if offset is None or offset + size > len(content):
            return None
        return Resource(entry=entry, offset=offset, size=size)

    def _offset_of(self, address: int) -> int | None:
        for section in self.sections:
            if section.address <= address < section.address + section.size:
                return address - section.address + section.offset
        return None


def _directory(content: bytes, start: int, place: int) -> Iterator[tuple[int | str, int]]:
    """Yield the names or numbers in a resource directory, and the offset each points to.

    Parameters:
        start: file offset of the resources, to which all other offsets are relative.
    """
    named, numbered = struct.unpack_from("<HH", content, start + place + 12)
    for number in range(named + numbered):
        name, leads = struct.unpack_from("<II", content, start + place + 16 + 8 * number)
        key: int | str = name
        if name & _IS_NAMED:
            text = start + (name & ~_IS_NAMED)
            (length,) = struct.unpack_from("<H", content, text)
            key = content[text + 2 : text + 2 + 2 * length].decode("utf-16-le", "replace")
        yield key, leads & ~_IS_NAMED
