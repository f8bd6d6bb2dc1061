"""Destinations for entries: a tar, a zip or a folder behind one protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from ...model.entries import DirectoryEntry, FileEntry, SymlinkEntry


class Output(Protocol):
    """Receives an archive's bytes."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Write all of the bytes."""
        ...


class Sink(Protocol):
    """Receives entries in the order of the plan; makes no decisions about them.

    An entry's `arcname` is relative to the install target, which the sink prepends.
    """

    @property
    def holds_links(self) -> bool:
        """Whether symbolic links can be added."""
        ...

    @property
    def shares_files(self) -> bool:
        """Whether it can do more with an open file than read it."""
        ...

    def add_directory(self, entry: DirectoryEntry) -> None:
        """Add a folder."""
        ...

    def add_link(self, entry: SymlinkEntry) -> None:
        """Add a symbolic link."""
        ...

    def add_bytes(self, entry: FileEntry, data: bytes) -> None:
        """Add a file whose content has been read completely."""
        ...

    def add_file(self, entry: FileEntry, stream: BinaryIO) -> None:
        """Add a file; reads exactly `entry.size` bytes from the stream."""
        ...

    def close(self, digest: str, /) -> None:
        """Write the end of the archive, after the last entry.

        Parameters:
            digest: the content digest, for formats that name it outside of the manifest.
        """
        ...

    def discard(self) -> None:
        """Release everything after an error; the output so far is useless."""
        ...


class NullSink:
    """A sink that keeps nothing, for what only the writer finds out."""

    holds_links = True
    shares_files = False

    def add_directory(self, entry: DirectoryEntry) -> None:
        """Pass over a folder."""

    def add_link(self, entry: SymlinkEntry) -> None:
        """Pass over a link."""

    def add_bytes(self, entry: FileEntry, data: bytes) -> None:
        """Pass over a file that was read."""

    def add_file(self, entry: FileEntry, stream: BinaryIO) -> None:
        """Read a file to its end, in blocks."""
        left = entry.size
        while left:
            left -= len(stream.read(min(left, _BLOCK)))

    def close(self, digest: str) -> None:
        """There is nothing to close."""

    def discard(self) -> None:
        """There is nothing to release."""


_BLOCK = 1 << 20
