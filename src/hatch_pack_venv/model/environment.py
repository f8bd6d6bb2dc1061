"""A prepared environment and the project it belongs to: plain values."""

from __future__ import annotations

import ast
import os
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .distribution import InstalledDistribution
    from .entries import Times
    from .interpreter import Interpreter


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A virtual environment on disk (PEP 405).

    Parameters:
        prefix: the environment's real path.
        requested: the path that was requested, made absolute; archives are named after it.
        config: the contents of `pyvenv.cfg`, with keys in lower case.
        interpreter: facts about its base interpreter.
        scripts: arcname of the scripts folder.
        site_packages: arcnames of the site-packages folders, `lib` before `lib64`.
        distributions: the distributions installed in it.
        interpreter_copies: arcnames of files in the scripts folder that are copies of the base
            interpreter, whatever they are called.
        aliases: other paths that lead to it, and by which its files, such as scripts, may name it.
        bare: whether it is an interpreter's own prefix instead of a virtual environment.
        containing: the real path of the folder that holds it and its layers, if links between them
            are kept.
    """

    prefix: Path
    requested: Path
    config: Mapping[str, str] = field(repr=False)
    interpreter: Interpreter
    scripts: str = "bin"
    site_packages: tuple[str, ...]
    distributions: tuple[InstalledDistribution, ...] = field(repr=False)
    interpreter_copies: frozenset[str] = frozenset()
    aliases: tuple[str, ...] = ()
    bare: bool = False
    containing: Path | None = None

    @property
    def is_windows(self) -> bool:
        """Whether it has the Windows layout."""
        return self.interpreter.is_windows

    @property
    def runs_here(self) -> bool:
        """Whether its interpreter can run on this machine, as far as is known."""
        return self.interpreter.is_here and {
            "win32": os.name == "nt",
            "darwin": sys.platform == "darwin",
        }.get(self.interpreter.system, True)

    @property
    def include_system_site_packages(self) -> bool:
        """Whether the base interpreter's packages are visible in it (PEP 405)."""
        return self.config.get("include-system-site-packages", "false").lower() == "true"

    @property
    def prompt(self) -> str | None:
        """The prompt that was chosen for it; uv writes the folder's name without being asked."""
        prompt = prompt_of(self.config)
        return None if prompt in (self.requested.name, self.requested.parent.name) else prompt

    @property
    def prefix_aliases(self) -> tuple[str, ...]:
        """Every path by which its files may name it."""
        return tuple(dict.fromkeys((str(self.requested), str(self.prefix), *self.aliases)))

    def is_of_interpreter(self, arcname: str) -> bool:
        """Return whether a file or link has the interpreter's name, or is a copy of its library.

        `virtualenv --copies` puts both into the environment.
        """
        folder, _, name = arcname.rpartition("/")
        if folder == self.scripts and self.is_windows:
            return is_windows_interpreter_name(name)
        if folder == self.scripts:
            return bool(re.fullmatch(r"pythonw?(\d+(\.\d+t?)?(-intel64)?)?", name))
        if folder != "lib":
            return False
        library = f"lib{self.interpreter.executable_name}"
        return name.startswith((f"{library}.so", f"{library}.dylib"))


# The names venv, virtualenv and uv give the interpreter, and files that accompany a copy of it.
_WINDOWS_INTERPRETER: Final = re.compile(
    r"pythonw?(?:3(?:\.\d+)?t?)?(?:_d)?(?:\.exe)?"
    r"|(?:python3\d*t?(?:_d)?|vcruntime140\w*|msvcp140\w*)\.dll|python3\d+t?\.(?:zip|_pth)",
    re.IGNORECASE,
)


def is_windows_interpreter_name(name: str) -> bool:
    """Return whether a file in the scripts folder is the interpreter or one of its libraries."""
    return _WINDOWS_INTERPRETER.fullmatch(name) is not None


def prompt_of(config: Mapping[str, str]) -> str | None:
    """Return the `prompt` of a `pyvenv.cfg`, which venv and virtualenv quote and uv does not."""
    text = config.get("prompt", "")
    if text[:1] in ("'", '"'):
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = None
        text = value if isinstance(value, str) else text
    return text or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The project whose environment is packed.

    Parameters:
        wheel: the wheel just built; it replaces the project's installed files.
        root: the project's folder.
        times: which modification times entries get.
    """

    name: str
    version: str | None = None
    wheel: Path | None = None
    root: Path | None = None
    times: Times | None = None


def project_folder(prefix: Path) -> Path | None:
    """Return the project folder an environment was created for, or `None` if unknown."""
    folder = prefix.parent
    known = prefix.name == ".venv" or (folder / "pyproject.toml").is_file()
    return folder if known else None


def environment_name(prefix: Path) -> str:
    """Return the default name of an environment's archive: the project folder's for a `.venv`."""
    return prefix.parent.name if prefix.name == ".venv" else prefix.name
