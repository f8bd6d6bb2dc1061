"""The shape of what is packed: folders above all, nothing below a file, no way out; pure."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from . import manifest
from .entries import DirectoryEntry, FileEntry, SymlinkEntry, TargetKind
from .injected import postinstall
from .selection import parents_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from .entries import Entry, ScannedEntry
    from .environment import Environment


def complete_folders(
    entries: dict[str, Entry], scanned: Iterable[ScannedEntry], environment: Environment
) -> None:
    """Add the folders above every entry, and drop those that have lost all they held."""
    had_children = parents_of(entry.arcname for entry in scanned)
    leaves = [
        name
        for name, entry in entries.items()
        if not isinstance(entry, DirectoryEntry) or name not in had_children
    ]
    needed = [*leaves, manifest.ARCNAME]
    parents = parents_of(needed) | {
        environment.scripts,
        *environment.site_packages,
        *parents_of(environment.site_packages),
    }
    for name, entry in list(entries.items()):
        if isinstance(entry, DirectoryEntry) and name in had_children and name not in parents:
            del entries[name]
    for name in parents:
        entries.setdefault(name, DirectoryEntry(arcname=name))


def leads_to_neighbour(link: SymlinkEntry) -> bool:
    """Whether a link leaves for a neighbour, and stays one."""
    return bool(neighbours_paths([link]))


def neighbours_paths(entries: Iterable[Entry]) -> list[Path]:
    """Return the real paths that links lead to in neighbours."""
    return [
        entry.target.path
        for entry in entries
        if isinstance(entry, SymlinkEntry)
        and entry.target is not None
        and entry.target.kind is TargetKind.NEIGHBOUR
    ]


def misplaced(
    entries: Mapping[str, Entry], *, promised: str | None, leaving: bool
) -> Iterator[str]:
    """Yield a sentence for each entry that cannot lie where it does.

    Parameters:
        promised: arcname of the one link that leads out because it was asked for.
        leaving: whether any link may.
    """
    for name, entry in entries.items():
        folder = name.rpartition("/")[0]
        if folder and not isinstance(entries.get(folder), DirectoryEntry):
            yield f"{name} lies below {folder}, which is no folder: exclude one"
        if name == promised or leaving or not isinstance(entry, SymlinkEntry):
            continue
        if not leads_to_neighbour(entry):
            target = posixpath.normpath(posixpath.join(folder, entry.linkname))
            if target.startswith(("../", "/")) or target == "..":
                yield f"the link {name} leaves the environment: exclude it"


def is_written_for_layers(entry: ScannedEntry) -> bool:
    """Whether this is a file by which `postinstall.py` has connected layers in place."""
    name = entry.arcname.rpartition("/")[2]
    if name == postinstall.LAYERS_FILE:
        return True
    return (
        isinstance(entry, FileEntry)
        and name == "sitecustomize.py"
        and isinstance(entry.content, bytes)
        and entry.content.startswith(postinstall.SITECUSTOMIZE_MARK.encode())
    )


def taken_names(entries: Mapping[str, Entry], environment: Environment) -> Iterator[str]:
    """Yield a sentence if the environment has a file that `postinstall.py` writes for layers."""
    name = f"{environment.site_packages[0]}/sitecustomize.py"
    if name in entries:
        yield (
            f"{name} would be replaced when postinstall.py writes its own for the layers: do in a"
            " .pth file what it does, and exclude it"
        )
