"""The standard library and `bin/python` of a bundled or fixed interpreter."""

from __future__ import annotations

import posixpath
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...filesystem import copies_of
from ...metadata.installed import installed_distributions
from ...metadata.path_files import foreign_paths
from ...model.entries import DirectoryEntry, FileEntry, SymlinkEntry
from ...model.interpreter import is_of_no_bundle
from .stdlib import knows_its_place, made_portable, site_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from ...model.distribution import InstalledDistribution
    from ...model.entries import Entry, ScannedEntry
    from ...model.environment import Environment
    from ...model.interpreter import Trim


def fixed_interpreter_entries(path: str, environment: Environment) -> tuple[Entry, ...]:
    """Return the entries that connect an environment, as `postinstall.py` does on the target."""
    name = environment.interpreter.executable_name
    scripts = environment.scripts
    return (
        SymlinkEntry(arcname=f"{scripts}/{name}", linkname=path),
        SymlinkEntry(arcname=f"{scripts}/python3", linkname=name),
        SymlinkEntry(arcname=f"{scripts}/python", linkname=name),
        FileEntry.from_bytes("pyvenv.cfg", fixed_interpreter_config(path, environment)),
    )


def bundled_config(version: str, prompt: str | None = None) -> bytes:
    """Return the `pyvenv.cfg` of a bundled interpreter.

    Without `home`, nothing in it depends on the location (measured on CPython 3.8 to 3.13); with
    the file, user site-packages are disabled. `relocatable` makes uv write relative launchers.

    Parameters:
        prompt: what activation scripts show instead of the folder's name.
    """
    return _pyvenv_cfg(
        {
            "include-system-site-packages": "false",
            "relocatable": "true",
            "version": version,
        },
        prompt,
    )


def fixed_interpreter_config(path: str, environment: Environment) -> bytes:
    """Return the `pyvenv.cfg` of an environment with a fixed interpreter on the target."""
    return _pyvenv_cfg(
        {
            "home": posixpath.dirname(path),
            "include-system-site-packages": str(environment.include_system_site_packages).lower(),
            "version": environment.interpreter.version,
            "executable": path,
        },
        environment.prompt,
    )


def _pyvenv_cfg(pairs: Mapping[str, str], prompt: str | None) -> bytes:
    """Return the text of a `pyvenv.cfg`; the prompt is quoted as venv quotes it."""
    quoted = {} if prompt is None else {"prompt": repr(prompt)}
    return "".join(f"{key} = {value}\n" for key, value in {**pairs, **quoted}.items()).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPackages:
    """What is packed from the base interpreter's packages."""

    entries: tuple[ScannedEntry, ...] = ()
    distributions: tuple[InstalledDistribution, ...] = ()
    notes: tuple[str, ...] = ()


def system_packages(
    environment: Environment,
    scanned: Sequence[ScannedEntry],
    foreign: Callable[[bytes, str], list[str]] = foreign_paths,
) -> SystemPackages:
    """Return the base's packages as entries of the environment's site-packages.

    Launchers and data outside site-packages are left out: the environment does not see them either.

    Parameters:
        scanned: the environment's entries, which take precedence.
        foreign: returns the outside folders that a `.pth` file adds to `sys.path`.
    """
    if not environment.include_system_site_packages:
        return SystemPackages()
    folders = [path for path in environment.interpreter.site_packages if path.is_dir()]
    gatherer = _Gatherer(environment, {entry.arcname for entry in scanned}, foreign)
    for folder in folders:
        gatherer.add(folder)
    return SystemPackages(
        entries=tuple(gatherer.entries),
        distributions=tuple(gatherer.distributions),
        notes=tuple(gatherer.notes),
    )


class _Gatherer:
    def __init__(
        self,
        environment: Environment,
        taken: Collection[str],
        foreign: Callable[[bytes, str], list[str]],
    ) -> None:
        self.site = environment.site_packages[0]
        self.foreign = foreign
        self.taken = set(taken)
        self.own = {distribution.key for distribution in environment.distributions}
        self.entries: list[ScannedEntry] = []
        self.distributions: list[InstalledDistribution] = []
        self.notes: list[str] = []

    def add(self, folder: Path) -> None:
        """Add those contents of a folder that `import` would find there."""
        installed = list(installed_distributions(folder.parent, (folder.name,)))
        new = [distribution for distribution in installed if distribution.key not in self.own]
        self.distributions += new
        replaced = {d.metadata_dir.rpartition("/")[2] for d in installed if d not in new}
        hidden = {name for name in self._folders() if self._is_package(name)} | replaced
        self.entries += [
            entry
            for entry in self._walk(folder)
            if entry.arcname not in self.taken and self._top(entry.arcname) not in hidden
        ]
        self.own |= {distribution.key for distribution in new}
        self.taken |= {entry.arcname for entry in self.entries}

    def _top(self, arcname: str) -> str:
        return arcname.removeprefix(f"{self.site}/").partition("/")[0]

    def _folders(self) -> set[str]:
        return {self._top(name) for name in self.taken if name.startswith(f"{self.site}/")}

    def _is_package(self, name: str) -> bool:
        """Return whether a name is taken entirely; namespace packages may have parts in both."""
        return f"{self.site}/{name}/__init__.py" in self.taken

    def _walk(self, folder: Path) -> Iterator[ScannedEntry]:
        for entry in copies_of(folder.resolve(), self.site):
            if isinstance(entry, DirectoryEntry) or "__pycache__" in entry.arcname.split("/"):
                continue
            if entry.arcname.endswith(".pth") and self._is_foreign(entry):
                self.notes.append(
                    f"{folder / entry.arcname.rpartition('/')[2]} was left out: it adds folders of"
                    " this machine to sys.path"
                )
                continue
            yield entry

    def _is_foreign(self, entry: ScannedEntry) -> bool:
        content = entry.content if isinstance(entry, FileEntry) else None
        return isinstance(content, str) and bool(
            self.foreign(Path(content).read_bytes(), self.site)
        )


