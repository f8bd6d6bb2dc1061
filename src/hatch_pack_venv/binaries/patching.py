"""Files with some of their bytes replaced by as many others."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from ..entries import PatchedFile

if TYPE_CHECKING:
    from ..entries import Patch


def patched(content: bytes, patches: tuple[Patch, ...]) -> bytes:
    """Return a file's content with patches applied."""
    data = bytearray(content)
    for patch in patches:
        data[patch.offset : patch.offset + len(patch.replacement)] = patch.replacement
    return bytes(data)


def patched_file(path: str, patches: tuple[Patch, ...]) -> PatchedFile:
    """Return a file with its patches, and the hash that it has with them."""
    digest = hashlib.sha256(patched(Path(path).read_bytes(), patches)).digest()
    return PatchedFile(path=path, patches=patches, sha256=digest)
