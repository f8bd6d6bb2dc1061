"""Output that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from . import manifest
from .errors import OutputProblem
from .replacing import exchange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@contextmanager
def telling_write_errors(what: Path) -> Iterator[None]:
    """Turn an `OSError` of the output into one sentence."""
    try:
        yield
    except OSError as error:
        raise OutputProblem(f"{what} cannot be written: {error.strerror or error}") from error


class PendingFile:
    """A file beside the one it will replace; `commit` puts it in its place.

    Used as a context manager it removes what was not committed, whatever ended the block.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with telling_write_errors(path):
            self._made = missing_folders(path.parent)
            if path.is_dir():
                raise OutputProblem(f"{path} is a folder: remove it or choose another name")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                handle, name = tempfile.mkstemp(
                    dir=path.parent, prefix=f".{path.name}.", suffix=".partial"
                )
            except BaseException:
                remove_empty(self._made)
                raise
        self.partial = Path(name)
        self.stream: BinaryIO = os.fdopen(handle, "w+b")

    def __enter__(self) -> PendingFile:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the partial file if it is still there, and the folders made for it if empty."""
        with suppress(OSError):
            self.stream.close()
        self.partial.unlink(missing_ok=True)
        remove_empty(self._made)

    def finish(self) -> None:
        """Bring everything to the disk; what can fail fails here and not in `commit`."""
        with telling_write_errors(self.path):
            self.stream.flush()
            os.fsync(self.stream.fileno())
            self.stream.close()
            self.partial.chmod(0o666 & ~_umask())

    def commit(self) -> None:
        """Replace the file of that name."""
        with telling_write_errors(self.path):
            self.partial.replace(self.path)


def missing_folders(folder: Path) -> list[Path]:
    """Return those of a folder and its parents that do not exist yet, innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, innermost first, as far as they are there and empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


@contextmanager
def pending_folder(target: Path) -> Iterator[Path]:
    """Give a new folder to fill, which takes the place of `target` when the block ends well.

    An empty folder or an earlier export is replaced, anything else is refused.

    Raises:
        OutputProblem: there is something else, or the folder cannot be written.
    """
    _check_replaceable(target)
    made: list[Path] = []
    work = None
    try:
        with telling_write_errors(target):
            made += missing_folders(target.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            work = Path(
                tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".partial")
            )
        yield work / "new"
        with telling_write_errors(target):
            if not target.exists() or not exchange(work / "new", target):
                _move(work / "new", target, work / "old")
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
        remove_empty(made)


def _move(new: Path, target: Path, aside: Path) -> None:
    try:
        if target.exists():
            target.rename(aside)
        new.rename(target)
    except BaseException:
        if aside.exists() and not target.exists():
            aside.rename(target)
        raise


def _check_replaceable(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise OutputProblem(f"{target} is not a folder: remove it or choose another name")
    try:
        occupied = target.exists() and any(target.iterdir())
    except OSError as error:
        raise OutputProblem(f"{target} cannot be read: {error.strerror}") from error
    if occupied and not (target / manifest.ARCNAME).is_file():
        raise OutputProblem(
            f"{target} is not empty and was not exported by pack-venv: remove it or choose"
            " another name"
        )
