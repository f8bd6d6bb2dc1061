"""Zip archives: files and folders, with Unix modes and times in UTC."""

from __future__ import annotations

import shutil
import stat
import time
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final

from ..formats import CompressionFormat
from ..normalise import mode_of

if TYPE_CHECKING:
    from ..entries import DirectoryEntry, Entry, FileEntry, SymlinkEntry

_UNIX: Final = 3
_MS_DOS_DIRECTORY: Final = 0x10
_FIRST: Final = (1980, 1, 1, 0, 0, 0)
_LAST: Final = (2107, 12, 31, 23, 59, 58)
_BEYOND: Final = 1 << 33  # seconds: the year 2242; gmtime does not know every number
_BLOCK: Final = 1 << 20


class ZipSink:
    """Writes deflated members; links have been turned into copies before they come here.

    Parameters:
        output: where the archive's bytes go, seekable; it stays open.
        install_target: the top folder, `"."` for none.
    """

    holds_links = False

    def __init__(self, output: BinaryIO, level: int | None, install_target: str) -> None:
        levels = CompressionFormat.ZIP.levels
        self._level = levels.default if level is None and levels is not None else level
        self._zip = zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED)
        self._top = "" if install_target == "." else f"{install_target}/"

    def add_directory(self, entry: DirectoryEntry) -> None:
        """Add a folder."""
        name = (self._top + entry.arcname).rstrip("/")
        member = self._member(entry, f"{name}/", stat.S_IFDIR)
        member.external_attr |= _MS_DOS_DIRECTORY
        member.compress_type = zipfile.ZIP_STORED
        self._zip.writestr(member, b"")

    def add_link(self, entry: SymlinkEntry) -> None:
        """Refuse a link: many unpackers would write it as a file."""
        message = f"a zip file cannot hold the link {entry.arcname}"
        raise NotImplementedError(message)

    def add_file(self, entry: FileEntry, stream: BinaryIO) -> None:
        """Add a file."""
        member = self._member(entry, self._top + entry.arcname, stat.S_IFREG)
        member.compress_type = zipfile.ZIP_DEFLATED
        # ZipFile's own level is only used for members that it names itself.
        member._compresslevel = self._level  # type: ignore[attr-defined]
        member.file_size = entry.size
        with self._zip.open(member, "w") as target:
            shutil.copyfileobj(stream, target, _BLOCK)

    def close(self) -> None:
        """Write the central directory."""
        self._zip.close()

    def discard(self) -> None:
        """End the archive, or its finalizer would write to a file that is gone."""
        with suppress(Exception):
            self._zip.close()

    def _member(self, entry: Entry, name: str, kind: int) -> zipfile.ZipInfo:
        year, month, day, hour, minute, second, *_ = time.gmtime(min(entry.mtime or 0, _BEYOND))
        moment = (year, month, day, hour, minute, second)
        member = zipfile.ZipInfo(name, max(_FIRST, min(_LAST, moment)))
        member.create_system = _UNIX
        member.external_attr = (kind | mode_of(entry)) << 16
        return member
