"""Symbolic links, judged by where they really lead and never by their text."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from .entries import DirectoryEntry, FileEntry, LinkTarget, TargetKind, UnsupportedEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .entries import ScannedEntry


def resolve_link(link: Path, boundary: Path) -> LinkTarget:
    """Tell what a link leads to, component by component and through other links.

    A text such as `d/../f` is followed as the kernel does, so that `..` leaves the folder that the
    link `d` leads to, and not the one that `d` lies in.

    Parameters:
        boundary: a real path (no link in any component); what lies in it is internal.
    """
    real = Path(os.path.realpath(link))
    try:
        mode = link.stat().st_mode
    except OSError as error:
        loop = error.errno == errno.ELOOP
        return LinkTarget(kind=TargetKind.LOOP if loop else TargetKind.DANGLING, path=real)
    is_directory = stat.S_ISDIR(mode)
    if not is_directory and not stat.S_ISREG(mode):
        kind = TargetKind.SPECIAL
    elif real.is_relative_to(boundary):
        kind = TargetKind.INTERNAL
    else:
        kind = TargetKind.EXTERNAL_DIRECTORY if is_directory else TargetKind.EXTERNAL_FILE
    return LinkTarget(kind=kind, path=real, is_directory=is_directory)


def portable_linkname(link: Path, target: LinkTarget, boundary: Path) -> str | None:
    """Return the text that leads to the same place wherever the boundary's folder is moved.

    The next hop of a chain stays the next hop: only its folder is followed. `None` if neither that
    nor the target lies in the boundary.

    Parameters:
        target: what the link leads to, as `resolve_link` says.
        boundary: a real path.
    """
    parent = os.path.realpath(link.parent)
    folder, name = os.path.split(os.path.join(parent, link.readlink()))
    if name not in ("", os.curdir, os.pardir):
        hop = Path(os.path.realpath(folder), name)
        if hop.is_relative_to(boundary):
            return os.path.relpath(hop, parent)
    if target.kind is TargetKind.INTERNAL:
        return os.path.relpath(target.path, parent)
    return None


def copies_of(path: Path, arcname: str, parents: tuple[Path, ...] = ()) -> Iterator[ScannedEntry]:
    """Yield the entries of a file or a whole folder outside, as they can stand at `arcname`.

    Links in it are followed; one that leads nowhere or to a folder it lies in is yielded as
    unsupported.

    Parameters:
        path: a real path.
        parents: the real folders that are being walked.
    """
    try:
        status = path.stat()
        children = sorted(path.iterdir()) if stat.S_ISDIR(status.st_mode) else []
    except OSError as error:
        reason = f"cannot be read ({path}: {error.strerror})"
        yield UnsupportedEntry(arcname=arcname, reason=reason)
        return
    if stat.S_ISREG(status.st_mode):
        yield FileEntry(
            arcname=arcname,
            content=path,
            size=status.st_size,
            executable=bool(status.st_mode & stat.S_IXUSR),
            mtime=int(status.st_mtime),
        )
    elif not stat.S_ISDIR(status.st_mode):
        yield UnsupportedEntry(arcname=arcname, reason=f"leads to {path}, no file or folder")
    elif path in parents:
        yield UnsupportedEntry(arcname=arcname, reason=f"leads in a loop to {path}")
    else:
        yield DirectoryEntry(arcname=arcname, mtime=int(status.st_mtime))
        for child in children:
            real = Path(os.path.realpath(child))
            yield from copies_of(real, f"{arcname}/{child.name}", (*parents, path))
