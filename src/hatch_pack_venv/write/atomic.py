"""Output that appears whole or not at all."""

from __future__ import annotations

import ctypes
import glob
import os
import re
import signal
import stat
import sys
import tempfile
import threading
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from ..filesystem import missing_folders, remove_empty, remove_tree
from ..model import manifest
from ..model.errors import OutputProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType, TracebackType


class Interrupted(KeyboardInterrupt):
    """A signal has ended the work.

    Parameters:
        number: the signal's; shells add 128 to it for the exit status.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.settled = _Course.settled
        super().__init__(number)

    def __str__(self) -> str:
        """Return the message for the user."""
        if self.settled:
            return "interrupted, after the output was put in place"
        return "interrupted, nothing was written"


_SIGNALS: Final = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
    if hasattr(signal, name)
)
_OF_NOBODY: Final = (signal.SIG_DFL, signal.default_int_handler)


class _Course:
    """How far the work has come, for when a signal arrives."""

    settled = False
    passed_over = False


@contextmanager
def terminable() -> Iterator[None]:
    """Let each signal that would end the process raise `Interrupted` in the block instead.

    Thus nothing half-written is left behind. Once the output is in place, the first signal comes
    too late and is ignored. A signal with another handler keeps it, and one that is ignored
    (`nohup`) stays ignored.
    """
    _Course.settled = _Course.passed_over = False
    with _handling(_interrupt, lambda handler: handler in _OF_NOBODY):
        try:
            yield
        except RuntimeError as error:
            # CPython before 3.12 wraps what is raised during `__set_name__` (gh-77757).
            if isinstance(error.__cause__, Interrupted):
                raise error.__cause__ from None
            raise


def _interrupt(number: int, _frame: object) -> None:
    if not _Course.settled or _Course.passed_over:
        raise Interrupted(number)
    _Course.passed_over = True


@contextmanager
def _handling(
    handler: Callable[[int, FrameType | None], object], takes: Callable[[object], bool]
) -> Iterator[None]:
    """Handle signals in a block, if it runs in the main thread: no other thread can."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    taken = [number for number in _SIGNALS if takes(before[number])]
    if threading.current_thread() is not threading.main_thread():
        taken = []
    try:
        for number in taken:
            signal.signal(number, handler)
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


@contextmanager
def uninterrupted(*, settles: bool = False) -> Iterator[None]:
    """Defer signals until the block has ended.

    For things created and then registered for removal, and for things replaced together. Blocking
    signals would not do: another thread would receive them, and Python would handle them here.

    Parameters:
        settles: whether the output is in place once the block has succeeded.
    """
    late: list[int] = []
    try:
        with _handling(
            lambda number, _frame: late.append(number),
            lambda handler: handler not in (signal.SIG_IGN, None),
        ):
            yield
            _Course.settled = _Course.settled or settles
    finally:
        for number in late[:1]:
            signal.raise_signal(number)


_HERE: Final = -100  # AT_FDCWD, linux/fcntl.h
_EXCHANGE: Final = 2  # RENAME_EXCHANGE, linux/fs.h; renameat2(2), Linux 3.15


class Replacements:
    """Makes all replacements first, where a full disk or a missing permission does no harm.

    Then each link is replaced in one step, by `rename(2)`, or by an exchange where a folder takes
    its place. If a replacement fails, or the user interrupts, the earlier ones are undone.

    Parameters:
        folder: where the replacements are made, on the same file system as the links.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._prepared: list[tuple[Path, str, Path]] = []

    def __enter__(self) -> Self:
        """Create a folder for the replacements."""
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
        """Remove what was not put in place, and report errors that a user can fix."""
        try:
            remove_tree(self._work)
        except KeyboardInterrupt:
            remove_tree(self._work)
            raise
        if isinstance(error, OSError):
            # This includes shutil.Error, of copied trees, which lists its files.
            raise OutputProblem(
                f"the links in {self._folder} cannot be replaced: {error}; nothing was changed"
            ) from error

    def prepare(self, link: Path) -> Path:
        """Return the path at which to create the link's replacement."""
        new = self._work / str(len(self._prepared))
        self._prepared.append((link, os.readlink(link), new))
        return new

    def commit(self) -> None:
        """Put everything in place."""
        try:
            for link, _, new in self._prepared:
                put_in_place(new, link)
        except BaseException:
            for link, text, new in self._prepared:
                _restore(link, text, new.with_suffix(".undone"))
            raise


