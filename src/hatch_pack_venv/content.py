"""What files hold, read exactly as the plan says, or one clear error."""

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from .binaries.patching import PatchedReader
from .entries import PatchedFile
from .errors import SourceProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .entries import FileEntry

_BINARY: Final = getattr(os, "O_BINARY", 0)  # Windows alone has files of text


def whole(entry: FileEntry) -> bytes:
    """Return what a file holds; it is read in one step, without a file object.

    Raises:
        SourceProblem: it cannot be read, or is not what the plan says.
    """
    if isinstance(entry.content, bytes):
        return entry.content
    if isinstance(entry.content, PatchedFile):
        with opened(entry) as stream:
            return stream.read()
    size = entry.size
    try:
        descriptor = os.open(entry.content, os.O_RDONLY | _BINARY)
        try:
            before = os.fstat(descriptor)
            data = os.read(descriptor, size + 1)  # one more than there should be
            while 0 < len(data) < size and (more := os.read(descriptor, size + 1 - len(data))):
                data += more
            same = before.st_mtime_ns == os.fstat(descriptor).st_mtime_ns
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unreadable(entry, error) from error
    if len(data) != size or not same:
        raise changed(entry)
    return data


@contextmanager
def opened(entry: FileEntry) -> Iterator[BinaryIO]:
    """Give a stream of what a file holds, patches applied.

    Raises:
        SourceProblem: it cannot be read, or was written to in the meantime.
    """
    if isinstance(entry.content, bytes):
        yield io.BytesIO(entry.content)
        return
    try:
        stream = io.FileIO(_source(entry))
    except OSError as error:
        raise unreadable(entry, error) from error
    with stream:
        before = _state(stream.fileno())
        if before[0] != entry.size:
            raise changed(entry)
        if isinstance(entry.content, PatchedFile):
            yield cast("BinaryIO", PatchedReader(stream, entry.content.patches))
        else:
            yield cast("BinaryIO", stream)
        if _state(stream.fileno()) != before:
            raise changed(entry)


def changed(entry: FileEntry) -> SourceProblem:
    """Say that a file is not what the plan says any more."""
    return SourceProblem(
        f"{_source(entry)} changed while it was packed: pack again when nothing writes to the"
        " environment"
    )


def unreadable(entry: FileEntry, error: OSError) -> SourceProblem:
    """Say why a file cannot be read."""
    return SourceProblem(
        f"{_source(entry)} cannot be read: {error.strerror or error}; nothing was written"
    )


def _source(entry: FileEntry) -> str:
    match entry.content:
        case PatchedFile(path=path):
            return path
        case bytes():
            return entry.arcname
        case path:
            return path


def _state(descriptor: int) -> tuple[int, int]:
    """Return what changes when a file is written to."""
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns
