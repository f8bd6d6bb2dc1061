"""A Linux bundle's interpreter, with the libraries, licences and settings that it needs.

The flat layout: the interpreter and its standard library share a prefix with the environment's
packages, so the interpreter finds them relative to itself. Every kind of CPython for Linux fits
this layout: its executable goes to `bin`, its libpython, if any, to `lib`, and its standard library
to `lib/python3.X`, wherever each of them is installed.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from ...binary.elf import ElfFile
from ...binary.headers import HeaderReader
from ...binary.patch import patched_file
from ...binary.strip import has_appended_data, stripped
from ...filesystem import copies_of
from ...injected import newer_libraries
from ...metadata.files import read_text
from ...model.components import LICENCES
from ...model.entries import FileEntry
from ...model.errors import InterpreterProblem
from ...model.interpreter import Bundle, Trim, Vendoring, is_copyleft
from ..posix.runtime import Runtime, bundled_config, system_packages
from .libraries import (
    Libraries,
    collect_libraries,
    data_left_behind,
    packed_file,
    tcl_scripts,
)
from .owners import find_owners
from .search_paths import relinked, with_more_folders

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from ...model.entries import ScannedEntry
    from ...model.environment import Environment
    from ...model.interpreter import Interpreter
    from .owners import Owner


LIBRARIES: Final = "lib"
"""Arcname of the folder for shared libraries, including libpython."""
_WAY_OUT: Final = (
    "create the environment with another interpreter (pyenv's, uv's or the system's), or set"
    ' interpreter = "target" and let the target provide Python'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """An executable or library of the interpreter, whose search path is set by the bundle."""

    arcname: str
    file: ElfFile


class LinuxRuntime(Runtime):
    """The parts of one base interpreter; ELF files wait in `modules` for their search path.

    Raises:
        InterpreterProblem: if it cannot be bundled.
    """

    def __init__(
        self,
        environment: Environment,
        trim: Trim,
        brings_back: Callable[[str], bool] | None = None,
    ) -> None:
        super().__init__(environment, trim, brings_back)
        self.modules: list[Module] = []
        _refuse_unsuitable(self.interpreter)
        self.executable = self._module(
            f"bin/{self.interpreter.executable_name}", self.interpreter.executable
        )
        self.library = self._find_library()

    def add_binary(self, arcname: str, path: Path) -> None:
        """Add an extension module; its search path is set once all modules are known."""
        self._module(arcname, path)

    def _module(self, arcname: str, path: Path) -> Module:
        file = ElfFile.from_path(path)
        if file is None:
            raise _refusal(self.interpreter, f"{path} is not an ELF file")
        module = Module(arcname=arcname, file=file)
        self.modules.append(module)
        return module

    def _find_library(self) -> Module | None:
        """Return the libpython that the executable loads, or `None`."""
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
        """The files that load every extension module, innermost first."""
        library = () if self.library is None else (self.library.file,)
        return (*library, self.executable.file)


def _refuse_unsuitable(facts: Interpreter) -> None:
    if facts.system != "linux":
        reason = f"it is for {facts.system}, and only interpreters for Linux can be bundled"
        raise _refusal(facts, reason)
    if not (facts.stdlib / "os.py").is_file():
        raise _refusal(facts, f"{facts.stdlib} does not contain its standard library")
    if facts.stdlib.name != facts.executable_name:
        name, wanted = facts.stdlib.name, facts.executable_name
        raise _refusal(facts, f"its standard library's folder is named {name}, not {wanted}")


def _refusal(facts: Interpreter, reason: str) -> InterpreterProblem:
    return InterpreterProblem(
        f"the base interpreter {facts.executable} cannot be bundled: {reason}; {_WAY_OUT}"
    )


_CHOICE: Final = "_pack_venv_libraries"
"""The module and the `.pth` file that calls it; the name sorts before those of packages."""


def make_bundle(
    environment: Environment,
    scanned: Sequence[ScannedEntry],
    *,
    packed: Sequence[ScannedEntry],
    trim: Trim = Trim.DEFAULT,
    vendoring: Vendoring | None = None,
    headers: HeaderReader | None = None,
    brings_back: Callable[[str], bool] | None = None,
) -> Bundle:
    """Collect everything an environment's archive needs to include its own interpreter.

    Parameters:
        scanned: all entries of the environment.
        packed: its packed entries, and those of the wheels overlaid on it.
        headers: the reader of binary headers, with what it has cached.
        brings_back: whether a pattern brings back an arcname that `trim` leaves out.

    Raises:
        InterpreterProblem: if the base interpreter cannot be bundled; the message says why and what
            to do instead.
    """
    if environment.interpreter.base_prefix == environment.prefix and not environment.bare:
        raise InterpreterProblem(
            f"{environment.requested} already contains its own interpreter: pack the environment"
            " that it was made from"
        )
    runtime = LinuxRuntime(environment, trim, brings_back)
    bundler = _Bundler(runtime, environment, packed, vendoring or Vendoring(), headers)
    return bundler.bundle(scanned)


class _Bundler:
    def __init__(
        self,
        runtime: LinuxRuntime,
        environment: Environment,
        packed: Sequence[ScannedEntry],
        vendoring: Vendoring,
        headers: HeaderReader | None,
    ) -> None:
        self.environment = environment
        self.trim = runtime.trim
        self.vendoring = vendoring
        self.headers = headers or HeaderReader()
        self.runtime = runtime
        self.entries = [*self.runtime.entries()]
        self.system = system_packages(environment, packed)
        self.notes = [*self.system.notes]
        candidates = [*packed, *self.system.entries]
        files = ((entry.arcname, self._elf_file(entry)) for entry in candidates)
        self.packed = {arcname: file for arcname, file in files if file is not None}
        self.names = [entry.arcname for entry in candidates]

    def bundle(self, scanned: Sequence[ScannedEntry]) -> Bundle:
        """Assemble the bundle."""
        libraries = self._libraries()
        self.entries += self._modules(libraries)
        self.entries += self._vendored(libraries)
        self.entries += tcl_scripts(libraries.found)
        self.entries += self._choice(libraries)
        paths = [file.path.resolve() for file in libraries.found.values()]
        owners = find_owners(
            [*paths, self.runtime.executable.file.path],
            prefix=self.environment.interpreter.base_prefix,
        )
        self.entries += _licences(owners)
        config = bundled_config(self.environment.interpreter.version, self.environment.prompt)
        self.entries.append(FileEntry.from_bytes("pyvenv.cfg", config))
        left = {**libraries.left}
        gpl = {name: left.pop(name) for name in libraries.left if is_copyleft(name)}
        self.notes += describe_drivers(left)
        self.notes += describe_missing(libraries, self.environment)
        self.notes += self._data_to_copy(libraries)
        served = {name for name, file in self.packed.items() if _hides(file, libraries)}
        served |= {name for name in self.packed if self._is_served_program(name, libraries)}
        adapted = [self._adapted(entry, served) for entry in scanned] if served else scanned
        self.entries += [self._adapted(entry, served) for entry in self.system.entries]
        return Bundle(
            scanned=tuple(adapted),
            entries=tuple(self.entries),
            facts=self._facts(libraries, owners),
            distributions=self.system.distributions,
            notes=tuple(self.notes),
            remarks=tuple(_left_to_the_target(gpl)),
            trimmed=tuple(self.runtime.trimmed),
        )

    def _elf_file(self, entry: ScannedEntry) -> ElfFile | None:
        """Return an entry as an ELF file at its path in the environment, or `None` if not ELF."""
        if isinstance(entry, FileEntry) and self.headers.is_damaged(entry):
            path = self.environment.prefix / entry.arcname
            raise InterpreterProblem(f"{path} is a damaged ELF file")
        return packed_file(entry, self.environment, self.headers)

    def _libraries(self) -> Libraries:
        if not self.vendoring.wanted:
            return Libraries()
        own = [(module.arcname, module.file) for module in self.runtime.modules]
        return collect_libraries(
            [*own, *self.packed.items()],
            above=self.runtime.above,
            prefix=self.environment.prefix,
            asked_for=self.vendoring.copyleft,
        )

    def _modules(self, libraries: Libraries) -> Iterator[ScannedEntry]:
        """Yield the interpreter's own programs and libraries, with `lib` as their search path."""
        groups: dict[tuple[str, ...], list[Module]] = defaultdict(list)
        for module in self.runtime.modules:
            groups[self._folders(module, libraries)].append(module)
        for folders, modules in groups.items():
            files = [module.file for module in modules]
            if folders:
                contents = relinked(files, folders, strip=self.trim.strips)
            else:
                contents = [file.path.read_bytes() for file in files]
                if self.trim.strips:
                    contents = [stripped(content) for content in contents]
            for module, content in zip(modules, contents, strict=True):
                yield _library_entry(module.arcname, module.file.path, content)

    def _folders(self, module: Module, libraries: Libraries) -> tuple[str, ...]:
        """Return the search path that a module should have; empty for none."""
        if module is self.runtime.executable:
            # Also for libraries it does not need itself: packages' modules often have no search
            # path.
            needs = self.runtime.library is not None or bool(libraries.found)
        else:
            needs = libraries.serve(module.file) or bool(module.file.folders)
        here = posixpath.dirname(module.arcname)
        relative = posixpath.relpath(LIBRARIES, here)
        return ("$ORIGIN" if relative == "." else f"$ORIGIN/{relative}",) if needs else ()

    def _vendored(self, libraries: Libraries) -> Iterator[ScannedEntry]:
        files = list(libraries.found.values())
        contents = relinked(files, ("$ORIGIN",), strip=self.trim.strips)
        for (name, file), content in zip(libraries.found.items(), contents, strict=True):
            yield _library_entry(f"{LIBRARIES}/{name}", file.path, content)

    def _data_to_copy(self, libraries: Libraries) -> Iterator[str]:
        """Yield a note for each library whose data is not packed.

        Wheels from an index do not need such data, or bring it.
        """
        own = {posixpath.basename(name): file for name, file in self.packed.items()}
        found = {**own, **libraries.found}
        paths = {name: file.path for name, file in found.items()}
        left = [*data_left_behind(paths, self.names)]
        used = self._used_by_what_was_built_here(found) if left else set()
        for name, path, variable in left:
            if name not in used:
                continue
            yield (
                f"{name} is packed without the data that it reads ({path}): if the target may not"
                " have the data, copy it into the environment and let the application set"
                f" {variable} to its path"
            )

    def _used_by_what_was_built_here(self, found: Mapping[str, ElfFile]) -> set[str]:
        """Return the names of files from no portable wheel, and of the libraries they need."""
        todo = [
            posixpath.basename(name)
            for name in self.packed
            if not _is_portable(name, self.environment)
        ]
        used: set[str] = set()
        while todo:
            name = todo.pop()
            if name not in used:
                used.add(name)
                todo += found[name].needed if name in found else ()
        return used

    def _choice(self, libraries: Libraries) -> Iterator[ScannedEntry]:
        """Yield the files that load the system's compiler libraries first if newer than ours."""
        packed = [(posixpath.basename(name), file) for name, file in self.packed.items()]
        versions = {
            name: max(
                newer_libraries.highest_version(str(file.path), name)
                for packed_name, file in [*libraries.found.items(), *packed]
                if packed_name == name
            )
            for name in sorted(newer_libraries.PREFIXES.keys() & libraries.found.keys())
        }
        if versions:
            site = self.environment.site_packages[0]
            source = files("hatch_pack_venv.injected") / "newer_libraries.py"
            yield FileEntry.from_bytes(f"{site}/{_CHOICE}.py", source.read_bytes())
            line = f"import {_CHOICE}; {_CHOICE}.prefer_newer({versions})\n"
            yield FileEntry.from_bytes(f"{site}/{_CHOICE}.pth", line.encode())

    @cached_property
    def _packed_by_name(self) -> dict[str, ElfFile]:
        return {posixpath.basename(name): file for name, file in self.packed.items()}

    def _is_served_program(self, arcname: str, libraries: Libraries) -> bool:
        """Return whether a packed program needs a bundled library, itself or through packed ones.

        The interpreter's search path does not apply in the program's process.
        """
        if not self.packed[arcname].headers.loader:
            return False
        by_name = self._packed_by_name
        todo, seen = [self.packed[arcname]], set[str]()
        while todo:
            file = todo.pop()
            if libraries.serve(file):
                return True
            new = {name for name in file.needed if name in by_name} - seen
            seen |= new
            todo += [by_name[name] for name in new]
        return False

    def _adapted(self, entry: ScannedEntry, served: set[str]) -> ScannedEntry:
        """Let a packed file find the bundled libraries.

        A program gets their folder added to its search path; a module's DT_RUNPATH becomes
        DT_RPATH, so that the executable's search path applies too.
        """
        file = self.packed.get(entry.arcname)
        if entry.arcname not in served or file is None:
            return entry
        if not isinstance(entry, FileEntry) or not isinstance(entry.content, str):
            return entry
        if file.headers.loader:
            program, note = with_libraries(entry)
            self.notes += note
            return program
        patches = file.with_search_path(file.folders)
        return replace(entry, content=patched_file(entry.content, patches))

    def _facts(self, libraries: Libraries, owners: Mapping[Path, Owner]) -> dict[str, Any]:
        executable = owners.get(self.runtime.executable.file.path)
        return {
            "trim": self.trim.value,
            "package": _component(executable) or None,
            "libraries": [
                {"name": name, **_component(owners.get(file.path.resolve()))}
                for name, file in libraries.found.items()
            ],
            "left_to_the_target": {name: sorted(users) for name, users in libraries.left.items()},
        }


