"""Every error that a user can meet.

All derive from `PackVenvError`. The messages are whole sentences: they name the file or the
TOML key, say what was expected and what to do. Front ends print them as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


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
    """Something a user can put right; `str()` of it is the message to show."""

    @property
    def for_terminal(self) -> str:
        """The message as it may go to a terminal, whatever names stand in it."""
        return printable(str(self))


class EnvironmentProblem(PackVenvError):
    """The folder to pack is not a usable virtual environment."""


class InterpreterProblem(PackVenvError):
    """The base interpreter cannot be bundled."""


class WheelProblem(PackVenvError):
    """A wheel that was to be packed cannot be read."""


class SourceProblem(PackVenvError):
    """A file of the environment cannot be read, or changed while it was packed."""


class OutputProblem(PackVenvError):
    """The archive or the exported folder cannot be written."""


class ArchiveProblem(PackVenvError):
    """An archive or folder to read is damaged, refused, or none of ours."""


class DamagedArchive(ArchiveProblem):
    """An archive's bytes are not those that were written."""


class LockProblem(PackVenvError):
    """A lock file that cannot be read."""


class ProblemList(PackVenvError):
    """Several problems that were found together.

    Parameters:
        summary: one line that says what could not be done.
        problems: one sentence each; a single one is joined to the summary.
    """

    def __init__(self, summary: str, problems: Iterable[str]) -> None:
        self.summary = summary
        self.problems = tuple(problems)
        super().__init__(summary, self.problems)

    def __str__(self) -> str:
        """Join the summary and the problems, a line each if there are several."""
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
    """The configuration or an argument holds mistakes."""


class PlanError(ProblemList):
    """The environment holds things that cannot be packed as asked."""


class LeakError(ProblemList):
    """Packed files that need places of the build machine."""


class LinkError(ProblemList):
    """Links that cannot be made portable."""
