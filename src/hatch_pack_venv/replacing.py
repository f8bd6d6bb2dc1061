"""New things in the places of links, all of them or none."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from .errors import OutputProblem

if TYPE_CHECKING:
    from types import TracebackType

_HERE: Final = -100  # AT_FDCWD, linux/fcntl.h
_EXCHANGE: Final = 2  # RENAME_EXCHANGE, linux/fs.h; renameat2(2), Linux 3.15


class Replacements:
    """Make everything first, where a full disk or a missing right does no harm.

    Then each link is replaced in one step, by `rename(2)`, or by an exchange where a folder takes
    its place. If one cannot be, or the user interrupts, those before it are made as they were.

    Parameters:
        folder: where the new things are made, on the file system of the links.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._prepared: list[tuple[Path, str, Path]] = []

    def __enter__(self) -> Self:
        """Make the place for the new things."""
        try:
            self._work = Path(tempfile.mkdtemp(dir=self._folder, prefix=".pack-venv-"))
        except OSError as error:
            raise OutputProblem(
                f"{self._folder} cannot be written: {error.strerror}; nothing was changed"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove what was not put in place, and tell what a user can put right."""
        try:
            shutil.rmtree(self._work, ignore_errors=True)
        except KeyboardInterrupt:
            shutil.rmtree(self._work, ignore_errors=True)
            raise
        if isinstance(error, OSError):
            # shutil.Error, of copied trees, is one, and lists its files.
            raise OutputProblem(
                f"the links of {self._folder} cannot be replaced: {error}; nothing was changed"
            ) from error

    def prepare(self, link: Path) -> Path:
        """Return the path at which to make what shall take the link's place."""
        new = self._work / str(len(self._prepared))
        self._prepared.append((link, os.readlink(link), new))
        return new

    def commit(self) -> None:
        """Put everything in its place."""
        try:
            for link, _, new in self._prepared:
                put_in_place(new, link)
        except BaseException:
            for link, text, new in self._prepared:
                _restore(link, text, new.with_suffix(".undone"))
            raise


def put_in_place(new: Path, link: Path) -> None:
    """Let `new` take the place of a link."""
    if not new.is_dir() or new.is_symlink():
        new.replace(link)
    elif not exchange(new, link):
        # Nothing but an exchange replaces a link by a folder in one step.
        link.rename(new.with_suffix(".old"))
        new.rename(link)


def exchange(one: Path, other: Path) -> bool:
    """Let two paths change places at once; tell whether this system and file system can."""
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    rename = getattr(library, "renameat2", None)  # glibc 2.28, musl 1.2.6
    if rename is None:
        return False
    return bool(rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0)


def _restore(link: Path, text: str, aside: Path) -> None:
    """Make a link again if something else, or nothing, is in its place."""
    if link.is_symlink() and os.readlink(link) == text:
        return
    if link.is_dir() and not link.is_symlink():
        link.rename(aside)
    again = aside.with_suffix(".link")
    again.symlink_to(text)
    again.replace(link)
