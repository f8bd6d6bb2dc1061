"""macOS environments, detected from the tree itself, on whatever system this runs.

If the interpreter cannot be run, its facts are read from `pyvenv.cfg`, from the names in the tree
and from its Mach-O files. The layout is that of every POSIX system.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packaging.tags import mac_platforms

from ...metadata.files import read_text, walk
from ...model.errors import EnvironmentProblem
from ...model.interpreter import Interpreter
from .requirements import common_architectures, read_macho

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


_VERSION: Final = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}")
_COMMAND: Final = re.compile(r"-m venv (?:--\S+ )*(/.*)")
_ACTIVATED: Final = re.compile(r"""\bVIRTUAL_ENV=["']?(/[^"'\r\n]*)""")
_EXTENSION: Final = (".so", ".dylib")

# Locations of macOS interpreters only: python.org's and Xcode's, Homebrew's, a user's own.
_HOMES: Final = ("/Library/Frameworks/", "/Applications/", "/opt/homebrew/", "/Users/")
_NEWEST: Final = (26, 0)
FRAMEWORK: Final = "Python.framework/Versions/"


def is_macos(prefix: Path, config: Mapping[str, str]) -> bool:
    """Return whether a tree is for macOS, judging by its interpreter, home or extension modules.

    Parameters:
        config: the keys of its `pyvenv.cfg`.
    """
    python = prefix / "bin" / "python"
    if python.is_file():
        return read_macho(python) is not None
    home = config.get("home", "")
    return home.startswith(_HOMES) or FRAMEWORK in home or any(_extensions(prefix))


def interpreter_of(prefix: Path, config: Mapping[str, str], sites: Sequence[str]) -> Interpreter:
    """Return the known facts about an environment's interpreter without running it.

    Parameters:
        config: the keys of its `pyvenv.cfg`. `home` may be a folder of this machine, from which an
            interpreter can be bundled, or of another.
        sites: arcnames of the site-packages folders.

    Raises:
        EnvironmentProblem: if the version is not stated.
    """
    version = next(
        (
            match[0]
            for key in ("version", "version_info")  # by venv; by virtualenv and uv
            if (match := _VERSION.match(config.get(key, "")))
        ),
        None,
    )
    if version is None:
        raise EnvironmentProblem(
            f"{prefix / 'pyvenv.cfg'} does not state the Python version: remove the environment and"
            " create it again"
        )
    minor = ".".join(version.split(".")[:2])
    free = "t" if sites[0].split("/")[1].endswith("t") else ""
    executable = _executable(prefix, config, f"python{minor}{free}")
    base, machine = executable.parent.parent, _machine(prefix, executable)
    digits = minor.replace(".", "")
    return Interpreter(
        version=version,
        minor=minor,
        implementation=config.get("implementation", "cpython").lower(),
        abi=f"cp{digits}{free}",
        cache_tag=f"cpython-{digits}",
        pointer_bits=64,
        system="darwin",
        machine=machine,
        platform=f"macosx-11.0-{machine}",
        executable=executable,
        base_prefix=base,
        stdlib=base / "lib" / f"python{minor}{free}",
        platlibdir="lib",
        library=base / "lib" / f"libpython{minor}{free}.dylib",
        include=base / "include" / f"python{minor}{free}",
    )


def wheel_platforms(interpreter: Interpreter) -> list[str] | None:
    """Return the wheel platforms that a macOS environment accepts.

    `None` for other environments, and on a Mac. On another system only the newest macOS can be
    assumed: the archive's floor is exact.
    """
    if interpreter.system != "darwin" or sys.platform == "darwin":
        return None
    return list(mac_platforms(_NEWEST, _processor(interpreter)))


def markers(interpreter: Interpreter) -> dict[str, str]:
    """Return the environment markers (PEP 508) whose values are specific to macOS."""
    if interpreter.system != "darwin":
        return {}
    machine = _processor(interpreter)
    return {"os_name": "posix", "platform_system": "Darwin", "platform_machine": machine}


def _processor(interpreter: Interpreter) -> str:
    """Return the processor; for universal binaries, that of all new Macs."""
    return "arm64" if interpreter.machine == "universal2" else interpreter.machine


def prefix_aliases(prefix: Path, config: Mapping[str, str]) -> tuple[str, ...]:
    """Return the paths at which an environment was created on its Mac, from its own files."""
    told = [match[1] for match in [_COMMAND.search(config.get("command", ""))] if match]
    with suppress(OSError):
        told += _ACTIVATED.findall(read_text(prefix / "bin" / "activate") or "")
    return tuple(dict.fromkeys(path.rstrip("/ ") for path in told))


def _executable(prefix: Path, config: Mapping[str, str], name: str) -> Path:
    """Return the base interpreter: the link's target if it exists, or else from `pyvenv.cfg`."""
    python = prefix / "bin" / "python"
    if python.is_file() and not Path(os.path.realpath(python)).is_relative_to(prefix.resolve()):
        return Path(os.path.realpath(python))
    return Path(config.get("executable") or Path(config.get("home", "/"), name))


def _machine(prefix: Path, executable: Path) -> str:
    """Return the processor as `sysconfig` on macOS names it."""
    paths = [*filter(Path.is_file, (executable, prefix / "bin" / "python")), *_extensions(prefix)]
    common = common_architectures(file for path in paths if (file := read_macho(path)) is not None)
    return min(common) if len(common) == 1 else "universal2"


def _extensions(prefix: Path) -> Iterator[Path]:
    """Yield the Mach-O files with a library's file extension."""
    for folder, _, names in walk(prefix / "lib"):
        for name in sorted(names):
            path = Path(folder, name)
            if name.endswith(_EXTENSION) and read_macho(path) is not None:
                yield path
