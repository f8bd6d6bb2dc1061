"""The launchers that uv writes on Windows: bytes to bytes.

Their resources are `UV_TRAMPOLINE_KIND` (1 is a script), `UV_PYTHON_PATH` and `UV_SCRIPT_DATA`, a
zip archive (uv's crate uv-trampoline-builder). Older ones are a stub, the archive, the path, its
length in four bytes, and `UVSC`, or `UVUV` before uv 0.4.30. A relative path is taken from the
trampoline's folder (uv-trampoline, bounce.rs), as `uv venv --relocatable` has it; measured under
Wine with the trampolines of uv 0.2.20, 0.2.30, 0.3.5, 0.5.0, 0.8.0 and 0.13.9.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Final

from .home import SHEBANG, Home, python_command
from .pe import PeFile

if TYPE_CHECKING:
    from .pe import Resource

_OLD: Final = (b"UVSC", b"UVUV")
_MAGIC_SIZE: Final = 4
_KIND, _PATH, _SCRIPT = "UV_TRAMPOLINE_KIND", "UV_PYTHON_PATH", "UV_SCRIPT_DATA"
_IS_SCRIPT: Final = b"\x01"


def is_trampoline(content: bytes, program: PeFile) -> bool:
    """Whether a program is a trampoline that starts a script."""
    return _path_of(content, program) is not None or content.endswith(_OLD)


def _path_of(content: bytes, program: PeFile) -> Resource | None:
    """Return where a trampoline that starts a script has its interpreter's path."""
    kind = program.resource(content, _KIND)
    if kind is None or content[kind.offset : kind.offset + kind.size] != _IS_SCRIPT:
        return None
    return program.resource(content, _PATH)


def relocated(content: bytes, home: Home) -> bytes | None:
    """Return a trampoline with a relative interpreter; `None` for what is none of Python's."""
    program = PeFile.from_bytes(content)
    path = None if program is None else _path_of(content, program)
    if program is None or path is None:
        return _relocated_old(content, home)
    python = _relative_python(content[path.offset : path.offset + path.size], home)
    if python is None or len(python) > path.size:
        return None
    changed = bytearray(content)
    changed[path.offset : path.offset + path.size] = python.ljust(path.size, b"\0")
    struct.pack_into("<I", changed, path.entry + 4, len(python))
    script = program.resource(content, _SCRIPT)
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

    Of the same length, so that all offsets stay; what cannot be changed so stays as it is.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as members:
            member = members.getinfo("__main__.py")
            body = members.read(member)
    except (zipfile.BadZipFile, KeyError):
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
