"""What an archive is made of: frozen values, no I/O.

An *arcname* is an entry's path below the install target, with `/` as separator on every platform;
it is never absolute and never contains `..`. The sinks prepend the install target itself. Times are
whole seconds since the epoch, in UTC, and `None` for an entry that is not backed by a file.
"""

from __future__ import annotations

import calendar
import enum
import posixpath
import re
import stat
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, Self, TypeAlias

from .errors import ArchiveProblem, OptionsError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A replacement for the same number of bytes at an offset in a file."""

    offset: int
    replacement: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchedFile:
    """A file to be streamed with some of its bytes replaced; the file itself is left unchanged.

    Parameters:
        sha256: the hash of the patched copy, for files that a RECORD may list.
    """

    path: str
    patches: tuple[Patch, ...]
    sha256: bytes | None = None


Content: TypeAlias = str | PatchedFile | bytes
"""A file's content: its bytes, or where to stream them from.

Paths are plain absolute strings: there may be a hundred thousand of them, and a `Path` takes ten
times as long to create and five times the memory.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """A regular file.

    Parameters:
        content: the bytes themselves (generated files and those that a rule may rewrite), or where
            to stream them from when the archive is written.
        size: in bytes; must match what `content` yields.
        executable: whether the owner may execute it: mode 755 if so, otherwise 644.
        mode: its permission bits, overriding those two; the plan drops the bits that a scan found,
            unless modes are kept.
    """

    arcname: str
    content: Content
    size: int
    executable: bool = False
    mtime: int | None = None
    mode: int | None = field(default=None, compare=False)

    def normalised(self, mtime: int, mode: int | None) -> FileEntry:
        """Return a copy with another time and mode, in a third of the time that `replace` takes."""
        return FileEntry(
            arcname=self.arcname,
            content=self.content,
            size=self.size,
            executable=self.executable,
            mtime=mtime,
            mode=mode,
        )

    @classmethod
    def from_status(cls, arcname: str, path: str, status: os.stat_result) -> FileEntry:
        """Return the entry of a regular file, to be streamed from its path."""
        return cls(
            arcname=arcname,
            content=path,
            size=status.st_size,
            executable=bool(status.st_mode & stat.S_IXUSR),
            mtime=int(status.st_mtime),
            mode=stat.S_IMODE(status.st_mode),
        )

    @classmethod
    def from_bytes(
        cls, arcname: str, content: bytes, *, executable: bool = False, mtime: int | None = None
    ) -> FileEntry:
        """Return an entry for content held in memory."""
        return cls(
            arcname=arcname,
            content=content,
            size=len(content),
            executable=executable,
            mtime=mtime,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryEntry:
    """A folder; its children are separate entries.

    Parameters:
        mode: its permission bits, overriding 755; the plan drops the bits that a scan found, unless
            modes are kept.
    """

    arcname: str
    mtime: int | None = None
    mode: int | None = field(default=None, compare=False)

    @classmethod
    def from_status(cls, arcname: str, status: os.stat_result) -> DirectoryEntry:
        """Return the entry of a folder."""
        return cls(arcname=arcname, mtime=int(status.st_mtime), mode=stat.S_IMODE(status.st_mode))

    def normalised(self, mtime: int, mode: int | None) -> DirectoryEntry:
        """Return a copy with another time and mode."""
        return DirectoryEntry(arcname=self.arcname, mtime=mtime, mode=mode)


class TargetKind(enum.Enum):
    """Where a symbolic link really points, resolved component by component."""

    INTERNAL = "internal"
    LAYER = "in a layer"
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
        path: the real path (no component is a link) of the link's target; for a dangling link, the
            path that does not exist; for a loop, the link that closes it.
        is_directory: whether `path` is a folder.
    """

    kind: TargetKind
    path: Path
    is_directory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SymlinkEntry:
    """A symbolic link.

    Parameters:
        linkname: the text of the link.
        target: what it resolves to, as found by the scan; `None` for links created by the plan.
        copies: for a link that leaves the environment, the entries that can replace it (the file,
            or the folder with all its contents).
        optional: whether formats without links omit it instead of storing a copy.
    """

    arcname: str
    linkname: str
    target: LinkTarget | None = None
    copies: tuple[ScannedEntry, ...] = ()
    optional: bool = False
    mtime: int | None = None

    def normalised(self, mtime: int, mode: int | None) -> SymlinkEntry:  # noqa: ARG002
        """Return a copy with another time; a link has no mode of its own."""
        return replace(self, mtime=mtime)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsupportedEntry:
    """Something no archive can hold: a FIFO, a device, a socket, an unreadable folder.

    The scan yields it so that the plan can exclude it by pattern or report it by name.
    """

    arcname: str
    reason: str


Entry: TypeAlias = FileEntry | DirectoryEntry | SymlinkEntry
ScannedEntry: TypeAlias = Entry | UnsupportedEntry


def source_of(arcname: str) -> str:
    """Return the source file of compiled bytecode (PEP 3147); any other arcname unchanged."""
    folder, _, name = arcname.rpartition("/__pycache__/")
    return f"{folder}/{name.split('.')[0]}.py" if folder else arcname


def parents_of(arcnames: Iterable[str]) -> set[str]:
    """Return the arcnames of all parent folders of some entries."""
    found: set[str] = set()
    for arcname in arcnames:
        folder = arcname.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def with_copies(entries: Iterable[ScannedEntry]) -> Iterator[FileEntry]:
    """Yield the files among entries, including those that can replace links among them."""
    for entry in entries:
        if isinstance(entry, FileEntry):
            yield entry
        elif isinstance(entry, SymlinkEntry):
            yield from with_copies(entry.copies)


def collisions(
    names: Iterable[str], *, fold: Callable[[str], str] = str.casefold
) -> list[tuple[str, ...]]:
    """Return the sorted groups of names that a file system treats as one, each of them sorted.

    A folder counts as a name in its own right: if two folders collide, only the folders are
    reported, and their contents only where those collide as well.

    Parameters:
        names: arcnames of files and folders; duplicates count once.
        fold: maps a name to the form that the file system compares: the same text for all names
            that it treats as equal.
    """
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        groups[fold(name)].add(name)
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1)


SYMLINK_MODE: Final = 0o777


SAFE_MODE: Final = 0o755
"""The bits that a kept mode may have: not setuid, setgid or sticky, and no write access for group
or others."""


def mode_of(entry: Entry) -> int:
    """Return an entry's permission bits: those kept, or 755 or 644 by the owner's execute bit."""
    if isinstance(entry, SymlinkEntry):
        return SYMLINK_MODE
    if entry.mode is not None:
        return entry.mode
    return SAFE_MODE if isinstance(entry, DirectoryEntry) or entry.executable else 0o644


DEFAULT_TIME: Final = calendar.timegm((2020, 2, 2, 0, 0, 0))
"""hatchling's timestamp for reproducible builds, 2020-02-02 00:00 UTC, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Which modification times entries get, in whole seconds since the epoch.

    Parameters:
        fixed: the time of every entry, or `None` to keep the files' own times.
        latest: later times are clamped to this one; `None` sets no limit.
        generated: the time of entries that are not backed by a file.
    """

    fixed: int | None = None
    latest: int | None = None
    generated: int = DEFAULT_TIME

    @classmethod
    def reproducible(cls, environ: Mapping[str, str]) -> Self:
        """Give every entry the time in `SOURCE_DATE_EPOCH`, or else hatchling's default.

        Raises:
            OptionsError: if the variable is not a whole number of seconds, zero or more.
        """
        time = source_date_epoch(environ)
        return cls(fixed=time, generated=time)

    @classmethod
    def kept(cls, environ: Mapping[str, str]) -> Self:
        """Keep the files' own times (`tool.hatch.build.reproducible = false`)."""
        return cls(generated=source_date_epoch(environ))

    @classmethod
    def clamped(cls, latest: datetime | None) -> Self:
        """Keep times up to `latest`; a naive datetime is local time."""
        return cls(latest=None if latest is None else int(latest.timestamp()))

    def of(self, mtime: int | None) -> int:
        """Return the time of an entry whose file has this modification time."""
        time = self.generated if mtime is None else mtime
        time = time if self.fixed is None else self.fixed
        return max(0, time if self.latest is None else min(time, self.latest))


_LATEST: Final = 253402300799
"""In seconds: tools that unpack and list archives support no later time."""


def source_date_epoch(environ: Mapping[str, str]) -> int:
    """Read `SOURCE_DATE_EPOCH` (https://reproducible-builds.org/specs/source-date-epoch/)."""
    text = environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return DEFAULT_TIME
    if not (text.isascii() and text.isdigit()):
        problem = f"it must be a whole number of seconds since 1970, not {text!r}"
        raise OptionsError("the environment variable SOURCE_DATE_EPOCH is invalid", [problem])
    if len(text) > len(str(_LATEST)) or int(text) > _LATEST:
        problem = f"it must be at most {_LATEST}, the end of the year 9999, not {text[:40]!r}"
        raise OptionsError("the environment variable SOURCE_DATE_EPOCH is invalid", [problem])
    return int(text)


Kind: TypeAlias = Literal["file", "directory", "link", "other"]
Chunks: TypeAlias = "Iterator[bytes]"
"""A file's bytes, in chunks; those not consumed are skipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file, folder or link under one name in an archive or folder.

    Parameters:
        name: a normalised relative path with `/` as separator.
        mode: the permission bits.
        size: a file's size, in bytes.
        linkname: a link's text.
    """

    name: str
    kind: Kind
    mode: int
    size: int = 0
    linkname: str = ""


_WINDOWS_ABSOLUTE: Final = re.compile(r"\\|[A-Za-z]:")


_LONGEST_NAME: Final = 8192  # twice the PATH_MAX of Linux


def leads_out(name: str) -> bool:
    """Whether a member of this name would be written outside the target folder, on any platform."""
    if ".." not in name and ":" not in name and "\\" not in name:  # nearly all
        return name.startswith("/")
    either = name.replace("\\", "/")
    return (
        name.startswith("/")
        or _WINDOWS_ABSOLUTE.match(name) is not None
        or ".." in either.split("/")
    )


def portable_name(archive: Path, name: str) -> str:
    """Return a member's name without redundant parts (`./`, `//`, a trailing `/`).

    Raises:
        ArchiveProblem: the name is absolute or leads upwards, on any platform, or no file can have
            it.
    """
    if len(name) > _LONGEST_NAME:
        raise ArchiveProblem(
            f"{archive} is refused: its entry {name[:80]!r}… has a name of {len(name)} characters,"
            f" more than the {_LONGEST_NAME} that any system supports"
        )
    if leads_out(name):
        raise ArchiveProblem(
            f"{archive} is refused: its entry {name!r} would be written outside the folder that it"
            " is unpacked into"
        )
    if "\0" in name or not name:
        raise ArchiveProblem(f"{archive} is refused: its entry {name!r} does not have a valid name")
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def leaves(name: str, linkname: str) -> bool:
    """Whether a link's text leads out of the archive.

    A `..` after another component counts as leading out: if that component is a link, the result is
    only known when it is followed. Backslashes are also read as Windows reads them; the text leads
    out if either reading does.
    """
    if "\\" in linkname and leaves(name, linkname.replace("\\", "/")):
        return True
    parts = [part for part in linkname.split("/") if part not in ("", ".")]
    upwards = len(parts) - len([*_without_leading_parents(parts)])
    depth = name.count("/")
    inner = ".." in parts[upwards:]
    absolute = posixpath.isabs(linkname) or _WINDOWS_ABSOLUTE.match(linkname) is not None
    return absolute or inner or upwards > depth


def _without_leading_parents(parts: list[str]) -> list[str]:
    for index, part in enumerate(parts):
        if part != "..":
            return parts[index:]
    return []


class Names:
    """The names seen so far: none occurs twice, and only folders have names below them.

    Parameters:
        archive: for messages.
    """

    def __init__(self, archive: Path) -> None:
        self.last = ""
        self._archive = archive
        self._seen: set[str] = set()
        # As hashes: one name of 4 kB can have 2,000 folders above it.
        self._folders: set[int] = set()
        self._others: set[int] = set()

    def add(self, name: str, kind: str, linkname: str) -> None:
        """Add the next member.

        Raises:
            ArchiveProblem: the name occurred before, as this or as another kind, or one of its
                parents is a file or a link; a link's text is empty or contains a NUL, at which
                tools truncate it.
        """
        parents = [name[:index] for index, letter in enumerate(name) if letter == "/"]
        below = next((parent for parent in parents if hash(parent) in self._others), None)
        if below is not None:
            raise self._refusal(name, f"is below {below!r}, which is not a folder")
        if name in self._seen or (kind != "directory" and hash(name) in self._folders):
            raise self._refusal(name, "occurs twice")
        if kind == "link" and (not linkname or "\0" in linkname):
            raise self._refusal(name, "is a link to a name that no file can have")
        self._seen.add(name)
        self._folders.update(map(hash, parents))
        (self._folders if kind == "directory" else self._others).add(hash(name))
        self.last = name

    def _refusal(self, name: str, why: str) -> ArchiveProblem:
        return ArchiveProblem(f"{self._archive} is refused: its entry {name!r} {why}")
