"""Finding shared libraries as the dynamic loader of Linux does (ld.so(8)).

`LD_LIBRARY_PATH` is left out: it belongs to the shell that packs, not to the interpreter.
"""

from __future__ import annotations

import os
import struct
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..binaries.elf import ElfFile
from ..errors import InterpreterProblem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CACHE: Final = Path("/etc/ld.so.cache")
_CACHE_MAGIC: Final = b"glibc-ld.so.cache1.1"
_HEADER: Final = struct.Struct("=20sIIIIIII")
_ENTRY: Final = struct.Struct("=iIIIQ")


class Loader:
    """The loader of this machine.

    Parameters:
        cache: where `ldconfig` wrote what it found.
        folders: where it looks last.
    """

    def __init__(
        self,
        cache: Path = _CACHE,
        folders: Sequence[str] = ("/lib64", "/usr/lib64", "/lib", "/usr/lib"),
    ) -> None:
        self.cache = cache
        self.folders = tuple(folders)
        self._files: dict[Path, ElfFile | None] = {}

    def find(self, name: str, chain: Sequence[ElfFile]) -> ElfFile | None:
        """Return a library, with the path at which it is found, or `None`.

        Parameters:
            name: as in DT_NEEDED.
            chain: the file that needs it, the one that loaded that, and so on to the executable.
        """
        candidates = iter([Path(name)]) if "/" in name else self._candidates(name, chain)
        files = (self._read(path) for path in candidates)
        kind = chain[0].kind  # the loader passes over libraries for another machine
        return next((file for file in files if file is not None and file.kind == kind), None)

    def _read(self, path: Path) -> ElfFile | None:
        if path not in self._files:
            try:
                self._files[path] = ElfFile.from_path(path)
            except (OSError, InterpreterProblem):
                self._files[path] = None
        return self._files[path]

    def _candidates(self, name: str, chain: Sequence[ElfFile]) -> Iterator[Path]:
        for folder in _searched(chain):
            yield Path(folder, name)
        yield from self._cached.get(name, ())
        for folder in self.folders:
            yield Path(folder, name)

    @cached_property
    def _cached(self) -> dict[str, list[Path]]:
        try:
            return _read_cache(self.cache.read_bytes())
        except OSError:
            return {}


def _searched(chain: Sequence[ElfFile]) -> Iterator[str]:
    """Yield the folders of the search paths that count, in the loader's order."""
    own = chain[0].search_path
    if own is not None and own.is_runpath:
        yield from _expanded(chain[0])
        return
    for file in chain:
        if file.search_path is not None and not file.search_path.is_runpath:
            yield from _expanded(file)


def _expanded(file: ElfFile) -> Iterator[str]:
    origin = os.path.realpath(file.path.parent)
    lib = "lib64" if file.tag_size == 8 else "lib"
    for folder in file.search_path.folders if file.search_path else ():
        for token, value in (("ORIGIN", origin), ("LIB", lib), ("PLATFORM", os.uname().machine)):
            folder = folder.replace(f"${{{token}}}", value).replace(f"${token}", value)
        if folder:
            yield os.path.normpath(folder)


def _read_cache(data: bytes) -> dict[str, list[Path]]:
    """Read `ld.so.cache`, whose new part may follow one in the format of libc5.

    Builds for newer processors (`glibc-hwcaps`) are left out: the target may have an older one.
    """
    start = data.find(_CACHE_MAGIC)
    if start < 0 or len(data) < start + _HEADER.size:
        return {}
    count = _HEADER.unpack_from(data, start)[1]
    found: dict[str, list[Path]] = {}
    for index in range(count):
        offset = start + 48 + index * _ENTRY.size
        if offset + _ENTRY.size > len(data):
            break
        _, key, value, _, hwcap = _ENTRY.unpack_from(data, offset)
        if not hwcap:
            name, path = (_string(data, start + place) for place in (key, value))
            found.setdefault(name, []).append(Path(path))
    return found


def _string(data: bytes, offset: int) -> str:
    return os.fsdecode(data[offset : data.index(b"\0", offset)])
