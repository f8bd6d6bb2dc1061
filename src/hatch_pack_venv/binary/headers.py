"""Headers of binaries, wherever an entry's content is stored; each is read once."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias

from ..model.entries import FileEntry, PatchedFile, with_copies
from ..model.errors import is_failure
from .elf import MAGIC as ELF_MAGIC
from .elf import DamagedElfError, ElfHeaders
from .macho import MAGICS as MACHO_MAGICS
from .macho import MachO
from .pe import MAGIC as PE_MAGIC
from .pe import PeFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..model.entries import Content, ScannedEntry

Headers: TypeAlias = ElfHeaders | MachO | PeFile

# Suffixes of files without machine code, which are most of an environment.
_TEXT: Final = (
    *(".py", ".pyi", ".pyc", ".pxd", ".h", ".hpp", ".txt", ".json", ".js"),
    ".class",  # starts with the magic number of universal Mach-O files
)


def may_be_elf(entry: FileEntry) -> bool:
    """Return whether the loader may open a file, by its first bytes, its name or its mode."""
    if isinstance(entry.content, bytes):
        return entry.content.startswith(ELF_MAGIC)
    return entry.executable or ".so" in entry.arcname.rpartition("/")[2]


class HeaderReader:
    """Reads headers of binaries and caches them by content.

    A patched file counts as the original: no patch changes what its headers require. A file that
    cannot be read has no headers here; the writer reports it by name.

    Raises:
        OSError: if the disk fails. The file would otherwise count as one without headers and be
            packed as it is if it can be read later.
    """

    def __init__(self) -> None:
        self._known: dict[str | bytes, Headers | None] = {}
        self._damaged: set[str | bytes] = set()

    def of(self, entry: FileEntry) -> Headers | None:
        """Return the headers of a file, or `None` if it is of another kind."""
        return None if entry.arcname.endswith(_TEXT) else self.of_content(entry.content)

    def of_content(self, content: Content | Path) -> Headers | None:
        """Do the same as `of` for content whose name does not matter."""
        key = _key(content)
        if key not in self._known:
            self._known[key] = self._read(key)
        return self._known[key]

    def all_of(self, entries: Iterable[ScannedEntry]) -> dict[Content, Headers]:
        """Return the headers of all files among entries and their copies, by content."""
        read = {entry.content: self.of(entry) for entry in with_copies(entries)}
        return {content: headers for content, headers in read.items() if headers is not None}

    def elf(self, entry: FileEntry) -> ElfHeaders | None:
        """Return the headers of an ELF file, or `None` for any other file and for a damaged one."""
        headers = self.of(entry)
        return headers if isinstance(headers, ElfHeaders) else None

    def is_damaged(self, entry: FileEntry) -> bool:
        """Return whether a file starts like an ELF file but could not be parsed."""
        return self.of(entry) is None and _key(entry.content) in self._damaged

    def _read(self, key: str | bytes) -> Headers | None:
        try:
            if isinstance(key, bytes):
                return _read_headers(key[:4], io.BytesIO(key))
            with io.FileIO(key) as file:
                # Thousands of files are of other kinds, and buffering those takes twice the time.
                magic = file.read(4)
                if not magic.startswith(_MAGICS):
                    return None
                file.seek(0)
                with io.BufferedReader(file) as stream:
                    return _read_headers(magic, stream)
        except DamagedElfError:
            self._damaged.add(key)
        except OSError as error:
            if is_failure(error):
                raise
        return None


_MAGICS: Final = (ELF_MAGIC, PE_MAGIC, *MACHO_MAGICS)


def _key(content: Content | Path) -> str | bytes:
    match content:
        case PatchedFile(path=path):
            return path
        case Path():
            return str(content)
        case _:
            return content


def _read_headers(magic: bytes, stream: BinaryIO) -> Headers | None:
    if magic.startswith(ELF_MAGIC):
        return ElfHeaders.from_stream(stream)
    if magic.startswith(PE_MAGIC):
        return PeFile.from_stream(stream)
    return MachO.from_stream(stream) if magic in MACHO_MAGICS else None
