"""Every error that a user may see.

All derive from `PackVenvError`. Messages are complete sentences that name the file or TOML key and
say what was expected and what to do. Front ends print them unchanged.
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
    """A problem that the user can fix; `str()` of it is the message to show."""

    @property
    def for_terminal(self) -> str:
        """The message as it may go to a terminal, whatever names stand in it."""
        return printable(str(self))


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
