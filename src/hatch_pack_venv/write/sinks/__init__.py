"""Destinations for entries: a tar, a zip or a folder behind one protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ...model.entries import DirectoryEntry, FileEntry, SymlinkEntry


class Output(Protocol):
    """Receives an archive's bytes."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Write all of the bytes."""
        ...


class Content(Protocol):
    """A file that is read, and hashed along the way."""

    def read(self, size: int = -1, /) -> bytes:
        """Read up to `size` bytes."""
        ...

    def fileno(self) -> int:
        """Return the descriptor of the file, if it is read unchanged.

        Raises:
            OSError: if there is none, because the bytes come from elsewhere or are patched.
        """
        ...

    def digest(self) -> bytes:
        """Return the SHA-256 of what has been read so far."""
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
        """Whether it can hard-link or clone a source file instead of copying its bytes."""
        ...

    def add_directory(self, entry: DirectoryEntry) -> None:
        """Add a folder."""
        ...

    def add_link(self, entry: SymlinkEntry) -> None:
        """Add a symbolic link."""
        ...

    def add_bytes(self, entry: FileEntry, data: bytes, digest: bytes, /) -> None:
        """Add a file whose content has been read completely.

        Parameters:
            digest: its SHA-256.
        """
        ...

    def add_file(self, entry: FileEntry, stream: Content) -> None:
        """Add a file; read exactly `entry.size` bytes from the stream."""
        ...

    def close(self, digest: str, /) -> None:
        """Write the end of the archive, after the last entry.

        Parameters:
            digest: the content digest, for formats that record it outside the manifest.
        """
        ...

    def discard(self) -> None:
        """Release everything after an error; the output so far is useless."""
        ...


class NullSink:
    """A sink that discards everything, for facts that only writing a plan reveals."""

    holds_links = True
    shares_files = False

    def add_directory(self, entry: DirectoryEntry) -> None:
        """Ignore a folder."""

    def add_link(self, entry: SymlinkEntry) -> None:
        """Ignore a link."""

    def add_bytes(self, entry: FileEntry, data: bytes, _digest: bytes) -> None:
        """Ignore a file that has been read."""

    def add_file(self, entry: FileEntry, stream: Content) -> None:
        """Read a file to its end, in blocks."""
        left = entry.size
        while left:
            left -= len(stream.read(min(left, _BLOCK)))

    def close(self, digest: str) -> None:
        """Do nothing."""

    def discard(self) -> None:
        """Do nothing."""


_BLOCK = 1 << 20
