"""What the first bytes of files say, wherever an entry has its content."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from ..model.entries import PatchedFile
from .elf import MAGIC

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..model.entries import Content, FileEntry


T = TypeVar("T")


def may_be_elf(entry: FileEntry) -> bool:
    """Whether a file is worth opening: it carries an ELF header, or its name or mode is of such."""
    if isinstance(entry.content, bytes):
        return entry.content.startswith(MAGIC)
    return entry.executable or ".so" in entry.arcname.rpartition("/")[2]


def read_header(
    content: Content | Path,
    read: Callable[[BinaryIO], T | None],
    magics: tuple[bytes, ...] = (MAGIC,),
) -> T | None:
    """Return what is read of a file's content; no patch changes that.

    `None` for a file that cannot be read, too: the writer tells of it, by name.

    Parameters:
        read: takes a seekable stream at its beginning; returns `None` for files of other kinds.
        magics: what files of the kind begin with, one of these; up to four bytes.
    """
    if isinstance(content, bytes):
        return read(io.BytesIO(content)) if content.startswith(magics) else None
    path = content.path if isinstance(content, PatchedFile) else content
    try:
        with io.FileIO(path) as file:
            # Thousands of files are of other kinds; buffers for those would take twice the time.
            if not file.read(4).startswith(magics):
                return None
            file.seek(0)
            with io.BufferedReader(file) as stream:
                return read(stream)
    except OSError:
        return None
