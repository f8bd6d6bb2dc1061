"""Output that appears whole or not at all."""

from __future__ import annotations

import glob
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from . import manifest
from .errors import OutputProblem
from .replacing import exchange
from .signals import uninterrupted

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SUFFIX: Final = ".partial"
_OLD: Final = "old"


@contextmanager
def telling_write_errors(what: Path) -> Iterator[None]:
    """Turn an `OSError` of the output into one sentence."""
    try:
        yield
    except OSError as error:
        raise OutputProblem(f"{what} cannot be written: {error.strerror or error}") from error


class PendingFile:
    """A file beside the one it will replace; `commit` puts it in its place.

    Used as a context manager it removes what was not committed, whatever ended the block. What a
    killed run has left of the same file is removed first; a lock tells it from that of a run that
    is still alive.

    What replaces an earlier file is on the disk before it does, so that one of the two is there
    even after a power failure. A new file is left to the system to write, as other packers leave
    theirs: there is nothing to lose, and to wait for the disk can take longer than to pack.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with telling_write_errors(path):
            self._made = missing_folders(path.parent)
            if path.is_dir():
                raise OutputProblem(f"{path} is a folder: remove it or choose another name")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                remove_abandoned(path)
                handle, self.partial = _locked_file(path)
            except BaseException:
                remove_empty(self._made)
                raise
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

    @property
    def replaces(self) -> bool:
        """Whether there is a file of that name now."""
        return os.path.lexists(self.path)

    def finish(self) -> None:
        """End the file; what can fail fails here and not in `commit`."""
        with telling_write_errors(self.path):
            self.stream.flush()
            if self.replaces:
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


def remove_abandoned(path: Path) -> None:
    """Remove what killed runs have left beside a file or folder that they were to write.

    An earlier export that such a run had just moved aside is put back.
    """
    pattern = f".{glob.escape(path.name)}.*{_SUFFIX}"
    for partial in sorted(path.parent.glob(pattern)):
        with suppress(OSError), _opened_for_lock(partial) as handle:
            if not _lock(handle):
                continue  # of a run that is still alive
            if (partial / _OLD).exists() and not path.exists():
                (partial / _OLD).rename(path)
            if partial.is_dir():
                shutil.rmtree(partial)
            else:
                partial.unlink()


def _locked_file(path: Path) -> tuple[int, Path]:
    """Make a new partial file; between its making and its lock another run may remove it."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_SUFFIX)
        if _lock(handle) and os.path.exists(name):
            return handle, Path(name)
        os.close(handle)


@contextmanager
def _locked_folder(path: Path) -> Iterator[Path]:
    """Make a new partial folder, locked as long as the block runs."""
    while True:
        name = tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=_SUFFIX)
        with _opened_for_lock(Path(name)) as handle:
            if _lock(handle) and os.path.exists(name):
                yield Path(name)
                return


@contextmanager
def _opened_for_lock(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    """Lock a partial file or folder; the lock ends with the process, however that ends.

    Where there are no such locks (Windows), a file that is open cannot be removed anyway.
    """
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


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
    with ExitStack() as stack:
        stack.callback(remove_empty, made)
        with telling_write_errors(target), uninterrupted():
            made += missing_folders(target.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(target)
            work = stack.enter_context(_locked_folder(target))
            stack.callback(shutil.rmtree, work, ignore_errors=True)
        yield work / "new"
        with telling_write_errors(target):
            if not target.exists() or not exchange(work / "new", target):
                _move(work / "new", target, work / _OLD)


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
