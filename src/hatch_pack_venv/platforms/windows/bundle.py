"""A Windows bundle's interpreter as entries.

CPython for Windows looks for `Lib` and `DLLs` next to its `python.exe`, so a bundle has the layout
of an installation: the interpreter and its libraries in the root, the environment's packages in
`Lib/site-packages`. python.org's installer, its NuGet packages and python-build-standalone all use
this layout ("Using Python on Windows"; PC/layout of CPython).

There is no `pyvenv.cfg`: `site` takes the folder *above* one next to the interpreter as the prefix
(Lib/site.py, `venv`). User site-packages, which such a file would also disable and which precede
the archive's on `sys.path`, are removed again by a `.pth` file.
"""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING, Any, Final

from ...filesystem import copies_of
from ...model.entries import FileEntry, UnsupportedEntry
from ...model.errors import InterpreterProblem
from ...model.interpreter import Bundle, Trim, is_of_no_bundle
from ..posix.runtime import system_packages
from .detect import PYTHON
from .rewriter import foreign_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ...model.entries import ScannedEntry
    from ...model.environment import Environment
    from ...model.interpreter import Interpreter


# The interpreter, its libraries and the runtime libraries of its compiler.
_ROOT: Final = re.compile(
    r"pythonw?(?:3\.\d+t?)?\.exe|python3\d*t?\.dll|(?:vcruntime|msvcp|concrt)140\w*\.dll"
    r"|(?:api-ms-win-[\w-]+|ucrtbase|libffi-\d+|libcrypto-[\w-]+|libssl-[\w-]+|sqlite3|zlib1?)\.dll",
    re.IGNORECASE,
)

# Among those, the files of a free-threaded build, and of a regular one that may be next to it.
_FREE: Final = re.compile(r"pythonw?3\.\d+t\.exe|python3\d*t\.dll", re.IGNORECASE)
_PLAIN: Final = re.compile(r"pythonw?\.exe|python3\d*\.dll", re.IGNORECASE)
_TAG: Final = re.compile(r"\.cp3\d+(?P<free>t?)-\w+\.pyd", re.IGNORECASE)
_LICENCE: Final = re.compile(r"LICENSE(?:\.txt)?", re.IGNORECASE)
_FOLDERS: Final = {"dlls": "DLLs", "lib": "Lib", "tcl": "tcl"}
_DEVELOPMENT: Final = {"include": "Include", "libs": "libs"}
_TK: Final = ("tcl*.dll", "tk*.dll")  # next to _tkinter.pyd

# The name sorts before those of other path files, which may import what they need.
_NO_USER_SITE: Final = "000-pack-venv.pth"
_LEAVE_USER_SITE: Final = b"""\
import site, sys; site.USER_SITE in sys.path and sys.path.remove(site.USER_SITE); \
site.ENABLE_USER_SITE = False
"""
_LICENCES: Final = "share/licenses/python"
_WAY_OUT: Final = (
    'pack on a machine where it is installed, or set interpreter = "target" and let the target'
    " provide Python"
)


def windows_bundle(
    environment: Environment,
    scanned: Sequence[ScannedEntry],
    *,
    packed: Sequence[ScannedEntry],
    trim: Trim = Trim.DEFAULT,
    brings_back: Callable[[str], bool] | None = None,
) -> Bundle:
    """Collect everything a Windows environment's archive needs to include its own interpreter.

    Parameters:
        scanned: all entries of the environment.
        packed: its packed entries, and those of the wheels overlaid on it.
        brings_back: whether a pattern brings back an arcname that `trim` leaves out.

    Raises:
        InterpreterProblem: if the base interpreter cannot be bundled.
    """
    base = environment.interpreter.base_prefix
    if base == environment.prefix:
        raise InterpreterProblem(
            f"{environment.requested} already contains its own interpreter: pack the environment"
            " that it was made from"
        )
    _refuse_unsuitable(environment)
    runtime = _Runtime(environment.interpreter, trim, brings_back)
    system = system_packages(environment, packed, foreign_paths)
    return Bundle(
        scanned=tuple(scanned),
        entries=(*runtime.entries(), *system.entries, *_settings(environment)),
        facts=_facts(trim),
        distributions=system.distributions,
        notes=system.notes,
    )


def _facts(trim: Trim) -> dict[str, Any]:
    """Return the keys that a bundle's facts have on every system."""
    return {"trim": trim.value, "package": None, "libraries": [], "left_to_the_target": {}}


