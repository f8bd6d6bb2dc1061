"""The bundled interpreter as entries.

The flat layout: the interpreter and its standard library lie in the same prefix as the
environment's packages, so that the interpreter finds them from its own place. Every kind of
CPython for Linux fits into it: its executable goes to `bin`, the libpython it may need to `lib`,
its standard library to `lib/python3.X`, wherever each of them is at home.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ..binaries.elf import ElfFile
from ..entries import FileEntry, SymlinkEntry
from ..errors import InterpreterProblem
from ..links import copies_of
from .standard_library import debian_path_file, knows_its_place, made_portable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..entries import ScannedEntry
    from ..environment import Environment
    from ..interpreter import Interpreter
    from .trim import Trim

LIBRARIES: Final = "lib"
"""Arcname of the folder that shared libraries lie in, libpython among them."""

_WAY_OUT: Final = (
    "make the environment with another interpreter (pyenv's, uv's or the system's), or set"
    ' interpreter = "target" and let the target provide Python'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """An executable or library of the interpreter, whose search path the bundle decides on."""

    arcname: str
    file: ElfFile


class Runtime:
    """The parts of one base interpreter.

    Raises:
        InterpreterProblem: it cannot be bundled.
    """

    def __init__(self, environment: Environment, trim: Trim) -> None:
        self.interpreter = environment.interpreter
        self.trim = trim
        self.modules: list[Module] = []
        _refuse_unsuitable(self.interpreter)
        self._libdir = _library_folder(environment)
        self.executable = self._module(
            f"bin/{self.interpreter.executable_name}", self.interpreter.executable
        )
        self.library = self._find_library()

    def _module(self, arcname: str, path: Path) -> Module:
        file = ElfFile.from_path(path)
        if file is None:
            raise _refusal(self.interpreter, f"{path} is no ELF file")
        module = Module(arcname=arcname, file=file)
        self.modules.append(module)
        return module

    def _find_library(self) -> Module | None:
        """Return the libpython that the executable runs from, if there is one."""
        names = [name for name in self.executable.file.needed if name.startswith("libpython")]
        if not names:
            return None
        base = self.interpreter.base_prefix
        candidates = [self.interpreter.library, base / "lib" / names[0], base / "lib64" / names[0]]
        for path in candidates:
            if path is not None and path.is_file():
                return self._module(f"{LIBRARIES}/{names[0]}", path.resolve())
        raise _refusal(self.interpreter, f"its {names[0]} was not found")

    @property
    def above(self) -> tuple[ElfFile, ...]:
        """What loads every extension module, innermost first."""
        library = () if self.library is None else (self.library.file,)
        return (*library, self.executable.file)

    def entries(self) -> Iterator[ScannedEntry]:
        """Yield all files but `modules`, which are known when this has ended."""
        facts = self.interpreter
        for alias in ("python", "python3"):
            yield SymlinkEntry(arcname=f"bin/{alias}", linkname=facts.executable_name)
        if self._libdir == "lib" and facts.platlibdir != "lib":
            yield SymlinkEntry(arcname=facts.platlibdir, linkname="lib")
        yield from self._folder(f"{self._libdir}/{facts.executable_name}", facts.stdlib)
        if facts.debian:
            name = "lib/python3/dist-packages/site-packages.pth"
            yield FileEntry.from_bytes(name, debian_path_file(facts))
        if self.trim.has_headers and facts.include is not None and facts.include.is_dir():
            yield from copies_of(facts.include, f"include/{facts.include.name}")
        yield from self._wheels()

    def _wheels(self) -> Iterator[ScannedEntry]:
        """Yield the wheels that a distribution's `ensurepip` has elsewhere (see sysconfig)."""
        folder = self.interpreter.wheel_folder
        base = self.interpreter.base_prefix
        has_installer = (self.interpreter.stdlib / "ensurepip").is_dir()
        if folder is None or not folder.is_relative_to(base) or not has_installer:
            return
        if not self.trim.leaves_out(self.interpreter.stdlib / "ensurepip", on_top=True):
            for wheel in sorted(folder.glob("*.whl")):
                name = f"{folder.relative_to(base).as_posix()}/{wheel.name}"
                yield from copies_of(wheel.resolve(), name)

    def _folder(self, arcname: str, folder: Path) -> Iterator[ScannedEntry]:
        on_top = folder == self.interpreter.stdlib
        for child in sorted(folder.iterdir()):
            name = f"{arcname}/{child.name}"
            if self.trim.leaves_out(child, on_top=on_top):
                continue
            if child.is_dir() and not child.is_symlink():
                yield from self._folder(name, child)
            elif child.exists():
                yield from self._files(name, child)

    def _files(self, arcname: str, path: Path) -> Iterator[ScannedEntry]:
        """Yield a file of the standard library, or what a link in it leads to."""
        real = path.resolve()
        if posixpath.basename(posixpath.dirname(arcname)) == "lib-dynload" and path.suffix == ".so":
            self._module(arcname, real)
            return
        name = path.relative_to(self.interpreter.stdlib).as_posix()
        for entry in copies_of(real, arcname):
            if isinstance(entry, FileEntry) and knows_its_place(name, self.interpreter):
                content = made_portable(name, real.read_bytes(), self.interpreter)
                yield replace(entry, content=content, size=len(content))
            else:
                yield entry


def _library_folder(environment: Environment) -> str:
    """Return the folder that the standard library goes to, as the interpreter searches for it.

    Fedora's looks into `lib64`, which is a link in the environments of most makers.
    """
    platlibdir = environment.interpreter.platlibdir
    real = any(site.startswith(f"{platlibdir}/") for site in environment.site_packages)
    return platlibdir if real else "lib"


def _refuse_unsuitable(facts: Interpreter) -> None:
    if facts.system != "linux":
        raise _refusal(facts, f"only those for Linux can, not those for {facts.system}")
    if not (facts.stdlib / "os.py").is_file():
        raise _refusal(facts, f"{facts.stdlib} does not hold its standard library's files")
    if facts.stdlib.name != facts.executable_name:
        raise _refusal(facts, f"its standard library's folder is named {facts.stdlib.name}")


def _refusal(facts: Interpreter, reason: str) -> InterpreterProblem:
    return InterpreterProblem(
        f"the base interpreter {facts.executable} cannot be bundled: {reason}; {_WAY_OUT}"
    )