def put_in_place(new: Path, link: Path) -> None:
    """Replace a link with `new`."""
    if not new.is_dir() or new.is_symlink():
        new.replace(link)
    elif not exchange(new, link):
        # Only an exchange replaces a link with a folder in one step.
        link.rename(new.with_suffix(".old"))
        new.rename(link)


def exchange(one: Path, other: Path) -> bool:
    """Swap two paths in one step; return whether this system and file system can."""
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    rename = getattr(library, "renameat2", None)  # glibc 2.28, musl 1.2.6
    if rename is None:
        return False
    return bool(rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0)


def _restore(link: Path, text: str, aside: Path) -> None:
    """Restore a link if something else, or nothing, is in its place."""
    if link.is_symlink() and os.readlink(link) == text:
        return
    if link.is_dir() and not link.is_symlink():
        link.rename(aside)
    again = aside.with_suffix(".link")
    again.symlink_to(text)
    again.replace(link)


if sys.platform != "win32":
    import fcntl
_SUFFIX: Final = ".partial"
_OLD: Final = "old"
_RANDOM: Final = "[a-z0-9_]{8}"  # `tempfile` makes such names


@contextmanager
def telling_write_errors(what: Path) -> Iterator[None]:
    """Turn an `OSError` of the output into an `OutputProblem` of one sentence."""
    try:
        yield
    except OSError as error:
        raise OutputProblem(f"{what} cannot be written: {error.strerror or error}") from error


class PendingFile:
    """A file next to the one it will replace; `commit` puts it in its place.

    Used as a context manager, it removes what was not committed, however the block ended. What a
    killed run has left of the same file is removed first; a lock distinguishes it from that of a
    run that is still alive.

    A file that replaces an earlier one is synced to disk first, so that one of the two exists even
    after a power failure. A new file is left to the system to write out, as other packers do: there
    is nothing to lose, and waiting for the disk can take longer than packing.
    """

    def __init__(self, path: Path, *, executable: bool = False) -> None:
        self.path = path
        self._mode = 0o777 if executable else 0o666
        self._is_new = True
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
        self._held = -1

    def __enter__(self) -> PendingFile:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the partial file if it is still there, and the folders created for it if empty."""
        with suppress(OSError):
            self.stream.close()
        if self._held >= 0:
            os.close(self._held)
        for path in (self.partial, self._earlier):
            with suppress(OSError):  # the next run removes it
                path.unlink()
        remove_empty(self._made)

    @property
    def replaces(self) -> bool:
        """Whether there is a file of that name now."""
        return os.path.lexists(self.path)

    def finish(self) -> None:
        """Complete the file; what can fail fails here and not in `commit`."""
        with telling_write_errors(self.path):
            self.stream.flush()
            if self.replaces:
                os.fsync(self.stream.fileno())
            if sys.platform != "win32":  # which cannot rename open files
                self._held = os.dup(self.stream.fileno())
            self.stream.close()
            self.partial.chmod(self._mode & ~_umask())

    def commit(self) -> None:
        """Replace the file of that name; the earlier one is kept, where possible, for `undo`."""
        with telling_write_errors(self.path):
            self._is_new = not self.replaces
            if self._is_new:
                self.partial.replace(self.path)
            elif not exchange(self.partial, self.path):
                with suppress(OSError):  # a file system without hard links: nothing to go back to
                    os.link(self.path, self._earlier, follow_symlinks=False)
                self.partial.replace(self.path)

    def undo(self) -> None:
        """Restore the state before `commit`."""
        if self._is_new:
            self.path.replace(self.partial)
        elif os.path.lexists(self._earlier):
            self._earlier.replace(self.path)
        elif os.path.lexists(self.partial):
            exchange(self.partial, self.path)

    @property
    def _earlier(self) -> Path:
        """Where the earlier file is kept if the two cannot be swapped."""
        return self.partial.with_suffix(f".{_OLD}{_SUFFIX}")


def commit_all(files: Sequence[PendingFile]) -> None:
    """Put finished files in their places: all of them, or none.

    Raises:
        OutputProblem: a file could not be put in place; those before it are as they were.
    """
    with uninterrupted(settles=True):
        for number, file in enumerate(files):
            try:
                file.commit()
            except BaseException:
                for done in reversed(files[:number]):
                    with suppress(OSError):
                        done.undo()
                raise


def remove_abandoned(path: Path) -> None:
    """Remove what killed runs have left next to a file or folder that they were writing.

    An earlier export that such a run had just moved aside is put back. Files that only have a
    similar name belong to somebody else.
    """
    for partial in left_by_runs(path):
        with suppress(OSError), _opened_for_lock(partial) as handle:
            mode = os.fstat(handle).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or not _lock(handle):
                continue  # of a run that is still alive
            if stat.S_ISREG(mode):
                partial.unlink()
                continue
            if (partial / _OLD).exists() and not path.exists():
                (partial / _OLD).rename(path)
            remove_tree(partial)


def left_by_runs(path: Path) -> list[Path]:
    """Return the partial files and folders for a path, of killed runs or of live ones."""
    pattern = f".{glob.escape(path.name)}.*{_SUFFIX}"
    ours = re.compile(rf"\.{re.escape(path.name)}\.{_RANDOM}(\.{_OLD})?{re.escape(_SUFFIX)}")
    return [each for each in sorted(path.parent.glob(pattern)) if ours.fullmatch(each.name)]


def _locked_file(path: Path) -> tuple[int, Path]:
    """Create a partial file; another run may remove it before it is locked."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_SUFFIX)
        if _lock(handle) and os.path.exists(name):
            return handle, Path(name)
        os.close(handle)


