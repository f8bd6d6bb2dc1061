"""Run files read back: their head is read and not run."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
from typing import TYPE_CHECKING, BinaryIO, cast

from ..injected.run_file import LIMIT, Found, NotAHead
from .archives import FormatError, tar_members

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _typeshed import WriteableBuffer

    from ..model.entries import Chunks, Member


def run_members(path: Path, stream: BinaryIO) -> Iterator[tuple[Member, Chunks]]:
    """Yield the members of a run file's payload.

    Raises:
        ArchiveProblem: it holds what no archive of ours holds.
        FormatError, EOFError: its head or its payload is not as it was written, or it is cut off.
    """
    try:
        found = Found.read(stream.read(LIMIT))
    except NotAHead as error:
        raise FormatError(str(error)) from None
    size = os.fstat(stream.fileno()).st_size
    if size != found.size:
        raise FormatError(f"it has {size} bytes instead of {found.size}")
    stream.seek(found.offset)
    payload = _Hashed(stream)
    yield from tar_members(path, cast("BinaryIO", gzip.GzipFile(fileobj=payload)))
    if payload.sha256.hexdigest() != found.sha256:
        raise FormatError("its SHA-256 is not the one that its head tells")


class _Hashed(io.RawIOBase):
    """What is read of a stream, hashed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        data = self._stream.read(len(view))
        view[: len(data)] = data
        self.sha256.update(data)
        return len(data)
