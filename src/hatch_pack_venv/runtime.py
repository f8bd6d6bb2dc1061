"""The bundled interpreter as entries.

The flat layout: the interpreter and its standard library lie in the same prefix as the
environment's packages, so that the interpreter finds them from its own place. Built today from
CPythons that were compiled with `--enable-shared` and a search path to their own `lib` (pyenv's
kind); all others are refused.
"""

from __future__ import annotations

import fnmatch
import posixpath
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .elf import ElfFile
from .entries import FileEntry, PatchedFile, SymlinkEntry, UnsupportedEntry
from .errors import InterpreterProblem
from .links import copies_of
from .metadata import bundled_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .entries import ScannedEntry
    from .environment import Environment
    from .interpreter import Interpreter

_WAY_OUT: Final = (
    'make the environment with a CPython built with --enable-shared (pyenv: PYTHON_CONFIGURE_OPTS="'
    '--enable-shared"), or set interpreter = "target" and let the target provide Python'
)

# Of the standard library, what a running application never needs (sizes: relocation facts, Q2).
_FOLDERS_LEFT_OUT: Final = {
    "__pycache__",
    "dist-packages",
    "idle_test",
    "idlelib",
    "site-packages",
    "test",
    "tests",
    "turtledemo",
}
_FILES_LEFT_OUT: Final = (
    "EXTERNALLY-MANAGED",
    "_ctypes_test*.so",
    "_test*.so",
    "_xxtestfuzz*.so",
    "xxlimited*.so",
    "*.a",
)

_PREFIX_WORD: Final = "@base_prefix@"

# What the build recorded as absolute paths (`prefix`, `LIBDIR`, …) follows the prefix.
_SYSCONFIG_SUFFIX: Final = """

def _relocate(names):
    import sys
    for name, value in names.items():
        if isinstance(value, str):
            names[name] = value.replace({word!r}, sys.base_prefix)


_relocate(build_time_vars)
"""


class Runtime:
    """The entries of one base interpreter.

    Raises:
        InterpreterProblem: it is of a kind that cannot be bundled.
    """

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter
        self.base = interpreter.base_prefix
        self.library = self._find_library()

    def _find_library(self) -> Path:
        """Return the shared library of an interpreter that can be bundled."""
        facts = self.interpreter
        elf = ElfFile.from_path(facts.executable)
        if elf is None:
            raise self._refusal("it is no ELF executable")
        names = [name for name in elf.needed if name.startswith("libpython")]
        if not names:
            raise self._refusal("it was built without --enable-shared")
        library = self.base / "lib" / names[0]
        if elf.search_path is None or not library.is_file():
            raise self._refusal(f"it has no search path to {names[0]} below its own prefix")
        if facts.stdlib != self.base / "lib" / facts.executable_name:
            raise self._refusal(f"its standard library lies in {facts.stdlib}")
        return library

    def _refusal(self, reason: str) -> InterpreterProblem:
        return InterpreterProblem(
            f"the base interpreter {self.interpreter.executable} cannot be bundled yet, {reason}:"
            f" {_WAY_OUT}"
        )

    def entries(self) -> Iterator[ScannedEntry]:
        """Yield the interpreter, its names, its library and its standard library."""
        name = self.interpreter.executable_name
        yield self._relocated(f"bin/{name}", self.interpreter.executable)
        for alias in ("python", "python3"):
            yield SymlinkEntry(arcname=f"bin/{alias}", linkname=name)
        yield self._relocated(f"lib/{self.library.name}", self.library.resolve())
        for entry in self._folder(f"lib/{name}", self.interpreter.stdlib):
            yield self._with_own_prefix(entry)

    def _folder(self, arcname: str, folder: Path) -> Iterator[ScannedEntry]:
        for child in sorted(folder.iterdir()):
            name = f"{arcname}/{child.name}"
            if _is_left_out(child):
                continue
            if child.is_dir() and not child.is_symlink():
                yield from self._folder(name, child)
            elif child.exists():
                yield from copies_of(child.resolve(), name)

    def _with_own_prefix(self, entry: ScannedEntry) -> ScannedEntry:
        if not isinstance(entry, FileEntry) or not isinstance(entry.content, Path):
            return entry
        folder, name = posixpath.split(entry.arcname)
        if name.endswith(".so") and folder.endswith("lib-dynload"):
            return self._relocated(entry.arcname, entry.content)
        if fnmatch.fnmatch(name, "_sysconfigdata_*.py"):
            suffix = _SYSCONFIG_SUFFIX.format(word=_PREFIX_WORD).encode()
            content = entry.content.read_bytes()
            content = content.replace(str(self.base).encode(), _PREFIX_WORD.encode()) + suffix
            return FileEntry.from_bytes(entry.arcname, content, mtime=entry.mtime)
        return entry

    def _relocated(self, arcname: str, path: Path) -> ScannedEntry:
        """Return a file of the interpreter whose search path begins at its own place."""
        elf = ElfFile.from_path(path)
        if elf is None:
            return UnsupportedEntry(arcname=arcname, reason=f"is no ELF file ({path})")
        status = path.stat()
        content: Path | PatchedFile = path
        if elf.search_path is not None:
            here = posixpath.dirname(arcname)
            folders = tuple(self._relative(folder, here) for folder in elf.search_path.folders)
            if folders != elf.search_path.folders:
                content = PatchedFile(path=path, patches=elf.with_search_path(folders))
        return FileEntry(
            arcname=arcname,
            content=content,
            size=status.st_size,
            executable=bool(status.st_mode & stat.S_IXUSR),
            mtime=int(status.st_mtime),
        )

    def _relative(self, folder: str, here: str) -> str:
        path = Path(folder)
        if not path.is_absolute() or not path.resolve().is_relative_to(self.base):
            return folder
        inside = path.resolve().relative_to(self.base).as_posix()
        relative = posixpath.relpath(inside, here)
        return "$ORIGIN" if relative == "." else f"$ORIGIN/{relative}"


def _is_left_out(path: Path) -> bool:
    if path.is_dir():
        return path.name in _FOLDERS_LEFT_OUT or path.name.startswith("config-")
    return any(fnmatch.fnmatch(path.name, pattern) for pattern in _FILES_LEFT_OUT)


def runtime_entries(environment: Environment) -> list[ScannedEntry]:
    """Return the entries that make an environment's archive bring its own interpreter.

    Raises:
        InterpreterProblem: the base interpreter cannot be bundled; the message says why and what
            to do instead.
    """
    interpreter = environment.interpreter
    if interpreter.base_prefix == environment.prefix:
        raise InterpreterProblem(
            f"{environment.given} brings its own interpreter already: pack the environment it was"
            " made from"
        )
    if environment.include_system_site_packages:
        raise InterpreterProblem(
            f"{environment.given} sees the packages of its base interpreter"
            " (include-system-site-packages = true in pyvenv.cfg), which are not bundled yet:"
            ' create it without --system-site-packages, or set interpreter = "target"'
        )
    config = bundled_config(interpreter.version, environment.prompt)
    return [*Runtime(interpreter).entries(), FileEntry.from_bytes("pyvenv.cfg", config)]