class Runtime(ABC):
    """The parts of one base interpreter, in a bundle's flat layout.

    Parameters:
        brings_back: whether a pattern brings back an arcname that `trim` leaves out; `None` without
            patterns.
    """

    def __init__(
        self,
        environment: Environment,
        trim: Trim,
        brings_back: Callable[[str], bool] | None = None,
    ) -> None:
        self.interpreter = environment.interpreter
        self.trim = trim
        self.brings_back = brings_back
        self.trimmed: list[str] = []
        self._libdir = _library_folder(environment)

    @abstractmethod
    def add_binary(self, arcname: str, path: Path) -> None:
        """Add an extension module of the standard library, which each platform handles itself."""

    def entries(self) -> Iterator[ScannedEntry]:
        """Yield all files except binaries, which are passed to `add_binary`."""
        facts = self.interpreter
        for alias in ("python", "python3"):
            yield SymlinkEntry(arcname=f"bin/{alias}", linkname=facts.executable_name)
        if self._libdir == "lib" and facts.platlibdir != "lib":
            yield SymlinkEntry(arcname=facts.platlibdir, linkname="lib")
        library = f"{self._libdir}/{facts.executable_name}"
        yield from self._folder(library, facts.stdlib)
        yield from site_entries(facts, library)
        yield from self._headers()
        yield from self._wheels()

    def _headers(self) -> Iterator[ScannedEntry]:
        folder = self.interpreter.include
        if folder is None or not folder.is_dir():
            return
        if not self.trim.has_headers and self.brings_back is None:
            self.trimmed.append(f"include/{folder.name}")
        else:
            for entry in copies_of(folder, f"include/{folder.name}"):
                if self.trim.has_headers or self._is_brought_back(entry.arcname):
                    yield entry

    def _is_brought_back(self, arcname: str) -> bool:
        return self.brings_back is not None and self.brings_back(arcname)

    def _wheels(self) -> Iterator[ScannedEntry]:
        """Yield the wheels that `ensurepip` keeps elsewhere on some systems (see sysconfig)."""
        folder = self.interpreter.wheel_folder
        base = self.interpreter.base_prefix
        has_installer = (self.interpreter.stdlib / "ensurepip").is_dir()
        if folder is None or not folder.is_relative_to(base) or not has_installer:
            return
        if not self.trim.leaves_out(self.interpreter.stdlib / "ensurepip", on_top=True):
            for wheel in sorted(folder.glob("*.whl")):
                name = f"{folder.relative_to(base).as_posix()}/{wheel.name}"
                yield from copies_of(wheel.resolve(), name)

    def _folder(
        self, arcname: str, folder: Path, *, is_cut: bool = False
    ) -> Iterator[ScannedEntry]:
        """Yield the parts of a folder that are bundled.

        Parameters:
            is_cut: whether the folder is left out, except for what patterns bring back.
        """
        on_top = folder == self.interpreter.stdlib
        for child in sorted(folder.iterdir()):
            name = f"{arcname}/{child.name}"
            cut = is_cut or self.trim.cuts(child)
            if is_of_no_bundle(child, on_top=on_top):
                continue
            if cut and self.brings_back is None:
                self.trimmed.append(name)
            elif child.is_dir() and not child.is_symlink():
                yield from self._folder(name, child, is_cut=cut)
            elif cut and not self._is_brought_back(name):
                self.trimmed.append(name)
            elif child.exists():
                yield from self._files(name, child)

    def _files(self, arcname: str, path: Path) -> Iterator[ScannedEntry]:
        """Yield a file of the standard library, or the target of a link in it."""
        real = path.resolve()
        if posixpath.basename(posixpath.dirname(arcname)) == "lib-dynload" and path.suffix == ".so":
            self.add_binary(arcname, real)
            return
        name = path.relative_to(self.interpreter.stdlib).as_posix()
        for entry in copies_of(real, arcname):
            if isinstance(entry, FileEntry) and knows_its_place(name, self.interpreter):
                content = made_portable(name, real.read_bytes(), self.interpreter)
                yield replace(entry, content=content, size=len(content))
            else:
                yield entry


def _library_folder(environment: Environment) -> str:
    """Return the folder in which the interpreter searches for the standard library.

    Fedora's interpreter searches `lib64`, which most environment creators make a link.
    """
    platlibdir = environment.interpreter.platlibdir
    real = any(site.startswith(f"{platlibdir}/") for site in environment.site_packages)
    return platlibdir if real else "lib"
