r"""Launchers of Windows that find the interpreter from where they lie: bytes to bytes.

Three kinds of programs start the scripts of an environment, and each has a form that names the
interpreter by its place beside the launcher:

- distlib's, pip's and installer's, which are the same programs: see `distlib_launchers`;
- uv's: see `uv_trampolines`;
- setuptools' `NAME.exe`, which names nothing and reads the first line of `NAME-script.py` beside
  it. A relative path there is taken from the folder *above* the launcher's (launcher.c, find_exe).

What each starts stays byte for byte what it was, but for a `#!` line inside uv's archive, which
nothing reads: `python NAME.exe` runs it as before.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

from . import distlib_launchers, uv_trampolines
from .home import SHEBANG, Home, is_of_environment, python_command
from .pe import PeFile

if TYPE_CHECKING:
    from ..scripts.launchers import EntryPoint

_SCRIPT: Final = re.compile(r"(?P<name>.+)-script\.pyw?", re.IGNORECASE)


def kind_of(content: bytes) -> Literal["distlib", "uv", "script", "program"] | None:
    """Tell what a file of the scripts folder is: a launcher, a text with `#!`, a program, or none.

    The launchers of setuptools are programs, that do what the text beside them says.
    """
    if content.startswith(b"#!"):
        return "script"
    program = PeFile.from_bytes(content)
    if program is None:
        return None
    if uv_trampolines.is_trampoline(content, program):
        return "uv"
    return "distlib" if distlib_launchers.is_launcher(content, program) else "program"


def relocate_launcher(
    name: str, content: bytes, home: Home, entry_point: EntryPoint | None = None
) -> bytes | None:
    """Return a launcher that finds its own interpreter; `None` to leave the file alone.

    Parameters:
        name: of the file in the scripts folder.
        entry_point: what it is known to start, for a launcher that is none of the kinds above, and
            whose interpreter need not be named by a path.
    """
    match kind_of(content):
        case "script":
            return _relocated_text(name, content, home, known=entry_point is not None)
        case "distlib":
            return distlib_launchers.relocated(content, home, known=entry_point is not None)
        case "uv":
            return uv_trampolines.relocated(content, home)
    return None


def starts_python_script(content: bytes) -> re.Match[bytes] | None:
    """Match the head of a wheel's script that asks for any Python: `#!python` (PEP 427)."""
    return re.match(rb"#!(?P<name>pythonw?)(?P<options>[ \t][^\r\n]*)?\r?\n", content)


def entry_point_name(file_name: str) -> str:
    """Return the name of the entry point that a file of the scripts folder may start."""
    text = _SCRIPT.fullmatch(file_name)
    return text["name"] if text else re.sub(r"\.exe$", "", file_name, flags=re.IGNORECASE)


def _relocated_text(name: str, content: bytes, home: Home, *, known: bool) -> bytes | None:
    """Return a script with another first line.

    What setuptools' launcher reads is a path. Any other script is started by the `py` launcher,
    which looks for `/usr/bin/env python` along PATH.
    """
    head = SHEBANG.match(content)
    command = None if head is None else python_command(head["command"])
    if head is None or command is None:
        return None
    if not is_of_environment(command, home, known=known or _SCRIPT.fullmatch(name) is not None):
        return None
    name_of_python = command["name"].lower()
    if _SCRIPT.fullmatch(name):
        line = f"#!{home.below(name_of_python)}"
    else:
        line = f"#!/usr/bin/env {name_of_python}"
    return f"{line}{command['options']}".encode() + content[head.start("end") :]
