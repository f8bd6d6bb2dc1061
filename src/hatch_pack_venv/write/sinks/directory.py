"""A folder sink: the same entries, without an archive."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from ...model.entries import mode_of
from ...model.errors import is_failure
from .thread_pool import OrderedPool

if TYPE_CHECKING:
    from ...model.entries import DirectoryEntry, FileEntry, SymlinkEntry
    from . import Content


if sys.platform == "linux":
    import fcntl
_BLOCK: Final = 1 << 20
_SMALL: Final = 1 << 14
_AHEAD: Final = 64
_FICLONE: Final = 0x40049409


class DirectorySink:
    """Writes new files into an existing folder; inodes are shared only on request.

    Where the file system supports it, larger files share their blocks with the source until one of
    the two is written to (reflinks). Small files are written in threads while the next are read.

    Parameters:
        root: the folder that receives the entries.
        hard_links: share the inodes of files that are packed unchanged and have the right mode;
            such a file keeps its time, because changing it would change the source's, too.
    """

    shares_files = True

    def __init__(self, root: Path, threads: int = 1, *, hard_links: bool = False) -> None:
        self._root = root
        self._hard_links = hard_links
        self._pool = OrderedPool[None](threads, lambda _: None, ahead=_AHEAD)
        self._directories: list[tuple[Path, DirectoryEntry]] = []
        self._holds_links = can_hold_links(root)

    @property
    def holds_links(self) -> bool:
        """Whether the file system supports symbolic links."""
        return self._holds_links

    def add_directory(self, entry: DirectoryEntry) -> None:
        """Create a folder; its time and mode are set at the end, when nothing more is added."""
        path = self._root / entry.arcname
        path.mkdir(mode=stat.S_IRWXU, exist_ok=not entry.arcname)
        path.chmod(stat.S_IRWXU)  # a umask may clear even these bits
        self._directories.append((path, entry))

    def add_link(self, entry: SymlinkEntry) -> None:
        """Create a symbolic link."""
        path = self._root / entry.arcname
        path.symlink_to(entry.linkname)
        if os.utime in os.supports_follow_symlinks:
            os.utime(path, (entry.mtime or 0,) * 2, follow_symlinks=False)

    def add_bytes(self, entry: FileEntry, data: bytes, _digest: bytes) -> None:
        """Write a file whose content has been read."""
        path = self._root / entry.arcname
        self._pool.put(partial(_write_small, path, data, mode_of(entry), entry.mtime or 0))

    def add_file(self, entry: FileEntry, stream: Content) -> None:
        """Write a file."""
        path = self._root / entry.arcname
        mode, mtime = mode_of(entry), entry.mtime or 0
        if self._hard_links and isinstance(entry.content, str) and _linked(stream, entry, path):
            while stream.read(_BLOCK):  # so that it is hashed
                pass
            return
        if entry.size <= _SMALL:
            self._pool.put(partial(_write_small, path, stream.read(), mode, mtime))
            return
        with path.open("xb") as target:
            if _cloned(stream, target):
                while stream.read(_BLOCK):  # so that it is hashed
                    pass
            else:
                shutil.copyfileobj(stream, target, _BLOCK)
        _finish(path, mode, mtime)

    def close(self, _digest: str) -> None:
        """Wait for the threads, and set the folders' modes and times, innermost first."""
        self._pool.close()
        for path, entry in reversed(self._directories):
            _finish(path, mode_of(entry), entry.mtime or 0)

    def discard(self) -> None:
        """Stop the threads; the creator of the folder removes it."""
        self._pool.cancel()


def _write_small(path: Path, data: bytes, mode: int, mtime: int) -> None:
    with path.open("xb", buffering=0) as target:
        target.write(data)
    _finish(path, mode, mtime)


def _finish(path: Path, mode: int, mtime: int) -> None:
    path.chmod(mode)
    os.utime(path, (mtime, mtime))


def _linked(stream: Content, entry: FileEntry, path: Path) -> bool:
    """Hard-link a file that is being read; return `False` if its mode is wrong or linking fails."""
    status = os.fstat(stream.fileno())
    source = cast("str", entry.content)
    if stat.S_IMODE(status.st_mode) != mode_of(entry) or not os.path.samestat(
        status, os.lstat(source)
    ):
        return False
    try:
        os.link(source, path)
    except OSError:  # another file system, one without hard links, or too many links
        return False
    return True


def _cloned(source: Content, target: BinaryIO) -> bool:
    """Clone all blocks of a file into a new one (`ioctl_ficlone(2)`); return whether that worked.

    It fails across file systems, on most file systems, and for a source that is patched as it
    streams.
    """
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
    except OSError:
        return False
    return True


def can_hold_links(folder: Path) -> bool:
    """Test whether a folder can hold symbolic links (it cannot on Windows, nor on FAT).

    Raises:
        OSError: the disk fails or is full, which proves nothing about links.
    """
    if os.name == "nt":
        return False
    with tempfile.TemporaryDirectory(dir=folder, prefix=".pack-venv-") as probe:
        try:
            (Path(probe) / "link").symlink_to("target")
        except OSError as error:
            if is_failure(error):
                raise
            return False
    return True
