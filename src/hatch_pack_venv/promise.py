"""An interpreter that is promised to be on the target, at an absolute path.

The archive is then a virtual environment that is connected already: `bin/python3.X` leads to that
path and `pyvenv.cfg` names its folder. It runs after unpacking with no step.
"""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING

from .entries import FileEntry, SymlinkEntry
from .errors import EnvironmentProblem, InterpreterProblem
from .interpreter import Interpreter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .entries import Entry
    from .environment import Environment


def is_promise(interpreter: str) -> bool:
    """Whether an option names an interpreter by its path, in a form that `pyvenv.cfg` can hold."""
    return (
        posixpath.isabs(interpreter)
        and posixpath.normpath(interpreter) == interpreter
        and interpreter == interpreter.strip()
        and interpreter.isprintable()
        and posixpath.dirname(interpreter) != "/"
    )


def check_promise(
    path: Path,
    environment: Environment,
    ask: Callable[[Path], Interpreter] = Interpreter.from_executable,
) -> str | None:
    """Compare the interpreter with the environment's, if this machine has it.

    Returns:
        What a user may want to know, if it cannot be looked at here.

    Raises:
        InterpreterProblem: what is there does not run, or is of another version or ABI.
    """
    if not os.path.lexists(path):
        return f"{path} is not on this machine: nothing could be checked of it"
    try:
        found = ask(path)
    except EnvironmentProblem as error:
        raise InterpreterProblem(f"the interpreter that is promised cannot be used: {error}") from (
            error
        )
    needed = environment.interpreter
    for what, has, wants in (
        ("CPython", found.minor, needed.minor),
        ("the ABI", found.abi, needed.abi),
        ("the platform", found.platform, needed.platform),
    ):
        if has != wants:
            raise InterpreterProblem(
                f"{path} is of {what} {has}, but {environment.given} is of {wants}: promise another"
                " interpreter, or make the environment with this one"
            )
    return None


def promised_entries(path: str, environment: Environment) -> tuple[Entry, ...]:
    """Return what connects an environment: as `postinstall.py` does it on the target."""
    name = environment.interpreter.executable_name
    scripts = environment.scripts
    return (
        SymlinkEntry(arcname=f"{scripts}/{name}", linkname=path),
        SymlinkEntry(arcname=f"{scripts}/python3", linkname=name),
        SymlinkEntry(arcname=f"{scripts}/python", linkname=name),
        FileEntry.from_bytes("pyvenv.cfg", _config(path, environment)),
    )


def _config(path: str, environment: Environment) -> bytes:
    system_site = str(environment.include_system_site_packages).lower()
    lines = [
        f"home = {posixpath.dirname(path)}",
        f"include-system-site-packages = {system_site}",
        f"version = {environment.interpreter.version}",
        f"executable = {path}",
    ]
    if environment.prompt is not None:
        lines.append(f"prompt = {environment.prompt!r}")  # quoted, as venv does
    return ("\n".join(lines) + "\n").encode()