@contextmanager
def _locked_folder(path: Path) -> Iterator[Path]:
    """Create a partial folder, which is locked while the block runs."""
    while True:
        name = tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=_SUFFIX)
        with _opened_for_lock(Path(name)) as handle:
            if _lock(handle) and os.path.exists(name):
                yield Path(name)
                return


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """Yield an empty folder next to a path, which is removed after the block.

    If the run is killed, the next one to write this path removes the folder.
    """
    with ExitStack() as stack:
        with uninterrupted():
            folder = stack.enter_context(_locked_folder(beside))
            stack.callback(uninterrupted()(remove_tree), folder)
        yield folder


@contextmanager
def _opened_for_lock(path: Path) -> Iterator[int]:
    # Others may have given such a name to a FIFO, which must not block, or to a link.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(path, flags)
    try:
        yield handle
    finally:
        with suppress(OSError):
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
def pending_folder(target: Path, then: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Yield the path of a folder to create, which replaces `target` when the block succeeds.

    An empty folder or an earlier export is replaced, anything else is refused.

    Parameters:
        then: called with `target` when it is in place; if it fails, `target` is as it was.

    Raises:
        OutputProblem: something else is there, or the folder cannot be written.
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
            stack.callback(remove_tree, work)
        yield work / "new"
        with telling_write_errors(target), uninterrupted(settles=then is None):
            if not target.exists() or not exchange(work / "new", target):
                _move(work / "new", target, work / _OLD)
        if then is not None:
            try:
                then(target)
            except BaseException:
                with uninterrupted():
                    _move_back(work, target)
                raise


def _move_back(work: Path, target: Path) -> None:
    """Undo the replacement of a folder; what was there before, if anything, is in `work`."""
    earlier = next(filter(Path.exists, (work / "new", work / _OLD)), None)
    target.rename(work / "failed")
    if earlier is not None:
        earlier.rename(target)


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
