"""Every error that a user may see.

All derive from `PackVenvError`. Messages are complete sentences that name the file or TOML key and
say what was expected and what to do. Front ends print them unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class PackVenvError(Exception):
    """A problem that the user can fix; `str()` of it is the message to show."""


class EnvironmentProblem(PackVenvError):
    """The folder to pack is not a usable virtual environment."""


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
        if len(self.problems) == 1:
            return f"{self.summary}: {self.problems[0]}"
        return "\n".join([f"{self.summary}:", *(f"  - {problem}" for problem in self.problems)])


class OptionsError(ProblemList, ValueError):
    """The configuration or an argument is wrong."""


class PlanError(ProblemList):
    """The environment contains something that cannot be packed as requested."""


class LeakError(ProblemList):
    """Packed files depend on paths of the build machine."""


class LinkError(ProblemList):
    """Links cannot be made portable."""
