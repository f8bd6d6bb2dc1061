"""Files with some bytes replaced by the same number of others."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Final

from ..model.entries import PatchedFile

if TYPE_CHECKING:
    from ..model.entries import Patch


_BLOCK: Final = 1 << 20


def patched(content: bytes, patches: tuple[Patch, ...]) -> bytes:
    """Return a file's content with patches applied."""
    data = bytearray(content)
    for patch in patches:
        data[patch.offset : patch.offset + len(patch.replacement)] = patch.replacement
    return bytes(data)


def patched_file(path: str, patches: tuple[Patch, ...]) -> PatchedFile:
    """Return a file with its patches and the resulting hash.

    Raises:
        OSError: if it cannot be read.
    """
    digest = hashlib.sha256()
    with io.FileIO(path) as stream:
        reader = PatchedReader(stream, patches)
        while block := reader.read(_BLOCK):
            digest.update(block)
    return PatchedFile(path=path, patches=patches, sha256=digest.digest())


class PatchedReader:
    """Reads a file with some of its bytes replaced."""

    def __init__(self, stream: io.FileIO, patches: tuple[Patch, ...]) -> None:
        self._stream = stream
        self._patches = patches

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes."""
        start = self._stream.tell()
        data = bytearray(self._stream.read(size))
        for patch in self._patches:
            begin = max(patch.offset, start)
            end = min(patch.offset + len(patch.replacement), start + len(data))
            if begin < end:
                data[begin - start : end - start] = patch.replacement[
                    begin - patch.offset : end - patch.offset
                ]
        return bytes(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Seek to another position."""
        return self._stream.seek(offset, whence)

    def fileno(self) -> int:
        """Refuse: reads through the descriptor would bypass the patches."""
        raise io.UnsupportedOperation
