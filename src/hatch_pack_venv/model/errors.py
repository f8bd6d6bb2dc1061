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
    """Return a text in one line as it may go to a terminal.

    Names of files can hold line breaks, escape sequences, marks that turn the direction of writing
    around, and bytes that are no text: all these are spelled as Python spells them.
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
        """The message as it may go to a terminal, whatever names stand in it."""
        return printable(str(self))


_FAILURES: Final = {
    *(errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC),
    # Of file systems on a network or of a process: also when a file is closed.
    *(errno.EDQUOT, errno.EINTR, errno.ENOTCONN, errno.ESTALE, errno.ETIMEDOUT),
}


def is_failure(error: OSError) -> bool:
    """Whether an error says nothing of the file: a disk that fails, a limit that is reached.

    What only passes over files that are missing, closed to this user or of another kind must not
    pass over these: the file may be read a moment later, and be packed as what it is not.
    """
    return error.errno in _FAILURES


_NO_THREADS: Final = "can't start new thread"  # `threading`, of a `RuntimeError`


@contextmanager
def telling_system_errors() -> Iterator[None]:
    """Turn what the system refuses, and nothing expected, into one sentence.

    That a disk fails, or a file is closed to this user, can come with every call that reads; what
    is to be told is always the same.

    Raises:
        SystemProblem: names the file, where the system does.
    """
    try:
        yield
    except BrokenPipeError:  # of what is printed: nobody reads any more
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
            "the system allows no more threads: use fewer --threads, or raise the limit of memory"
            " or processes"
        ) from error


class SystemProblem(PackVenvError):
    """The system refuses something: a disk that fails, a limit."""


class EnvironmentProblem(PackVenvError):
    """The folder to pack is not a usable virtual environment."""


class InterpreterMissing(EnvironmentProblem):
    """The environment's interpreter is not there, or cannot run on this machine."""


class InterpreterProblem(PackVenvError):
    """The base interpreter cannot be bundled."""


class WheelProblem(PackVenvError):
    """A wheel to be packed cannot be read."""


class SourceProblem(PackVenvError):
    """A file of the environment cannot be read, or changed during packing."""


class OutputProblem(PackVenvError):
    """The archive or the exported folder cannot be written."""


class ArchiveProblem(PackVenvError):
    """An archive or folder to be read is damaged, refused, or was not made by this project."""


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
        """The message as it may go to a terminal, a line for each problem."""
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