def _hides(file: ElfFile, libraries: Libraries) -> bool:
    return file.is_runpath and libraries.serve(file)


def with_libraries(entry: FileEntry) -> tuple[FileEntry, Sequence[str]]:
    """Return a program that finds the bundled libraries itself, or unchanged with a note why."""
    folder = posixpath.relpath(LIBRARIES, posixpath.dirname(entry.arcname))
    try:
        with open(str(entry.content), "rb") as stream:
            appended = has_appended_data(stream.read())
        if not appended:
            return with_more_folders(entry, (f"$ORIGIN/{folder}",)), ()
        why = "it has data appended to it, which a change would move"
    except InterpreterProblem as error:
        why = str(error)
    except OSError:
        return entry, ()  # the writer reports one that cannot be read
    return entry, [
        f"{entry.arcname} needs bundled libraries but cannot find them by itself, so the target"
        f" must have them: {why}"
    ]


def _library_entry(arcname: str, path: Path, content: bytes) -> FileEntry:
    status = path.stat()
    return FileEntry.from_bytes(
        arcname, content, executable=arcname.startswith("bin/"), mtime=int(status.st_mtime)
    )


def _component(owner: Owner | None) -> dict[str, str]:
    if owner is None:
        return {}
    facts = {"package": owner.name, "version": owner.version}
    more = {"license": owner.licence, "purl": owner.purl}
    return facts | {key: value for key, value in more.items() if value is not None}


