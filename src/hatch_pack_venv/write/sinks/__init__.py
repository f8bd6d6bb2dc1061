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
        """Return the SHA-256 of what was read so far."""
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

    def add_bytes(self, entry: FileEntry, data: bytes, digest: bytes, /) -> None:
        """Add a file whose content has been read completely.

        Parameters:
            digest: its SHA-256.
        """
        ...

    def add_file(self, entry: FileEntry, stream: Content) -> None:
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

    def add_bytes(self, entry: FileEntry, data: bytes, _digest: bytes) -> None:
        """Pass over a file that was read."""

    def add_file(self, entry: FileEntry, stream: Content) -> None:
        """Read a file to its end, in blocks."""
        left = entry.size
        while left:
            left -= len(stream.read(min(left, _BLOCK)))

    def close(self, digest: str) -> None:
        """There is nothing to close."""

    def discard(self) -> None:
        """There is nothing to release."""


_BLOCK = 1 << 20
