"""Windows environments, detected from the tree itself, on whatever system this runs.

If the interpreter cannot be run, its facts are read from `pyvenv.cfg`, from the names in the tree
and from the headers of `python.exe`.
"""

from __future__ import annotations

import re
from os.path import isfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...binary.pe import PeFile
from ...metadata.files import open_file, read_text
from ...model.errors import EnvironmentProblem
from ...model.interpreter import Interpreter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


SCRIPTS: Final = "Scripts"
SITE_PACKAGES: Final = "Lib/site-packages"
PYTHON: Final = "python.exe"
_FOLDERS: Final = {"include": "Include", "lib": "Lib", "scripts": SCRIPTS}
_AGAIN: Final = "remove it and create it again"
_VERSION: Final = re.compile(r"(\d{1,3}\.\d{1,3})\.\d{1,3}")
_PLATFORMS: Final = {"win32": "win32", "amd64": "win-amd64", "arm64": "win-arm64"}
_ABSOLUTE: Final = r"(?:[A-Za-z]:[\\/]|\\\\)"

# activate.bat of venv, virtualenv and uv, and activate for a POSIX shell on Windows.
_ACTIVATED: Final = re.compile(rf"""\bVIRTUAL_ENV=["']?({_ABSOLUTE}[^"'\r\n]*)""")
_COMMAND: Final = re.compile(rf"-m venv (?:--\S+ )*({_ABSOLUTE}.*)")


def is_windows(prefix: Path) -> bool:
    """Return whether a tree has the Windows layout: `Scripts` with an interpreter, or no `bin`."""
    scripts = prefix / SCRIPTS
    if (scripts / PYTHON).is_file():
        return True
    return scripts.is_dir() and not (prefix / "bin").exists()


def as_there(arcname: str) -> str:
    """Spell a file's top-level folder as environments do: Windows puts `lib/x` into `Lib`."""
    top, slash, rest = arcname.partition("/")
    return f"{_FOLDERS.get(top.lower(), top)}{slash}{rest}" if slash else arcname


def check_whole(prefix: Path) -> None:
    """Reject a tree that lacks what every environment has.

    Raises:
        EnvironmentProblem: if it has no interpreter or no site-packages.
    """
    if not (prefix / SITE_PACKAGES).is_dir():
        raise EnvironmentProblem(f"{prefix} is incomplete (it has no {SITE_PACKAGES}): {_AGAIN}")
    if not (prefix / SCRIPTS / PYTHON).is_file():
        raise EnvironmentProblem(f"{prefix} is incomplete (it has no {SCRIPTS}/{PYTHON}): {_AGAIN}")


def interpreter_of(prefix: Path, config: Mapping[str, str]) -> Interpreter:
    """Return the known facts about an environment's interpreter without running it.

    Parameters:
        config: the keys of its `pyvenv.cfg`. `home` may be a folder of this machine, from which an
            interpreter can be bundled, or of another.

    Raises:
        EnvironmentProblem: if the version is missing, `python.exe` is not a Windows program, or it
            is not CPython 3.9 or later.
    """
    python = prefix / SCRIPTS / PYTHON
    version = _version(prefix, config)
    minor = ".".join(version.split(".")[:2])
    base = Path(config.get("home", ""))
    machine = _machine(python)
    digits = minor.replace(".", "")
    # Shown by a file that venv and virtualenv add, or else by the base's only library.
    libraries = {name for name in (digits, f"{digits}t") if isfile(base / f"python{name}.dll")}
    free = isfile(prefix / SCRIPTS / f"python{minor}t.exe") or libraries == {f"{digits}t"}
    interpreter = Interpreter(
        version=version,
        minor=minor,
        implementation=config.get("implementation", "cpython").lower(),
        abi=f"cp{digits}{'t' if free else ''}",
        cache_tag=f"cpython-{digits}",
        pointer_bits=32 if machine == "win32" else 64,
        system="win32",
        machine=machine,
        platform=_PLATFORMS[machine],
        executable=base / PYTHON,
        base_prefix=base,
        stdlib=base / "Lib",
        platlibdir="DLLs",
        site_packages=(base / "Lib" / "site-packages",),
    )
    interpreter.check_supported(python)
    return interpreter


def prefix_aliases(prefix: Path, config: Mapping[str, str]) -> tuple[str, ...]:
    """Return the paths at which an environment was created, according to its own files."""
    return tuple(dict.fromkeys(_told_paths(prefix, config)))


def _told_paths(prefix: Path, config: Mapping[str, str]) -> Iterator[str]:
    command = _COMMAND.search(config.get("command", ""))
    if command:
        yield command[1].strip()
    for name in ("activate.bat", "activate"):
        try:
            text = read_text(prefix / SCRIPTS / name) or ""
        except OSError:
            continue
        yield from (match[1].rstrip("\\/ ") for match in _ACTIVATED.finditer(text))


def _version(prefix: Path, config: Mapping[str, str]) -> str:
    """Return X.Y.Z: `version` from venv, `version_info` from virtualenv and uv."""
    for key in ("version", "version_info"):
        match = _VERSION.match(config.get(key, ""))
        if match:
            return match[0]
    raise EnvironmentProblem(f"{prefix / 'pyvenv.cfg'} does not state the Python version: {_AGAIN}")


def _machine(python: Path) -> str:
    try:
        with open_file(python) as stream:
            program = PeFile.from_stream(stream)
    except OSError as error:
        raise EnvironmentProblem(f"{python} cannot be read: {error.strerror}") from error
    if program is None or program.machine not in _PLATFORMS:
        what = "not a Windows program" if program is None else f"for the machine {program.machine}"
        raise EnvironmentProblem(
            f"{python} is {what}; a program for x86, AMD64 or ARM64 was expected: {_AGAIN}"
        )
    return program.machine
