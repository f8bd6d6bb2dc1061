"""Modes, times and order: one rule for all formats.

What differs between two builders (owner, umask, clock, the order of a folder's names) never
reaches an archive. See https://reproducible-builds.org/docs/archives/.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from .entries import DirectoryEntry, Entry, FileEntry, SymlinkEntry, UnsupportedEntry
from .errors import OptionsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

DEFAULT_TIME: Final = calendar.timegm((2020, 2, 2, 0, 0, 0))
"""hatchling's time for reproducible builds, 2020-02-02 00:00 UTC, in seconds."""

DIRECTORY_MODE: Final = 0o755
SYMLINK_MODE: Final = 0o777
_NATIVE: Final = (".so", ".dylib", ".dll", ".pyd", ".exe")
_VERSIONED: Final = re.compile(r"\.so(\.\d+)+$")
_PROGRAM: Final = re.compile(r"[^.]+(\.\d+t?)*")
_LARGE: Final = 256 << 10
"""Bytes from which a copy is moved. xz, whose dictionary is shorter than a folder of web pages,
makes an environment 2 % smaller; with all copies moved, zstd, which looks farther, makes it larger.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Which modification times entries get, in whole seconds since the epoch.

    Parameters:
        fixed: the time of every entry; `None` keeps the files' own.
        latest: no entry is later than this; `None` sets no limit.
        generated: the time of entries that no file stands behind.
    """

    fixed: int | None = None
    latest: int | None = None
    generated: int = DEFAULT_TIME

    @classmethod
    def reproducible(cls, environ: Mapping[str, str]) -> Self:
        """Give every entry `SOURCE_DATE_EPOCH`, else hatchling's default.

        Raises:
            OptionsError: the variable is no whole number of seconds, zero or more.
        """
        time = source_date_epoch(environ)
        return cls(fixed=time, generated=time)

    @classmethod
    def kept(cls, environ: Mapping[str, str]) -> Self:
        """Keep the files' own times (`tool.hatch.build.reproducible = false`)."""
        return cls(generated=source_date_epoch(environ))

    @classmethod
    def clamped(cls, latest: datetime | None) -> Self:
        """Keep times up to `latest`; a naive one is local time."""
        return cls(latest=None if latest is None else int(latest.timestamp()))

    def of(self, mtime: int | None) -> int:
        """Return the time that an entry with this file time gets."""
        time = self.generated if mtime is None else mtime
        time = time if self.fixed is None else self.fixed
        return max(0, time if self.latest is None else min(time, self.latest))


def source_date_epoch(environ: Mapping[str, str]) -> int:
    """Read `SOURCE_DATE_EPOCH` (https://reproducible-builds.org/specs/source-date-epoch/)."""
    text = environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return DEFAULT_TIME
    if not (text.isascii() and text.isdigit()):
        problem = f"it must be a whole number of seconds since 1970, not {text!r}"
        raise OptionsError("the environment variable SOURCE_DATE_EPOCH is wrong", [problem])
    return int(text)


def mode_of(entry: Entry) -> int:
    """Return the permission bits of an entry: 755 or 644, by the owner's execute bit."""
    if isinstance(entry, FileEntry):
        return 0o755 if entry.executable else 0o644
    return DIRECTORY_MODE if isinstance(entry, DirectoryEntry) else SYMLINK_MODE


def with_times(entries: Iterable[Entry], times: Times) -> list[Entry]:
    """Give each entry, and what can stand in the place of a link, its time."""
    return [_with_time(entry, times) for entry in entries]


def _with_time(entry: Entry, times: Times) -> Entry:
    if isinstance(entry, SymlinkEntry) and entry.copies:
        copies = tuple(
            copy if isinstance(copy, UnsupportedEntry) else _with_time(copy, times)
            for copy in entry.copies
        )
        entry = replace(entry, copies=copies)
    return entry.with_time(times.of(entry.mtime))


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Sort entries: folders, files, links; parents first, the same on every machine.

    Among the files like lies beside like, which compressors reward: machine code first, then the
    others by their names' endings. Large ones of one name and size, most likely copies, lie where
    the last of them would. Links come after all that they may lead to.
    """
    ordered = sorted(entries, key=_place)
    copies = {number: alike for number, entry in enumerate(ordered) if (alike := _alike(entry))}
    last = {alike: number for number, alike in copies.items()}
    places = [last[copies[n]] if n in copies else n for n in range(len(ordered))]
    return [ordered[number] for number in sorted(range(len(ordered)), key=places.__getitem__)]


def _place(entry: Entry) -> str:
    """Return kind, ending and path in one text, which is smaller than a tuple of three.

    Between the parts of a path, too, stands the one character that no name holds: what lies in a
    folder comes before what only begins like its name.
    """
    match entry:
        case DirectoryEntry():
            kind = "0"
        case FileEntry():
            kind = "1" if is_native(entry) else f"2{_ending(entry.arcname)}"
        case _:
            kind = "3"
    return f"{kind}/{entry.arcname}".replace("/", "\0")


def _alike(entry: Entry) -> tuple[str, int] | None:
    """Return what only copies share; machine code stays with what else its package brings."""
    if isinstance(entry, FileEntry) and entry.size >= _LARGE and not is_native(entry):
        return entry.arcname.rpartition("/")[2], entry.size
    return None


def is_native(entry: FileEntry) -> bool:
    """Whether a file is machine code, by its name: a shared object or a program.

    A program is an executable file whose name has no ending but a version; scripts are read when
    the environment is scanned, so that their first bytes tell.
    """
    name = entry.arcname.rpartition("/")[2]
    if name.endswith(_NATIVE) or (".so." in name and _VERSIONED.search(name)):
        return True
    if not entry.executable:
        return False
    if isinstance(entry.content, bytes):
        return entry.content.startswith(b"\x7fELF")
    return _PROGRAM.fullmatch(name) is not None


def _ending(arcname: str) -> str:
    """Return what follows the last dot of a name; a dot at its start does not count."""
    start, dot, ending = arcname.rpartition("/")[2].rpartition(".")
    return ending.lower() if dot and start else ""
