"""The order of an archive's entries, and its folders: one rule for all formats.

Differences between build machines (owner, umask, clock, the order of folder listings) never reach
an archive. See https://reproducible-builds.org/docs/archives/.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name

from ..model.entries import (
    SAFE_MODE,
    DirectoryEntry,
    FileEntry,
    SymlinkEntry,
    UnsupportedEntry,
    parents_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..model.distribution import InstalledDistribution
    from ..model.entries import Entry, ScannedEntry, Times
    from ..model.environment import Environment
    from ..model.plan import DecisionLog


_NATIVE: Final = (".so", ".dylib", ".dll", ".pyd", ".exe")
_VERSIONED: Final = re.compile(r"\.so(\.\d+)+$")
_PROGRAM: Final = re.compile(r"[^.]+(\.\d+t?)*")
_LARGE: Final = 256 << 10
"""Minimum size, in bytes, of copies that are moved together. This makes an environment 2 % smaller
with xz, whose dictionary is smaller than a folder of web pages; moving all copies makes it larger
with zstd, which looks further back.
"""


def normalised(entries: Iterable[Entry], times: Times, *, keeps_modes: bool = False) -> list[Entry]:
    """Set the time and mode of each entry, and of entries that can replace a link.

    Parameters:
        keeps_modes: whether entries keep the permission bits found, limited to `SAFE_MODE`.
    """
    return [_normalised(entry, times, keeps_modes=keeps_modes) for entry in entries]


def _normalised(entry: Entry, times: Times, *, keeps_modes: bool) -> Entry:
    if isinstance(entry, SymlinkEntry):
        if entry.copies:
            copies = tuple(
                copy
                if isinstance(copy, UnsupportedEntry)
                else _normalised(copy, times, keeps_modes=keeps_modes)
                for copy in entry.copies
            )
            entry = replace(entry, copies=copies)
        return entry.normalised(times.of(entry.mtime), None)
    mode = entry.mode & SAFE_MODE if keeps_modes and entry.mode is not None else None
    return entry.normalised(times.of(entry.mtime), mode)


def own_files(distributions: Iterable[InstalledDistribution], name: str) -> frozenset[str]:
    """Return the arcnames of the files of one distribution, its metadata and launchers included."""
    key = canonicalize_name(name)
    return frozenset(file for each in distributions if each.key == key for file in each.files)


def in_order(entries: Iterable[Entry], own: frozenset[str] = frozenset()) -> list[Entry]:
    """Sort entries: folders, files, links; parents first, the same on every machine.

    Similar files are placed together, which compressors reward: machine code first, then the others
    by file extension. Large files with the same name and size, most likely copies, go where the
    last of them would go. Links come after everything that they may lead to.

    Parameters:
        own: arcnames of files that change with each release. They come after all other files,
            whose blocks therefore stay the same.
    """
    ordered = sorted(entries, key=lambda entry: _place(entry, own))
    copies = {number: alike for number, entry in enumerate(ordered) if (alike := _alike(entry))}
    last = {alike: number for number, alike in copies.items()}
    places = [last[copies[n]] if n in copies else n for n in range(len(ordered))]
    return [ordered[number] for number in sorted(range(len(ordered)), key=places.__getitem__)]


def _place(entry: Entry, own: frozenset[str]) -> str:
    """Return kind, extension and path as one string, which is smaller than a tuple of three.

    Path components are also separated by the one character that no name contains, so that a
    folder's contents come before names that merely start with its name.
    """
    match entry:
        case DirectoryEntry():
            kind = "0"
        case FileEntry():
            kind = "1" if is_native(entry) else f"2{_ending(entry.arcname)}"
            kind = f"3{kind}" if entry.arcname in own else kind
        case _:
            kind = "4"
    return f"{kind}/{entry.arcname}".replace("/", "\0")


def _alike(entry: Entry) -> tuple[str, int] | None:
    """Return a key that only copies share; machine code stays with the rest of its package."""
    if isinstance(entry, FileEntry) and entry.size >= _LARGE and not is_native(entry):
        return entry.arcname.rpartition("/")[2], entry.size
    return None


def is_native(entry: FileEntry) -> bool:
    """Return whether a file is machine code, by its name: a shared object or a program.

    A program is an executable file whose name has no extension except a version; scripts were read
    during the scan, so their first bytes decide.
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
    """Return what follows the last dot of a name, unless the dot is its first character."""
    start, dot, ending = arcname.rpartition("/")[2].rpartition(".")
    return ending.lower() if dot and start else ""


def complete_folders(
    entries: dict[str, Entry],
    scanned: Iterable[ScannedEntry],
    environment: Environment,
    written_last: Iterable[str],
    log: DecisionLog,
) -> None:
    """Add the parent folders of every entry, and drop folders that have lost all their contents.

    Parameters:
        written_last: arcnames of the files that the writer adds.
    """
    had_children = parents_of(entry.arcname for entry in scanned)
    leaves = [
        name
        for name, entry in entries.items()
        if not isinstance(entry, DirectoryEntry) or name not in had_children
    ]
    needed = [*leaves, *written_last]
    parents = parents_of(needed) | {
        environment.scripts,
        *environment.site_packages,
        *parents_of(environment.site_packages),
    }
    for name, entry in list(entries.items()):
        if isinstance(entry, DirectoryEntry) and name in had_children and name not in parents:
            del entries[name]
            log.leave_out(name, "a folder that would be empty")
    for name in parents:
        if name not in entries:
            entries[name] = DirectoryEntry(arcname=name)
            log.change(name, "the parent folder of other entries")
