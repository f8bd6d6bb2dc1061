"""Every error that a user may see.

All derive from `PackVenvError`. Messages are complete sentences that name the file or TOML key and
say what was expected and what to do. Front ends print them unchanged.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def printable(text: str) -> str:
    """Return a text as one line that is safe to print to a terminal.

    File names can contain line breaks, escape sequences, marks that reverse the writing direction,
    and bytes that are not text: all of these are escaped as in Python strings.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


class PackVenvError(Exception):
    """A problem that the user can fix; `str()` of it is the message to show."""

    @property
    def for_terminal(self) -> str:
        """The message, safe to print to a terminal whatever names it contains."""
        return printable(str(self))


_FAILURES: Final = {
    *(errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC),
    # From network file systems and those of a process (FUSE), even when a file is closed.
    *(errno.EDQUOT, errno.EINTR, errno.ENOTCONN, errno.ESTALE, errno.ETIMEDOUT),
}


def is_failure(error: OSError) -> bool:
    """Whether an error is not about the file itself: a failing disk, a limit that was reached.

    Code that skips files that are missing, inaccessible to this user or of another kind must not
    skip these errors: the file may be readable a moment later, and be packed as something it is
    not.
    """
    return error.errno in _FAILURES


_NO_THREADS: Final = "can't start new thread"  # what `threading` says in a `RuntimeError`


@contextmanager
def telling_system_errors() -> Iterator[None]:
    """Turn unexpected system errors into a message of one sentence.

    Any call that reads can find that a disk fails or that this user may not access a file; the
    message is always the same.

    Raises:
        SystemProblem: names the file if the system does.
    """
    try:
        yield
    except BrokenPipeError:  # from printing: nobody is reading any more
        raise
    except OSError as error:
        what = "a file" if error.filename is None else os.fsdecode(error.filename)
        raise SystemProblem(f"{what} cannot be read or written: {error.strerror or error}") from (
            error
        )
    except RuntimeError as error:
        if str(error) != _NO_THREADS:
            raise
        raise SystemProblem(
            "the system does not allow any more threads: lower --threads, or raise the memory or"
            " process limit"
        ) from error


class SystemProblem(PackVenvError):
    """The system refuses something: a disk fails, a limit is reached."""


class EnvironmentProblem(PackVenvError):
    """The folder to pack is not a usable virtual environment."""


class InterpreterMissing(EnvironmentProblem):
    """The environment's interpreter is missing, or cannot run on this machine."""


class InterpreterProblem(PackVenvError):
    """The base interpreter cannot be bundled."""


class WheelProblem(PackVenvError):
    """A wheel to be packed cannot be read."""


class SourceProblem(PackVenvError):
    """A file of the environment cannot be read, or changed during packing."""


class OutputProblem(PackVenvError):
    """The archive or the exported folder cannot be written."""


class ArchiveProblem(PackVenvError):
    """An archive or folder to be read is damaged or refused, or was not made by this project."""


class DamagedArchive(ArchiveProblem):
    """An archive's bytes differ from those that were written."""


class LockProblem(PackVenvError):
    """A lock file cannot be read."""


class ProblemList(PackVenvError):
    """Several problems, reported together.

    Parameters:
        summary: one line that says what could not be done.
        problems: one sentence each; a single one is appended to the summary.
    """

    def __init__(self, summary: str, problems: Iterable[str]) -> None:
        self.summary = summary
        self.problems = tuple(problems)
        super().__init__(summary, self.problems)

    def __str__(self) -> str:
        """Return the summary and the problems, one per line if there are several."""
        return "\n".join(self._lines())

    @property
    def for_terminal(self) -> str:
        """The message, safe to print to a terminal, with one line for each problem."""
        return "\n".join(map(printable, self._lines()))

    def _lines(self) -> list[str]:
        if len(self.problems) == 1:
            return [f"{self.summary}: {self.problems[0]}"]
        return [f"{self.summary}:", *(f"  - {problem}" for problem in self.problems)]


class OptionsError(ProblemList, ValueError):
    """The configuration or an argument is wrong."""


class PlanError(ProblemList):
    """The environment contains something that cannot be packed as requested."""


class LeakError(ProblemList):
    """Packed files depend on paths of the build machine."""


class LinkError(ProblemList):
    """Links cannot be made portable."""
