"""What an archive is made of: frozen values, no input or output.

An *arcname* is the path of an entry below the install target, with `/` between its parts, whatever
the platform; it is never absolute and never holds `..`. The install target itself is put before it
by the sinks. Times are whole seconds since the epoch, in UTC; `None` is that of an entry which no
file stands behind.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """Bytes that replace as many others at an offset of a file."""

    offset: int
    replacement: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchedFile:
    """A file to be streamed with some of its bytes replaced; the file itself stays as it is.

    Parameters:
        sha256: of the copy, where a RECORD may have to tell it.
    """

    path: str
    patches: tuple[Patch, ...]
    sha256: bytes | None = None


Content: TypeAlias = str | PatchedFile | bytes
"""What a file holds: its bytes, or where to stream them from.

A path is a plain string, absolute: there may be a hundred thousand, and a `Path` takes ten times as
long to make and five times the memory.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """A regular file.

    Parameters:
        content: the bytes themselves (files that a rule may rewrite, generated ones), or where
            to stream them from when the archive is written.
        size: in bytes; what `content` must turn out to hold.
        executable: whether the owner may execute it: mode 755, else 644.
    """

    arcname: str
    content: Content
    size: int
    executable: bool = False
    mtime: int | None = None

    def with_time(self, mtime: int) -> FileEntry:
        """Return the same with another time; in a third of the time that `replace` takes."""
        return FileEntry(
            arcname=self.arcname,
            content=self.content,
            size=self.size,
            executable=self.executable,
            mtime=mtime,
        )

    @classmethod
    def from_bytes(
        cls, arcname: str, content: bytes, *, executable: bool = False, mtime: int | None = None
    ) -> FileEntry:
        """Make an entry of content that is at hand."""
        return cls(
            arcname=arcname,
            content=content,
            size=len(content),
            executable=executable,
            mtime=mtime,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryEntry:
    """A folder; its children are entries of their own."""

    arcname: str
    mtime: int | None = None

    def with_time(self, mtime: int) -> DirectoryEntry:
        """Return the same with another time."""
        return DirectoryEntry(arcname=self.arcname, mtime=mtime)


class TargetKind(enum.Enum):
    """Where a symbolic link really leads, judged component by component."""

    INTERNAL = "internal"
    NEIGHBOUR = "in a neighbour"
    EXTERNAL_FILE = "external file"
    EXTERNAL_DIRECTORY = "external folder"
    DANGLING = "dangling"
    LOOP = "loop"
    SPECIAL = "special file"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTarget:
    """What a link resolves to.

    Parameters:
        path: the real path (no link in any of its components) of what the link leads to; for a
            dangling link the path that does not exist; for a loop the link where it closes.
        is_directory: whether `path` is a folder.
    """

    kind: TargetKind
    path: Path
    is_directory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SymlinkEntry:
    """A symbolic link.

    Parameters:
        linkname: the link's text.
        target: what it leads to, as the scan found it; `None` for links that the plan made itself.
        copies: for a link that leaves the environment, the entries that can stand in its place
            (the file, or the folder with all it holds).
        optional: whether formats that cannot hold links leave it out instead of copying.
    """

    arcname: str
    linkname: str
    target: LinkTarget | None = None
    copies: tuple[ScannedEntry, ...] = ()
    optional: bool = False
    mtime: int | None = None

    def with_time(self, mtime: int) -> SymlinkEntry:
        """Return the same with another time."""
        return replace(self, mtime=mtime)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsupportedEntry:
    """Something no archive can hold: a FIFO, a device, a socket, an unreadable folder.

    It is yielded by the scan so that the plan can leave it out by pattern or refuse it by name.
    """

    arcname: str
    reason: str


Entry: TypeAlias = FileEntry | DirectoryEntry | SymlinkEntry
ScannedEntry: TypeAlias = Entry | UnsupportedEntry
