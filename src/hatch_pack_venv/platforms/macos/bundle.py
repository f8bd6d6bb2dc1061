"""A bundled macOS interpreter: the same flat layout, without changing a byte of a Mach-O file.

An interpreter can be bundled if it finds its own libraries relative to itself, as those from
python-build-standalone (uv's) do. Framework builds and Homebrew's refer to their libraries by
absolute paths; changing those would break their signatures.
"""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...filesystem import copies_of
from ...model.entries import FileEntry
from ...model.errors import InterpreterProblem
from ...model.interpreter import Bundle
from ..posix.runtime import Runtime, bundled_config
from .detect import FRAMEWORK
from .requirements import read_macho

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ...binary.macho import MachO
    from ...model.entries import ScannedEntry
    from ...model.environment import Environment
    from ...model.interpreter import Interpreter, Trim


_OF_THE_SYSTEM: Final = ("/usr/lib/", "/System/")
_TCL: Final = ("tcl[0-9]*", "tk[0-9]*", "itcl*", "thread*")
_WAY_OUT: Final = (
    "create the environment with uv's interpreter (python-build-standalone), or set"
    ' interpreter = "target" and let the target provide Python'
)


def macos_bundle(
    environment: Environment,
    scanned: Sequence[ScannedEntry],
    trim: Trim,
    brings_back: Callable[[str], bool] | None = None,
) -> Bundle:
    """Collect everything a macOS environment's archive needs to include its own interpreter.

    Parameters:
        scanned: all entries of the environment.
        brings_back: whether a pattern brings back an arcname that `trim` leaves out.

    Raises:
        InterpreterProblem: if the base interpreter cannot be bundled; the message says why and what
            to do instead.
    """
    runtime = _MacosRuntime(environment, trim, brings_back)
    entries = [*runtime.entries(), *runtime.objects()]
    config = bundled_config(environment.interpreter.version, environment.prompt)
    libraries = [{"name": posixpath.basename(name)} for name in sorted(runtime.libraries)]
    return Bundle(
        scanned=tuple(scanned),
        entries=(*entries, FileEntry.from_bytes("pyvenv.cfg", config)),
        facts={
            "trim": trim.value,
            "package": None,
            "libraries": libraries,
            "left_to_the_target": {},
        },
        trimmed=tuple(runtime.trimmed),
    )


class _MacosRuntime(Runtime):
    """Collects the interpreter's Mach-O files and, recursively, the libraries they load."""

    def __init__(
        self,
        environment: Environment,
        trim: Trim,
        brings_back: Callable[[str], bool] | None = None,
    ) -> None:
        super().__init__(environment, trim, brings_back)
        self.files: dict[str, Path] = {}
        self.libraries: dict[str, Path] = {}
        _refuse_unsuitable(self.interpreter)
        self._add(f"bin/{self.interpreter.executable_name}", self.interpreter.executable)

    def add_binary(self, arcname: str, path: Path) -> None:
        """Add an extension module and the libraries it loads from the interpreter's own prefix."""
        self._add(arcname, path)

    def objects(self) -> Iterator[ScannedEntry]:
        """Yield the Mach-O files unchanged; they are known once `entries` is exhausted."""
        for arcname, path in {**self.files, **self.libraries}.items():
            yield from copies_of(path, arcname)
        lib = self.interpreter.base_prefix / "lib"
        if any(name.startswith("lib/libtcl") for name in self.libraries):
            for folder in (path for each in _TCL for path in sorted(lib.glob(each))):
                yield from copies_of(folder.resolve(), f"lib/{folder.name}")

    def _add(self, arcname: str, path: Path) -> None:
        file = read_macho(path)
        if file is None:
            raise _refusal(self.interpreter, f"{path} is not a Mach-O file")
        self.files[arcname] = path
        self._follow(path, file)

    def _follow(self, path: Path, file: MachO) -> None:
        """Add the libraries that a file loads from the interpreter's own prefix."""
        for load in file.loads:
            if load.name.startswith(_OF_THE_SYSTEM):
                continue
            found = self._found(load.name, path, file.rpaths)
            if found is None and load.weak:
                continue
            if found is None:
                raise _refusal(
                    self.interpreter,
                    f"{path} loads {load.name}, which is not at a path relative to it",
                )
            arcname = found.relative_to(self.interpreter.base_prefix).as_posix()
            if arcname not in self.libraries:
                self.libraries[arcname] = found
                library = read_macho(found)
                if library is not None:
                    self._follow(found, library)

    def _found(self, name: str, path: Path, rpaths: Sequence[str]) -> Path | None:
        """Return a library inside the prefix, found as dyld(1) does, or `None`."""
        names = [name]
        if name.startswith("@rpath/"):
            names = [f"{rpath}/{name.removeprefix('@rpath/')}" for rpath in rpaths]
        starts = {
            "@executable_path": self.interpreter.executable.parent,
            "@loader_path": path.parent,
        }
        for each in names:
            start, _, rest = each.partition("/")
            if start in starts:
                there = Path(os.path.normpath(starts[start] / rest))
                inside = there.is_relative_to(self.interpreter.base_prefix)
                if inside and there.is_file():
                    return there
        return None


def _refuse_unsuitable(facts: Interpreter) -> None:
    if not facts.executable.is_file() or not (facts.stdlib / "os.py").is_file():
        raise _refusal(facts, "it is not on this machine")
    if FRAMEWORK in f"{facts.base_prefix}/":
        raise _refusal(facts, "it is a framework build, whose files contain absolute paths")
    if facts.stdlib.name != facts.executable_name:
        name, wanted = facts.stdlib.name, facts.executable_name
        raise _refusal(facts, f"its standard library's folder is named {name}, not {wanted}")


def _refusal(facts: Interpreter, reason: str) -> InterpreterProblem:
    return InterpreterProblem(
        f"the base interpreter {facts.executable} cannot be bundled: {reason}; {_WAY_OUT}"
    )
