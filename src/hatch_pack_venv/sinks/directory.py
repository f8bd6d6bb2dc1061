"""A folder: the same entries, without an archive."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from ..normalise import mode_of

if TYPE_CHECKING:
    from ..entries import DirectoryEntry, FileEntry, SymlinkEntry

_BLOCK: Final = 1 << 20


class DirectorySink:
    """Writes new files below a folder that exists; inodes are never shared.

    Parameters:
        root: the folder that takes the entries.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._directories: list[tuple[Path, int]] = []
        self._holds_links = can_hold_links(root)

    @property
    def holds_links(self) -> bool:
        """Whether the file system takes symbolic links."""
        return self._holds_links

    def add_directory(self, entry: DirectoryEntry) -> None:
        """Make a folder; its time is set at the end, when nothing more is put into it."""
        path = self._root / entry.arcname
        path.mkdir(exist_ok=not entry.arcname)
        path.chmod(mode_of(entry))
        self._directories.append((path, entry.mtime or 0))

    def add_link(self, entry: SymlinkEntry) -> None:
        """Make a symbolic link."""
        path = self._root / entry.arcname
        path.symlink_to(entry.linkname)
        if os.utime in os.supports_follow_symlinks:
            os.utime(path, (entry.mtime or 0,) * 2, follow_symlinks=False)

    def add_file(self, entry: FileEntry, stream: BinaryIO) -> None:
        """Write a file."""
        path = self._root / entry.arcname
        with path.open("xb") as target:
            shutil.copyfileobj(stream, target, _BLOCK)
        path.chmod(mode_of(entry))
        os.utime(path, (entry.mtime or 0,) * 2)

    def close(self) -> None:
        """Set the folders' times, innermost first."""
        for path, mtime in reversed(self._directories):
            os.utime(path, (mtime, mtime))

    def discard(self) -> None:
        """Do nothing: whoever made the folder removes it."""


def can_hold_links(folder: Path) -> bool:
    """Try whether symbolic links can be made in a folder (not on Windows, not on FAT)."""
    if os.name == "nt":
        return False
    with tempfile.TemporaryDirectory(dir=folder, prefix=".pack-venv-") as probe:
        try:
            (Path(probe) / "link").symlink_to("target")
        except OSError:
            return False
    return True
