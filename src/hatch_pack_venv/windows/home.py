r"""Where the interpreter of a Windows archive lies, and how launchers name it: pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# An interpreter's file name in a path with either kind of slash, quoted where it holds a space.
_COMMAND: Final = re.compile(
    r"""(?P<quote>["']?)(?P<folder>.*?)(?P<name>pythonw?[\d.]*t?)(?:\.exe)?(?P=quote)"""
    r"(?P<options>(?:\s.*)?)",
    re.IGNORECASE,
)

SHEBANG: Final = re.compile(rb"#![ \t]*(?P<command>[^\r\n]*?)[ \t]*(?P<end>\r?\n)")
"""The first line of a script, with its end."""

RELATIVE: Final = "<launcher_dir>\\"
"""What stands for the launcher's own folder in launchers of distlib's kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    r"""Where the interpreter of an archive lies, seen from its launchers.

    Parameters:
        folder: from the launcher's own folder, with `\` at its end; empty for the same.
        scripts: the name of the launchers' folder.
        machine: as `PeFile.machine` tells it, for stubs of our own.
    """

    folder: str = ""
    scripts: str = "Scripts"
    machine: str = "amd64"

    def beside(self, name: str) -> str:
        """Return an interpreter's path from the launcher's folder."""
        return f"{self.folder}{name}.exe"

    def below(self, name: str) -> str:
        """Return an interpreter's path from the folder above the launcher's."""
        return f"{name}.exe" if self.folder else f"{self.scripts}\\{name}.exe"


def python_command(command: bytes) -> re.Match[str] | None:
    """Match an interpreter's path and its options; `None` for a command that is no Python."""
    return _COMMAND.fullmatch(command.decode("utf-8", "surrogateescape"))


def is_of_environment(command: re.Match[str], home: Home, *, known: bool) -> bool:
    """Whether a command is the environment's interpreter, wherever the environment was made."""
    folder = re.split(r"[\\/]", command["folder"])
    named = len(folder) > 1 and folder[-2].lower() == home.scripts.lower()
    return named or known or command["folder"].startswith(RELATIVE)
