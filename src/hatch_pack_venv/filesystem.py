"""Files and links as they are on disk; symbolic links are judged by where they really lead."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .model.entries import DirectoryEntry, FileEntry, LinkTarget, TargetKind, UnsupportedEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .model.entries import ScannedEntry


NO_TARGET: Final = {
    TargetKind.DANGLING: "leads nowhere",
    TargetKind.LOOP: "is part of a link loop",
    TargetKind.SPECIAL: "leads to a device, FIFO or socket",
    TargetKind.UNREADABLE: "leads to a place that this user cannot access",
}
"""How messages describe links that lead to nothing that could be packed."""


def resolve_link(link: Path, boundary: Path) -> LinkTarget:
    """Return what a link leads to, resolved component by component and through other links.

    A text such as `d/../f` is followed as the kernel follows it: `..` leaves the folder that the
    link `d` leads to, not the one that `d` is in.

    Parameters:
        boundary: a real path (no link in any component); targets inside it are internal.
    """
    real = Path(os.path.realpath(link))
    try:
        mode = link.stat().st_mode
    except OSError as error:
        kinds = {errno.ELOOP: TargetKind.LOOP, errno.EACCES: TargetKind.UNREADABLE}
        return LinkTarget(kind=kinds.get(error.errno or 0, TargetKind.DANGLING), path=real)
    is_directory = stat.S_ISDIR(mode)
    if not is_directory and not stat.S_ISREG(mode):
        kind = TargetKind.SPECIAL
    elif real.is_relative_to(boundary):
        kind = TargetKind.INTERNAL
    else:
        kind = TargetKind.EXTERNAL_DIRECTORY if is_directory else TargetKind.EXTERNAL_FILE
    return LinkTarget(kind=kind, path=real, is_directory=is_directory)


def portable_linkname(link: Path, target: LinkTarget, boundary: Path) -> str | None:
    """Return a link text that leads to the same place wherever the boundary folder is moved.

    The next hop of a chain stays the next hop: only its folder is resolved. `None` if neither that
    hop nor the target is inside the boundary.

    Parameters:
        target: what the link leads to, as returned by `resolve_link`.
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


def special_kind(mode: int) -> str:
    """Return in words what a path is that is not a regular file, a folder or a link."""
    kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


_DEEPEST: Final = 100
_MOST: Final = 250_000
_NO_FILES: Final = ("/proc", "/sys")
"""Where the kernel exposes its own state; folders there never end (`/proc/self/root`)."""


def copies_of(path: Path, arcname: str) -> Iterator[ScannedEntry]:
    """Yield the entries of an outside file or a whole outside folder, as placed at `arcname`.

    Links in it are followed. A link that leads nowhere or to a folder that contains it is yielded
    as unsupported, and so is anything endless: the kernel's own folders, folders nested too deeply,
    and links that multiply each other.

    Parameters:
        path: a real path.
    """
    for count, entry in enumerate(_copies(path, arcname, ())):
        if count == _MOST:
            reason = f"leads to {path}, which contains more than {_MOST} files and folders"
            yield UnsupportedEntry(arcname=arcname, reason=reason)
            return
        yield entry


def _copies(path: Path, arcname: str, parents: tuple[Path, ...]) -> Iterator[ScannedEntry]:
    """Yield the entries; `parents` are the real paths of the folders being walked."""
    try:
        status = path.stat()
        children = sorted(path.iterdir()) if stat.S_ISDIR(status.st_mode) else []
    except OSError as error:
        reason = f"cannot be read ({path}: {error.strerror})"
        yield UnsupportedEntry(arcname=arcname, reason=reason)
        return
    if stat.S_ISREG(status.st_mode):
        yield FileEntry.from_status(arcname, str(path), status)
    elif not stat.S_ISDIR(status.st_mode):
        yield UnsupportedEntry(
            arcname=arcname, reason=f"is {special_kind(status.st_mode)} ({path})"
        )
    elif path in parents:
        yield UnsupportedEntry(arcname=arcname, reason=f"leads back to {path}, which contains it")
    elif any(path.is_relative_to(folder) for folder in _NO_FILES):
        reason = f"leads to {path}, which contains no real files"
        yield UnsupportedEntry(arcname=arcname, reason=reason)
    elif len(parents) == _DEEPEST:
        reason = f"is more than {_DEEPEST} folders deep, at {path}"
        yield UnsupportedEntry(arcname=arcname, reason=reason)
    else:
        yield DirectoryEntry.from_status(arcname, status)
        for child in children:
            real = Path(os.path.realpath(child))
            yield from _copies(real, f"{arcname}/{child.name}", (*parents, path))


def remove_tree(top: Path) -> None:
    """Remove as much of a folder as possible, at any depth; `shutil.rmtree` would recurse."""
    folders = [os.fspath(top)]
    for folder in folders:
        with suppress(OSError), os.scandir(folder) as children:
            for child in children:
                with suppress(OSError):
                    if child.is_dir(follow_symlinks=False):
                        folders.append(child.path)
                    else:
                        os.unlink(child.path)
    for folder in reversed(folders):
        with suppress(OSError):
            os.rmdir(folder)


def size_of_files(path: Path) -> int:
    """Return the size in bytes of a file, or of all files below a folder that can be read."""
    if not path.is_dir():
        return path.stat().st_size
    size = 0
    folders = [str(path)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as children:
            for child in children:
                if child.is_dir(follow_symlinks=False):
                    folders.append(child.path)
                elif child.is_file(follow_symlinks=False):
                    size += child.stat(follow_symlinks=False).st_size
    return size


def missing_folders(folder: Path) -> list[Path]:
    """Return which of a folder and its parents do not exist yet, innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those folders, given innermost first, that exist and are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def cache_folder(name: str) -> Path:
    """Return the folder in which this project caches one kind of data for later builds.

    See https://specifications.freedesktop.org/basedir-spec/latest/, which requires relative paths
    to be ignored. Without a home folder, the result is a path that cannot exist.
    """
    chosen = os.environ.get("HATCH_PACK_VENV_CACHE_DIR")
    if chosen:
        return Path(os.path.expanduser(chosen)) / name
    caches = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(caches):
        caches = os.path.expanduser("~/.cache")
    return Path(caches if os.path.isabs(caches) else os.devnull) / "hatch-pack-venv" / name


def make_cache_folder(folder: Path) -> None:
    """Create a folder returned by `cache_folder`, for this user alone.

    Raises:
        OSError: the folder cannot be created, or cannot be trusted.
    """
    for each in (folder.parent, folder):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_cache_folder(folder)


def check_cache_folder(folder: Path) -> None:
    """Check that nobody else can have written to a cache folder.

    Raises:
        OSError: the folder does not exist, belongs to another user or is writable by others.
    """
    if os.name == "nt":
        return  # Windows' own permissions keep others out of the user's folders
    for each in (folder.parent, folder):
        facts = each.stat()
        if facts.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "belongs to another user", str(each))
        if facts.st_mode & 0o022:
            raise PermissionError(errno.EPERM, "is writable by others", str(each))
