"""Shared libraries across layers.

A layer collects links to its shared libraries in one folder, `share/venv/dynlib`. Modules of the
layers above that need one of them get that folder into their search path, relative to their own
place (`$ORIGIN/../../../../../framework/share/venv/dynlib`): the loader finds it wherever all of
them were moved to, with no variable set and no wrapper around the interpreter.

Measured with glibc 2.36: a library that is reached by a link has the link's folder for `$ORIGIN`,
so that those it needs must be linked beside it, and all of a layer are; and it is the same library
as the one that the layer's own modules load by its real path, not a second copy.
"""

from __future__ import annotations

import io
import os
import posixpath
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..binaries.dynamic_section import DT_SONAME, DynamicSection
from ..binaries.headers import may_be_elf, read_header
from ..binaries.patching import patched
from ..bundling.relinking import with_search_path
from ..entries import FileEntry, PatchedFile, SymlinkEntry
from ..errors import InterpreterProblem, SourceProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ..entries import Entry, ScannedEntry
    from .neighbours import LibraryFolder, Neighbours

FOLDER: Final = "share/venv/dynlib"
"""Arcname of the folder with links to a layer's shared libraries."""

_LIBRARY: Final = re.compile(r".+\.so(\.[^/]+)?")
# How CPython names extension modules; plain `.so` may be either.
_EXTENSION_MODULE: Final = re.compile(r".+\.(cpython-[^/.]+|abi3|cp\d[^/.]*)\.so")


def library_name(entry: ScannedEntry) -> str | None:
    """Return the name (DT_SONAME) that others need a shared library by; `None` for anything else.

    Extension modules are loaded by their path and are none, whatever they call themselves.
    """
    if not isinstance(entry, FileEntry):
        return None
    name = posixpath.basename(entry.arcname)
    if not _LIBRARY.fullmatch(name) or _EXTENSION_MODULE.fullmatch(name):
        return None
    section = _section(entry)
    texts = () if section is None else section.texts
    return next((text.text for text in texts if text.kind == DT_SONAME), None)


def library_names(entries: Iterable[ScannedEntry]) -> dict[str, str]:
    """Return the names of shared libraries by arcname."""
    named = ((entry.arcname, library_name(entry)) for entry in entries)
    return {arcname: name for arcname, name in named if name is not None and "/" not in name}


def collected_links(
    entries: Mapping[str, Entry], libraries: Mapping[str, str]
) -> tuple[list[SymlinkEntry], list[str]]:
    """Return the links to a layer's shared libraries, and a note on each name that two files have.

    A link that the environment itself has in the folder stands, and settles such a case.

    Parameters:
        entries: what is packed, by arcname.
        libraries: the names of shared libraries, by arcname.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for name in sorted(libraries.keys() & entries.keys()):
        if not name.startswith(f"{FOLDER}/"):
            found[libraries[name]].append(name)
    links, notes = [], []
    for library, files in sorted(found.items()):
        arcname = f"{FOLDER}/{library}"
        if arcname in entries:
            continue
        if len(files) > 1:
            notes.append(
                f"{' and '.join(files)} have the same name, {library}: layers above find neither"
                f" (a link {arcname} in the environment would say which)"
            )
            continue
        text = posixpath.relpath(files[0], FOLDER)
        links.append(SymlinkEntry(arcname=arcname, linkname=text))
    return links, notes


def relative_from(folder: str, path: str) -> str:
    """Return a path from a folder on, both given below the install target.

    Parameters:
        path: may begin with `..`.
    """
    depth = len([part for part in folder.split("/") if part not in ("", ".")])
    return posixpath.normpath("/".join([".."] * depth + [path]))


def offered(folder: LibraryFolder) -> frozenset[str]:
    """Return the names of the libraries that a neighbour's folder holds, or will when packed."""
    path = folder.owner.path / folder.inside
    names = {each.name for each in path.iterdir() if each.is_file()} if path.is_dir() else set()
    if folder.inside == FOLDER:
        for file in _shared_objects(folder.owner.path, folder.owner.site_packages):
            entry = FileEntry(arcname=file.name, content=str(file), size=0)
            library = library_name(entry)
            if library is not None:
                names.add(library)
    return frozenset(names)


def _shared_objects(prefix: Path, sites: Sequence[str]) -> Iterator[Path]:
    for site in sites:
        for folder, _, files in os.walk(prefix / site):
            yield from (Path(folder, name) for name in files if _LIBRARY.fullmatch(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class AcrossLayers:
    """Gives modules that need a neighbour's library a search path that leads to it.

    Parameters:
        folders: by the path from the install target, the names that each folder offers.
        own: names that the environment holds itself.
    """

    folders: Mapping[str, frozenset[str]]
    own: frozenset[str] = frozenset()

    @classmethod
    def of(cls, neighbours: Neighbours | None, entries: Iterable[ScannedEntry]) -> AcrossLayers:
        """Look what the neighbours offer.

        Parameters:
            entries: what the environment holds.
        """
        if neighbours is None or not neighbours.dynlib:
            return cls(folders={})
        own = frozenset(library_names(entries).values())
        return cls(folders={each.relative: offered(each) for each in neighbours.dynlib}, own=own)

    def applied(self, entries: Iterable[ScannedEntry]) -> Iterator[ScannedEntry]:
        """Yield entries, those of modules that need a neighbour's library with its folder.

        Raises:
            InterpreterProblem: patchelf is needed and missing, or fails.
        """
        for entry in entries:
            yield self.applied_to_file(entry) if isinstance(entry, FileEntry) else entry

    def applied_to_file(self, entry: FileEntry) -> FileEntry:
        """Return a file, with the folders that it needs."""
        wanted = self._folders_for(entry) if self.folders and may_be_elf(entry) else ()
        return self._relinked(entry, wanted) if wanted else entry

    def _folders_for(self, entry: FileEntry) -> tuple[str, ...]:
        """Return what is to be added to a file's search path."""
        section = _section(entry)
        needed = set() if section is None else {*section.needed} - self.own
        here = posixpath.dirname(entry.arcname)
        return tuple(
            f"$ORIGIN/{relative_from(here, folder)}"
            for folder, names in self.folders.items()
            if needed & names
        )

    def _relinked(self, entry: FileEntry, wanted: tuple[str, ...]) -> FileEntry:
        """Return a file with the folders at the end of its search path, as DT_RPATH.

        Not as DT_RUNPATH, which would leave out what that library itself needs of its neighbours
        (ld.so(8)).
        """
        content = _content(entry)
        section = DynamicSection.from_stream(io.BytesIO(content))
        paths = () if section is None else section.search_paths
        # Where a file has both kinds, the loader looks at DT_RUNPATH only.
        text = max(paths, key=lambda path: path.kind).text if paths else ""
        folders = tuple(dict.fromkeys((*filter(None, text.split(":")), *wanted)))
        try:
            (content,) = with_search_path([content], folders)
        except InterpreterProblem as error:
            raise SourceProblem(
                f"{entry.arcname} needs a library of a layer, and its search path cannot be set:"
                f" {str(error).partition(';')[0]}"
            ) from error
        return replace(entry, content=content, size=len(content))


def _section(entry: FileEntry) -> DynamicSection | None:
    return read_header(entry.content, DynamicSection.from_stream)


def _content(entry: FileEntry) -> bytes:
    match entry.content:
        case bytes() as content:
            return content
        case PatchedFile(path=path, patches=patches):
            return patched(Path(path).read_bytes(), patches)
        case path:
            return Path(path).read_bytes()