def _licences(owners: Mapping[Path, Owner]) -> Iterator[ScannedEntry]:
    for owner in {owner.name: owner for owner in owners.values()}.values():
        for text in owner.texts:
            yield from copies_of(text.resolve(), f"{LICENCES}/{owner.name}/{text.name}")


def _left_to_the_target(left: Mapping[str, Collection[str]]) -> Iterator[str]:
    for name, users in left.items():
        what = sorted(posixpath.basename(user).partition(".")[0] for user in users)
        yield f"{name} is not packed; the target must have it for {', '.join(what)}"


def describe_drivers(left: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Yield one note on all drivers: a package with plugins may need many."""
    users = sorted({user for each in left.values() for user in each})
    if users:
        more = f" and {len(users) - 1} more" if len(users) > 1 else ""
        verb, them = ("are", "them") if len(left) > 1 else ("is", "it")
        yield (
            f"{', '.join(left)} {verb} not packed; the target must have {them} for"
            f" {users[0]}{more} (graphics drivers)"
        )


def describe_missing(libraries: Libraries, environment: Environment) -> Iterator[str]:
    """Yield a note on each library that is missing, or is not the one that this machine loads.

    Libraries that wheels from an index lack are not reported: such wheels were checked when they
    were built (auditwheel), and the libraries are optional, such as those of numba's thread pools.
    """
    for name, users in libraries.missing.items():
        built_here = sorted(each for each in users if not _is_portable(each, environment))
        if not built_here:
            continue
        first, *others = built_here
        more = f" and {len(others)} more" if others else ""
        yield (
            f"{name} was not found and is needed by {first}{more}, which cannot be loaded without"
            " it: install it, or set LD_LIBRARY_PATH to the value used when running the"
            " environment, and pack again"
        )
    for name, path in libraries.others.items():
        yield (
            f"{name} is packed from {libraries.found[name].path}, but LD_LIBRARY_PATH selects"
            f" {path} on this machine: unset it, or give the files that need the library a DT_RPATH"
            " to the right one"
        )


def _is_portable(arcname: str, environment: Environment) -> bool:
    """Return whether a file came from a wheel for many systems (PEP 600, PEP 656)."""
    owner = next((each for each in environment.distributions if arcname in each.files), None)
    if owner is None:
        return False
    try:
        text = read_text(environment.prefix / owner.metadata_dir / "WHEEL") or ""
    except OSError:
        return False
    return "manylinux" in text or "musllinux" in text
