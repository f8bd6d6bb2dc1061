r"""Launchers of distlib's kind, which pip and installer write too: bytes to bytes.

A stub, a line `#!INTERPRETER OPTIONS`, a zip archive with `__main__.py`. In the line,
`<launcher_dir>\PATH` is taken from the launcher's folder and may hold `..` (launcher.c of
simple_launcher: `SUPPORT_RELATIVE_PATH`, joined by PathCombineW). Stubs older than distlib 0.3.0 do
not hold that word and are replaced.
"""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from installer.scripts import InvalidScript, Script

from .home import RELATIVE, SHEBANG, Home, is_of_environment, python_command
from .pe import PeFile

if TYPE_CHECKING:
    import re

    from ..scripts.launchers import EntryPoint

_KINDS: Final[dict[str, Literal["win-amd64", "win-arm64", "win-ia32"]]] = {
    "amd64": "win-amd64",
    "arm64": "win-arm64",
    "win32": "win-ia32",
}
_FIRST_TIME: Final = (1980, 1, 1, 0, 0, 0)  # of a zip member; what is packed gets its own time


def entry_point_launcher(entry_point: EntryPoint, home: Home) -> bytes:
    """Return a complete launcher for an entry point, of distlib's kind.

    Raises:
        ValueError: there is no launcher for this kind of machine.
    """
    name = "pythonw" if entry_point.gui else "python"
    body = f"""\
import sys

from {entry_point.module} import {entry_point.attr.partition(".")[0]}

if __name__ == "__main__":
    sys.argv[0] = sys.argv[0].removesuffix(".exe")
    sys.exit({entry_point.attr}())
"""
    return script_launcher(body.encode(), home, name, gui=entry_point.gui)


def script_launcher(
    body: bytes, home: Home, name: str = "python", options: str = "", *, gui: bool = False
) -> bytes:
    """Return a launcher of distlib's kind for the text of a script.

    Parameters:
        name: of the interpreter, without its ending.
        options: the interpreter's, a space before them.

    Raises:
        ValueError: there is no launcher for this kind of machine.
    """
    stub = _stub(home.machine, gui)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py", _FIRST_TIME), body)
    return stub + _shebang(home, name, options) + stream.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What a launcher of distlib's kind is made of.

    Parameters:
        head: the line between stub and archive.
        start: where the archive begins.
        absolute: whether its offsets count from the file's start, as `zipapp` writes them.
    """

    head: re.Match[bytes]
    start: int
    absolute: bool


def is_launcher(content: bytes, program: PeFile) -> bool:
    """Whether a program has a line and an archive behind it."""
    return _parts(content, program) is not None


def _parts(content: bytes, program: PeFile) -> _Parts | None:
    head = SHEBANG.match(content, program.end)
    if head is None:
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            first = min((each.header_offset for each in archive.infolist()), default=-1)
            end = content.rindex(b"PK\x05\x06")
            (told,) = struct.unpack_from("<I", content, end + 16)
            absolute = told == archive.start_dir
    except (zipfile.BadZipFile, struct.error):
        return None
    return _Parts(head=head, start=first, absolute=absolute) if first == head.end() else None


def relocated(content: bytes, home: Home, *, known: bool) -> bytes | None:
    """Return a launcher with a relative interpreter; `None` for one of another interpreter.

    Parameters:
        known: whether it starts an entry point of the environment, whatever its interpreter.
    """
    program = PeFile.from_bytes(content)
    parts = None if program is None else _parts(content, program)
    if program is None or parts is None:
        return None
    command = python_command(parts.head["command"])
    if command is None or not is_of_environment(command, home, known=known):
        return None
    stub = content[: program.end]
    if RELATIVE.encode("utf-16-le") not in stub:
        stub = _stub(program.machine, program.gui)
    start = stub + _shebang(home, command["name"].lower(), command["options"])
    if parts.absolute:
        if len(start) > parts.start:
            return None
        start = start[:-1].ljust(parts.start - 1) + b"\n"  # spaces before its end are passed over
    return start + content[parts.start :]


@cache
def _stub(machine: str, gui: bool) -> bytes:  # noqa: FBT001 (part of a cache's key)
    """Return distlib's launcher without anything appended, as pypa/installer brings it."""
    script = Script("x", "x", "x", "gui" if gui else "console")
    try:
        _, made = script.generate("python.exe", _KINDS[machine])
    except (KeyError, InvalidScript):
        message = f"there is no launcher for the machine {machine!r}"
        raise ValueError(message) from None
    program = PeFile.from_bytes(made)
    if program is None:
        message = "the launcher that installer brings is no program"
        raise ValueError(message)
    return made[: program.end]


def _shebang(home: Home, name: str, options: str) -> bytes:
    return f"#!{RELATIVE}{home.beside(name)}{options}\n".encode()