def _settings(environment: Environment) -> list[FileEntry]:
    """Return the entries that disable user site-packages, as in any virtual environment."""
    if environment.include_system_site_packages:
        return []
    name = f"{environment.site_packages[0]}/{_NO_USER_SITE}"
    return [FileEntry.from_bytes(name, _LEAVE_USER_SITE)]


class _Runtime:
    def __init__(
        self, interpreter: Interpreter, trim: Trim, brings_back: Callable[[str], bool] | None
    ) -> None:
        self.base = interpreter.base_prefix
        self.trim = trim
        self.brings_back = brings_back
        self.free = interpreter.free_threaded
        self.has_own_name = self.free and any(self.base.glob("python3.*t.exe"))

    def entries(self) -> Iterator[ScannedEntry]:
        """Yield the root's files, then the folders."""
        known = _FOLDERS | _DEVELOPMENT
        cut = set() if self.trim.has_headers else set(_DEVELOPMENT)
        cut |= {"tcl"} if self.trim.is_minimal else set()
        for child in sorted(self.base.iterdir()):
            folder = known.get(child.name.lower())
            if folder is not None and child.is_dir():
                yield from self._folder(folder, child, is_cut=folder.lower() in cut)
            elif child.is_file() and _ROOT.fullmatch(child.name):
                for name in self._root_names(child.name):
                    yield from copies_of(child.resolve(), name)
            elif child.is_file() and _LICENCE.fullmatch(child.name):
                yield from copies_of(child.resolve(), f"{_LICENCES}/{child.name}")

    def _folder(self, arcname: str, folder: Path, *, is_cut: bool) -> Iterator[ScannedEntry]:
        for child in sorted(folder.iterdir()):
            name = f"{arcname}/{child.name}"
            cut = is_cut or self.trim.cuts(child) or self._is_of_tk(arcname, child)
            if is_of_no_bundle(child, on_top=arcname == "Lib") or (cut and not self.brings_back):
                continue
            if arcname == "DLLs" and self._is_of_other_build(child):
                continue
            if child.is_dir():
                yield from self._folder(name, child, is_cut=cut)
            elif cut and not (self.brings_back and self.brings_back(name)):
                continue
            elif child.exists():
                yield from copies_of(child.resolve(), name)
            else:
                yield UnsupportedEntry(arcname=name, reason=f"is a dangling link ({child})")

    def _root_names(self, name: str) -> tuple[str, ...]:
        """Return a root file's names in the bundle: `python.exe` is what gets started.

        python.org's installer puts a free-threaded build next to the regular one, with a `t` in the
        names of its files.
        """
        if _FREE.fullmatch(name):
            own = (name, re.sub(r"3\.\d+t", "", name)) if name.lower().endswith(".exe") else (name,)
            return own if self.free else ()
        return () if self.has_own_name and _PLAIN.fullmatch(name) else (name,)

    def _is_of_other_build(self, child: Path) -> bool:
        """Return whether an extension module is for the other of two builds that share a folder."""
        tag = _TAG.search(child.name)
        if tag is not None:
            return bool(tag["free"]) != self.free
        stem = child.name.partition(".")[0]
        return self.free and any(child.parent.glob(f"{stem}.cp3*t-*.pyd"))

    def _is_of_tk(self, arcname: str, child: Path) -> bool:
        """Return whether a library is only used by tkinter, which a minimal bundle leaves out."""
        wanted = not self.trim.is_minimal or arcname != "DLLs"
        return not wanted and any(fnmatch.fnmatch(child.name.lower(), each) for each in _TK)


def _refuse_unsuitable(environment: Environment) -> None:
    facts = environment.interpreter
    if not facts.executable.is_file():
        raise InterpreterProblem(
            f"the base interpreter {environment.config.get('home', '')} of"
            f" {environment.requested} is not on this machine: {_WAY_OUT}"
        )
    if not (facts.stdlib / "os.py").is_file():
        raise InterpreterProblem(
            f"the base interpreter {facts.executable} cannot be bundled: {facts.stdlib} does not"
            " contain its standard library (an embeddable package has it in a zip file):"
            " create the environment with an installed Python, from python.org or uv"
        )
    digits = facts.abi.removeprefix("cp")
    if not (facts.base_prefix / f"python{digits}.dll").is_file():
        raise InterpreterProblem(
            f"the base interpreter {facts.executable} cannot be bundled: there is no"
            f" python{digits}.dll next to {PYTHON}; {_WAY_OUT}"
        )
