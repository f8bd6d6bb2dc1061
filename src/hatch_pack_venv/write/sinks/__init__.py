"""Where entries are written to: a tar, a zip or a folder behind one protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from ...model.entries import DirectoryEntry, FileEntry, SymlinkEntry


class Output(Protocol):
    """Where an archive's bytes go."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Write all of the bytes."""
        ...


class Sink(Protocol):
    """Takes entries in the order of the plan; decides nothing about them.

    An entry's `arcname` is below the install target, which the sink puts before it.
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
        """Add a file that has been read as a whole."""
        ...

    def add_file(self, entry: FileEntry, stream: BinaryIO) -> None:
        """Add a file; reads exactly `entry.size` bytes from the stream."""
        ...

    def close(self) -> None:
        """Write what comes after the last entry."""
        ...

    def discard(self) -> None:
        """Let go of everything after an error; what was written is of no use."""
        ...
