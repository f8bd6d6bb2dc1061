"""Where packed extension modules look for libraries (DT_RPATH, DT_RUNPATH).

A module that was compiled on the build machine names the base interpreter's `lib` there, or a
folder of the environment. On the target the one is missing or, worse, another Python's, and the
other has moved. The file itself is never written: the change is a patch for the copy.
"""

from __future__ import annotations

import io
import os
import posixpath
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..entries import FileEntry, Patch, PatchedFile, SymlinkEntry
from ..places import is_tellable
from .dynamic_section import DynamicSection, Text
from .headers import may_be_elf
from .patching import patched, patched_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..entries import ScannedEntry
    from ..environment import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPaths:
    """Makes the search paths of an environment's files independent of where it lay.

    Parameters:
        bundled: whether the base interpreter's `lib` is packed too.
    """

    environment: Environment
    bundled: bool

    def made_portable(self, entries: Iterable[ScannedEntry]) -> Iterator[ScannedEntry]:
        """Yield entries, those of shared objects and executables changed where they have to be."""
        for entry in entries:
            if isinstance(entry, FileEntry):
                yield self.portable_file(entry)
            elif isinstance(entry, SymlinkEntry) and entry.copies:
                yield replace(entry, copies=tuple(self.made_portable(entry.copies)))
            else:
                yield entry

    def _is_connected(self, arcname: str) -> bool:
        """Whether this is a copy of the interpreter: left out, or for postinstall.py to replace."""
        return self.environment.is_of_interpreter(arcname)

    def portable_file(self, entry: FileEntry) -> FileEntry:
        """Return a file with search paths that hold wherever the environment is unpacked."""
        content = entry.content
        if isinstance(content, PatchedFile) or not may_be_elf(entry):
            return entry
        if self._is_connected(entry.arcname):
            return entry
        if isinstance(content, bytes):
            patches = self.patches(io.BytesIO(content), entry.arcname)
            return replace(entry, content=patched(content, patches)) if patches else entry
        try:
            with open(content, "rb") as stream:
                patches = self.patches(stream, entry.arcname)
            return replace(entry, content=patched_file(content, patches)) if patches else entry
        except OSError:
            return entry  # the writer tells of it, by name

    def patches(self, stream: BinaryIO, arcname: str) -> tuple[Patch, ...]:
        """Return what has to be changed in a file; nothing if there is no room for it.

        Folders inside become relative to the file, the base interpreter's `lib` too if it is
        packed, the base interpreter's others go. The tag's kind stays as the builder chose it.
        """
        section = DynamicSection.from_stream(stream)
        if section is None or not section.search_paths:
            return ()
        here = posixpath.dirname(arcname)
        paths = section.search_paths
        for base_is_relative in (self.bundled, False):
            # What the interpreter loads finds its `lib` by the interpreter's own search path too.
            texts = [self._relocated(path.text, here, base_is_relative) for path in paths]
            if texts == [path.text for path in paths]:
                return ()
            if not any(texts):
                return _without_search_paths(section, stream)
            if all(
                text == path.text or (text and _has_room(section, stream, path, text))
                for path, text in zip(paths, texts, strict=True)
            ):
                changed = zip(paths, texts, strict=True)
                return tuple(_text_patch(section, path, text) for path, text in changed)
        return ()

    def _relocated(self, text: str, here: str, base_is_relative: bool) -> str:  # noqa: FBT001
        before = text.split(":")
        after = [self._folder(folder, here, base_is_relative) for folder in before]
        if after == before:
            return text
        return ":".join(dict.fromkeys(folder for folder in after if folder is not None))

    def _folder(self, folder: str, here: str, base_is_relative: bool) -> str | None:  # noqa: FBT001
        """Return a folder as the copy shall name it; `None` to drop it."""
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


def _has_room(section: DynamicSection, stream: BinaryIO, path: Text, text: str) -> bool:
    fits = len(os.fsencode(text)) <= len(os.fsencode(path.text))
    return fits and not _is_shared(section, stream, path)


def _is_shared(section: DynamicSection, stream: BinaryIO, path: Text) -> bool:
    """Whether another name in the file is the end of this text (linkers merge such strings)."""
    names = section.symbol_names(stream)
    if names is None:
        return True
    same = {(text.start, text.text) for text in section.search_paths} - {(path.start, path.text)}
    others = [text.start for text in section.texts if text not in section.search_paths]
    end = path.start + len(os.fsencode(path.text))
    starts = [*names, *others, *(start for start, _ in same)]
    return any(path.start <= start < end for start in starts)


def _text_patch(section: DynamicSection, path: Text, text: str) -> Patch:
    room = len(os.fsencode(path.text))
    return Patch(
        offset=section.strings + path.start, replacement=os.fsencode(text).ljust(room, b"\0")
    )


def _without_search_paths(section: DynamicSection, stream: BinaryIO) -> tuple[Patch, ...]:
    """Take the tags out, the texts too where nothing else needs them."""
    tags = Patch(offset=section.offset, replacement=section.without_search_paths())
    unused = [path for path in section.search_paths if not _is_shared(section, stream, path)]
    return (tags, *(_text_patch(section, path, "") for path in unused))
