"""Files and links as they lie on disk; symbolic links are judged by where they really lead."""

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
    TargetKind.LOOP: "leads in a loop",
    TargetKind.SPECIAL: "leads to a device, FIFO or socket",
    TargetKind.UNREADABLE: "leads to where this user may not look",
}
"""What to say of links that lead to nothing which could be packed."""


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


def special_kind(mode: int) -> str:
    """Say what it is that is neither file nor folder nor link."""
    kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


_DEEPEST: Final = 100
_MOST: Final = 250_000
_NO_FILES: Final = ("/proc", "/sys")
"""Where the kernel tells of itself; folders there have no end (`/proc/self/root`)."""


def copies_of(path: Path, arcname: str) -> Iterator[ScannedEntry]:
    """Yield the entries of a file or a whole folder outside, as they can stand at `arcname`.

    Links in it are followed. One that leads nowhere or to a folder it lies in is yielded as
    unsupported, and so is what has no end: the kernel's own folders, folders within folders, and
    links that multiply each other.

    Parameters:
        path: a real path.
    """
    for count, entry in enumerate(_copies(path, arcname, ())):
        if count == _MOST:
            reason = f"leads to {path}, which holds more than {_MOST} files and folders"
            yield UnsupportedEntry(arcname=arcname, reason=reason)
            return
        yield entry


def _copies(path: Path, arcname: str, parents: tuple[Path, ...]) -> Iterator[ScannedEntry]:
    """Yield the entries; `parents` are the real folders that are being walked."""
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
        yield UnsupportedEntry(arcname=arcname, reason=f"leads in a loop to {path}")
    elif any(path.is_relative_to(folder) for folder in _NO_FILES):
        yield UnsupportedEntry(arcname=arcname, reason=f"leads to {path}, which holds no files")
    elif len(parents) == _DEEPEST:
        reason = f"lies more than {_DEEPEST} folders deep, at {path}"
        yield UnsupportedEntry(arcname=arcname, reason=reason)
    else:
        yield DirectoryEntry.from_status(arcname, status)
        for child in children:
            real = Path(os.path.realpath(child))
            yield from _copies(real, f"{arcname}/{child.name}", (*parents, path))


def remove_tree(top: Path) -> None:
    """Remove a folder as far as can be; however deep, `shutil.rmtree` recurses."""
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
    """Return how many bytes a file has, or the files below a folder, as far as can be told."""
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
    """Return those of a folder and its parents that do not exist yet, innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, innermost first, as far as they are there and empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def cache_folder(name: str) -> Path:
    """Return where this project keeps what another build may use, of one kind.

    See https://specifications.freedesktop.org/basedir-spec/latest/, which has relative paths
    ignored. Where there is no home, it is a folder that cannot be.
    """
    chosen = os.environ.get("HATCH_PACK_VENV_CACHE_DIR")
    if chosen:
        return Path(os.path.expanduser(chosen)) / name
    caches = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(caches):
        caches = os.path.expanduser("~/.cache")
    return Path(caches if os.path.isabs(caches) else os.devnull) / "hatch-pack-venv" / name


def make_cache_folder(folder: Path) -> None:
    """Make a folder that `cache_folder` has named, for this user alone.

    Raises:
        OSError: it cannot be made, or not be trusted.
    """
    for each in (folder.parent, folder):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_cache_folder(folder)


def check_cache_folder(folder: Path) -> None:
    """Find out whether somebody else may have written what a folder of the cache holds.

    Raises:
        OSError: it is not there, or can be written by others.
    """
    if os.name == "nt":
        return  # the user's folders are the user's, by what Windows lets others do
    for each in (folder.parent, folder):
        facts = each.stat()
        if facts.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "belongs to another user", str(each))
        if facts.st_mode & 0o022:
            raise PermissionError(errno.EPERM, "can be written by others", str(each))
