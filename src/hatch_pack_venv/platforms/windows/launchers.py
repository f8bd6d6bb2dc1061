"""Windows launchers that find the interpreter relative to themselves: bytes to bytes.

Three kinds of programs start the scripts of an environment, and each has a form that names the
interpreter relative to the launcher:

- distlib's, pip's and installer's, which are the same programs: see `relocated`;
- uv's: see `relocated_trampoline`;
- setuptools' `NAME.exe`, which names nothing and reads the first line of `NAME-script.py` next to
  it. A relative path there is resolved against the folder *above* the launcher's (launcher.c,
  find_exe).

The code that each starts stays the same byte for byte, except for a `#!` line inside uv's archive,
which nothing reads: `python NAME.exe` runs it as before.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from installer.scripts import InvalidScript, Script

from ...binary.pe import PeFile
from ...metadata.files import ZIP_DAMAGE

if TYPE_CHECKING:
    from ...binary.pe import Resource
    from ...model.distribution import EntryPoint


# An interpreter's file name in a path with either kind of slash, quoted if it contains a space.
_COMMAND: Final = re.compile(
    r"""(?P<quote>["']?)(?P<folder>.*?)(?P<name>pythonw?[\d.]*t?)(?:\.exe)?(?P=quote)"""
    r"(?P<options>(?:\s.*)?)",
    re.IGNORECASE,
)
SHEBANG: Final = re.compile(rb"#![ \t]*(?P<command>[^\r\n]*?)[ \t]*(?P<end>\r?\n)")
"""The first line of a script, including its line ending."""
RELATIVE: Final = "<launcher_dir>\\"
"""Placeholder for the launcher's own folder in distlib launchers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    r"""Where an archive's interpreter is, relative to its launchers.

    Parameters:
        folder: relative to the launcher's own folder, with a trailing `\`; empty if the same.
        scripts: the name of the launchers' folder.
        machine: as in `PeFile.machine`, for stubs of our own.
    """

    folder: str = ""
    scripts: str = "Scripts"
    machine: str = "amd64"

    def beside(self, name: str) -> str:
        """Return an interpreter's path relative to the launcher's folder."""
        return f"{self.folder}{name}.exe"

    def below(self, name: str) -> str:
        """Return an interpreter's path relative to the parent of the launcher's folder."""
        return f"{name}.exe" if self.folder else f"{self.scripts}\\{name}.exe"


def python_command(command: bytes) -> re.Match[str] | None:
    """Match an interpreter's path and its options; return `None` if a command is not Python."""
    return _COMMAND.fullmatch(command.decode("utf-8", "surrogateescape"))


def is_of_environment(command: re.Match[str], home: Home, *, known: bool) -> bool:
    """Return whether a command is the environment's interpreter, wherever it was created."""
    folder = re.split(r"[\\/]", command["folder"])
    named = len(folder) > 1 and folder[-2].lower() == home.scripts.lower()
    return named or known or command["folder"].startswith(RELATIVE)


_KINDS: Final[dict[str, Literal["win-amd64", "win-arm64", "win-ia32"]]] = {
    "amd64": "win-amd64",
    "arm64": "win-arm64",
    "win32": "win-ia32",
}
_FIRST_TIME: Final = (1980, 1, 1, 0, 0, 0)  # of a zip member; packed files get their own time


def entry_point_launcher(entry_point: EntryPoint, home: Home) -> bytes:
    """Return a complete distlib launcher for an entry point.

    Raises:
        ValueError: if there is no launcher for this kind of machine.
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
    """Return a distlib launcher for the text of a script.

    Parameters:
        name: the interpreter's, without its extension.
        options: the interpreter's, with a leading space.

    Raises:
        ValueError: if there is no launcher for this kind of machine.
    """
    stub = _stub(home.machine, gui)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py", _FIRST_TIME), body)
    return stub + _shebang(home, name, options) + stream.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """The parts of a distlib launcher.

    Parameters:
        head: the line between stub and archive.
        start: where the archive starts.
        absolute: whether its offsets are relative to the start of the file, as `zipapp` writes
            them.
    """

    head: re.Match[bytes]
    start: int
    absolute: bool


def is_launcher(content: bytes, program: PeFile) -> bool:
    """Return whether a program is followed by a shebang line and an archive."""
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
    except ZIP_DAMAGE:
        return None
    return _Parts(head=head, start=first, absolute=absolute) if first == head.end() else None


def relocated(content: bytes, home: Home, *, known: bool) -> bytes | None:
    """Return a launcher with a relative interpreter, or `None` if it uses another interpreter.

    An old launcher for a machine without a newer one is left unchanged, too.

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
        if program.machine not in _KINDS:
            return None
        stub = _stub(program.machine, program.gui)
    start = stub + _shebang(home, command["name"].lower(), command["options"])
    if parts.absolute:
        if len(start) > parts.start:
            return None
        start = start[:-1].ljust(parts.start - 1) + b"\n"  # spaces before its end are ignored
    return start + content[parts.start :]


@cache
def _stub(machine: str, gui: bool) -> bytes:  # noqa: FBT001 (part of a cache's key)
    """Return distlib's launcher without anything appended, as shipped with pypa/installer."""
    script = Script("x", "x", "x", "gui" if gui else "console")
    try:
        _, made = script.generate("python.exe", _KINDS[machine])
    except (KeyError, InvalidScript):
        message = f"there is no launcher for the machine {machine!r}"
        raise ValueError(message) from None
    program = PeFile.from_bytes(made)
    if program is None:
        message = "the launcher that installer ships is not a program"
        raise ValueError(message)
    return made[: program.end]


def _shebang(home: Home, name: str, options: str) -> bytes:
    return f"#!{RELATIVE}{home.beside(name)}{options}\n".encode("utf-8", "surrogateescape")


_SCRIPT: Final = re.compile(r"(?P<name>.+)-script\.pyw?", re.IGNORECASE)


def kind_of(content: bytes) -> Literal["distlib", "uv", "script", "program"] | None:
    """Classify a file of the scripts folder: a launcher, a text with `#!`, a program, or neither.

    setuptools' launchers are programs that run the script next to them.
    """
    if content.startswith(b"#!"):
        return "script"
    program = PeFile.from_bytes(content)
    if program is None:
        return None
    if is_trampoline(content, program):
        return "uv"
    return "distlib" if is_launcher(content, program) else "program"


def relocate_launcher(
    name: str, content: bytes, home: Home, entry_point: EntryPoint | None = None
) -> bytes | None:
    """Return a launcher that finds its own interpreter, or `None` to leave the file unchanged.

    Parameters:
        name: the file's, in the scripts folder.
        entry_point: the entry point that it is known to start, if any; its interpreter then counts
            as the environment's, whatever its path.
    """
    match kind_of(content):
        case "script":
            return _relocated_text(name, content, home, known=entry_point is not None)
        case "distlib":
            return relocated(content, home, known=entry_point is not None)
        case "uv":
            return relocated_trampoline(content, home)
    return None


def starts_python_script(content: bytes) -> re.Match[bytes] | None:
    """Match the head of a wheel's script that accepts any Python: `#!python` (PEP 427)."""
    return re.match(rb"#!(?P<name>pythonw?)(?P<options>[ \t][^\r\n]*)?\r?\n", content)


def entry_point_name(file_name: str) -> str:
    """Return the name of the entry point that a file of the scripts folder may start."""
    text = _SCRIPT.fullmatch(file_name)
    return text["name"] if text else re.sub(r"\.exe$", "", file_name, flags=re.IGNORECASE)


def _relocated_text(name: str, content: bytes, home: Home, *, known: bool) -> bytes | None:
    """Return a script with another first line.

    setuptools' launcher reads a path from it. Any other script is started by the `py` launcher,
    which searches PATH for `/usr/bin/env python`.
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
    return (
        f"{line}{command['options']}".encode("utf-8", "surrogateescape")
        + content[head.start("end") :]
    )


_OLD: Final = (b"UVSC", b"UVUV")
_MAGIC_SIZE: Final = 4
_KIND, _PATH, _SCRIPT_DATA = "UV_TRAMPOLINE_KIND", "UV_PYTHON_PATH", "UV_SCRIPT_DATA"
_IS_SCRIPT: Final = b"\x01"


def is_trampoline(content: bytes, program: PeFile) -> bool:
    """Return whether a program is a trampoline that starts a script."""
    return _trampoline_path(content, program) is not None or content.endswith(_OLD)


def _trampoline_path(content: bytes, program: PeFile) -> Resource | None:
    """Return the interpreter path's resource in a trampoline that starts a script, or `None`."""
    kind = program.resource(content, _KIND)
    if kind is None or content[kind.offset : kind.offset + kind.size] != _IS_SCRIPT:
        return None
    return program.resource(content, _PATH)


def relocated_trampoline(content: bytes, home: Home) -> bytes | None:
    """Return a trampoline with a relative interpreter, or `None` if it does not start Python."""
    program = PeFile.from_bytes(content)
    path = None if program is None else _trampoline_path(content, program)
    if program is None or path is None:
        return _relocated_old(content, home)
    python = _relative_python(content[path.offset : path.offset + path.size], home)
    if python is None or len(python) > path.size:
        return None
    changed = bytearray(content)
    changed[path.offset : path.offset + path.size] = python.ljust(path.size, b"\0")
    struct.pack_into("<I", changed, path.entry + 4, len(python))
    script = program.resource(content, _SCRIPT_DATA)
    if script is not None:
        place = slice(script.offset, script.offset + script.size)
        changed[place] = _without_path(content[place], python)
    return bytes(changed)


def _relocated_old(content: bytes, home: Home) -> bytes | None:
    end = len(content) - _MAGIC_SIZE - 4
    (size,) = struct.unpack_from("<I", content, end)
    if size > end:
        return None
    python = _relative_python(content[end - size : end], home)
    if python is None:
        return None
    program = PeFile.from_bytes(content)
    start = program.end if program is not None else 0
    archive = _without_path(content[start : end - size], python)
    return (
        content[:start] + archive + python + struct.pack("<I", len(python)) + content[-_MAGIC_SIZE:]
    )


def _relative_python(path: bytes, home: Home) -> bytes | None:
    command = python_command(path)
    if command is None or command["options"]:
        return None
    return home.beside(command["name"].lower()).encode()


def _without_path(archive: bytes, python: bytes) -> bytes:
    """Return uv's archive with another interpreter in the first line of its script.

    The length is unchanged, so all offsets stay valid; an archive that cannot be changed this way
    is left as it is.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as members:
            member = members.getinfo("__main__.py")
            body = members.read(member)
    except ZIP_DAMAGE:
        return archive
    head = SHEBANG.match(body)
    place = archive.find(body)
    if head is None or member.compress_type != zipfile.ZIP_STORED or place < 0:
        return archive
    line = b"#!" + python
    if len(line) > head.start("end"):
        return archive
    changed = line.ljust(head.start("end")) + body[head.start("end") :]
    old, new = (struct.pack("<I", zlib.crc32(each)) for each in (body, changed))
    before = archive[:place].replace(old, new)
    after = archive[place + len(body) :].replace(old, new)
    return before + changed + after
