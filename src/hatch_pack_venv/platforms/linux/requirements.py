"""Minimum requirements on a Linux target, read from the packed files themselves.

The dynamic linker rejects a file that requires a symbol version missing from the system's glibc.
Wheel tags promise a floor; files state it. Requirements of optional stdlib modules, which hardly
any application imports, are reported but exclude no system: the archive's tag and its checks cover
only the rest.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ...binary.elf import ElfHeaders
from ...model.entries import with_copies
from ...model.interpreter import OPTIONAL_MODULES
from ...model.requirements import (
    Excess,
    FileRequirements,
    Floor,
    PlatformRequirements,
    describe_floor,
    describe_requirements,
    exceeds,
    version_text,
)
from ..posix.launchers import start_check

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from ...binary.elf import Kind
    from ...binary.headers import HeaderReader
    from ...model.entries import Content, FileEntry, ScannedEntry
    from ...model.requirements import Ceiling, Version


# PEP 600 has no lower tag: manylinux1 is glibc 2.5, on x86 only.
_LOWEST_TAG: Final = {"x86_64": (2, 5), "i686": (2, 5)}
_LOWEST_TAG_ELSEWHERE: Final = (2, 17)

# The oldest tag that allows a given libstdc++ (auditwheel's policies): systems with that glibc have
# it.
_TAG_OF_GLIBCXX: Final = (
    ((3, 4, 8), (2, 5)),
    ((3, 4, 13), (2, 12)),
    ((3, 4, 19), (2, 17)),
    ((3, 4, 22), (2, 24)),
    ((3, 4, 24), (2, 27)),
    ((3, 4, 28), (2, 31)),
    ((3, 4, 29), (2, 34)),
    ((3, 4, 30), (2, 35)),
    ((3, 4, 33), (2, 39)),
)

# musl has no symbol versions; binaries for 1.2 (2020) run on every later version (PEP 656).
_MUSL_TAG: Final = "musllinux_1_2"

# Required by any CPython that a target provides: no 3.9 or later was built for older systems.
_ANY_INTERPRETER: Final = (2, 17)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinuxRequirements(PlatformRequirements):
    """The combined requirements of all packed files.

    Parameters:
        libc: `glibc`, `musl`, or `None` if no packed file needs either.
        interpreter: the minimum glibc version for the interpreter to start.
        started: that version, with the file that requires it among those loaded at startup.
        loader: the dynamic loader that a packed interpreter names; empty if none is packed.
        optional_modules: what optional stdlib modules require beyond `glibc`.
    """

    libc: str | None = None
    glibc: Floor | None = None
    glibcxx: Floor | None = None
    interpreter: Version = _ANY_INTERPRETER
    started: Floor | None = None
    loader: str = ""
    optional_modules: Mapping[str, Floor] = field(default_factory=dict)

    def platform_tag(self, tag: str) -> str:
        """Return a platform tag that states the requirements (PEP 600, PEP 656)."""
        machine = tag.removeprefix("linux_")
        if machine == tag or self.libc is None:
            return tag
        if self.glibc is None:
            return f"{_MUSL_TAG}_{machine}"
        lowest = _LOWEST_TAG.get(machine, _LOWEST_TAG_ELSEWHERE)
        of_glibcxx: Version = lowest
        if self.glibcxx is not None:
            of_glibcxx = _glibc_beside(self.glibcxx.version)
        major, minor = max(lowest, self.glibc.version[:2], of_glibcxx)
        return f"manylinux_{major}_{minor}_{machine}"

    def facts(self, tag: str) -> dict[str, Any]:
        """Return what the manifest records about the platform.

        Parameters:
            tag: the build machine's platform.
        """
        floors = {"glibc": self.glibc, "glibcxx": self.glibcxx}
        optional_modules = [
            {"module": name, **floor.facts()} for name, floor in self.optional_modules.items()
        ]
        return {
            "tag": self.platform_tag(tag),
            **({} if self.libc is None else {"libc": self.libc}),
            **{name: floor.facts() for name, floor in floors.items() if floor is not None},
            **({"seldom": optional_modules} if optional_modules else {}),
        }

    def check(self) -> str:
        """Return Python statements that exit a script, with one sentence, where it cannot run.

        Empty if the interpreter itself would not start on such a system.
        """
        statements = ""
        if self.glibc is not None and self.glibc.version[:2] > self.interpreter[:2]:
            statements += glibc_check(self.glibc.version, describe_floor(self.glibc.facts()))
        if self.glibcxx is not None:
            statements += libstdcxx_check(
                describe_requirements({"glibcxx": self.glibcxx.facts()})[0]
            )
        return statements

    def start_check(self) -> str:
        """Return shell statements by which a launcher says why its interpreter would not start."""
        if self.glibc is not None and self.started is not None:
            needed = describe_floor(self.glibc.facts())  # of all files: less would not suffice
            least = self.started.version[:2]
            return start_check(self.loader, needed, least[1] if least > _ANY_INTERPRETER else None)
        return start_check(self.loader, "musl") if self.libc == "musl" else ""


@dataclass(frozen=True)
class LinuxFileRequirements(FileRequirements):
    """What files require, by content.

    Parameters:
        symbols: the requirements of each dynamic ELF file.
        kind: the interpreter's; this archive's processes cannot load files of another kind.
        libc: the C library that the interpreter is linked with; `None` if neither glibc nor musl.
    """

    symbols: Mapping[Content, SymbolRequirements] = field(default_factory=dict)
    kind: Kind | None = None
    libc: str | None = None

    @classmethod
    def read(
        cls, entries: Iterable[ScannedEntry], executable: Path, headers: HeaderReader
    ) -> LinuxFileRequirements:
        """Read all ELF files among entries and their copies.

        Parameters:
            executable: the interpreter.
        """
        interpreter = headers.of_content(executable)
        return cls(
            {
                content: SymbolRequirements.of(each)
                for content, each in headers.all_of(entries).items()
                if isinstance(each, ElfHeaders) and each.is_dynamic
            },
            interpreter.kind if isinstance(interpreter, ElfHeaders) else None,
            _libc_of(interpreter) if isinstance(interpreter, ElfHeaders) else None,
        )

    def beyond(self, entries: Iterable[ScannedEntry], ceiling: Ceiling) -> list[Excess]:
        """Return the files that require a later glibc, or the libstdc++ of systems with one."""
        if ceiling.glibc is None:
            return []
        found = self._found(entries)
        modules = optional_module_files(found)
        return [
            Excess(
                file=name,
                key="max-glibc",
                limit=ceiling.glibc,
                needs=needs,
                module=modules.get(name),
            )
            for name, symbols in sorted(found.items())
            if (needs := _above(name, symbols, found, ceiling.glibc)) is not None
        ]

    def misfit(self, entry: FileEntry) -> str | None:
        """Return, in words, what a file is for if the interpreter cannot load it."""
        symbols = self.symbols.get(entry.content)
        if symbols is None:
            return None
        if self.kind is not None and symbols.kind != self.kind:
            machine, wide, _ = symbols.kind
            name = _MACHINES.get(machine, f"machine {machine}")
            return name if machine != self.kind[0] else f"{64 if wide else 32}-bit {name}"
        if None not in (self.libc, symbols.libc) and symbols.libc != self.libc:
            return f"a system with {symbols.libc}"
        return None

    def _found(self, entries: Iterable[ScannedEntry]) -> dict[str, SymbolRequirements]:
        return {
            entry.arcname: symbols
            for entry in with_copies(entries)
            if (symbols := self._at(entry)) is not None
        }

    def of(self, entries: Iterable[ScannedEntry]) -> LinuxRequirements:
        """Return the combined requirements of entries; a later entry replaces an earlier one."""
        found = self._found(entries)
        optional_modules = optional_module_files(found)
        common = {name: symbols for name, symbols in found.items() if name not in optional_modules}
        start = loaded_by(filter(_starts_python, found), found)
        started = _highest({name: found[name].glibc for name in start})
        kinds = {symbols.libc for symbols in found.values()}
        glibc = _highest({name: symbols.glibc for name, symbols in common.items()})
        if started is not None and glibc is not None and glibc.version == started.version:
            glibc = started  # on a tie, the file that nothing runs without
        return LinuxRequirements(
            libc=next((libc for libc in ("glibc", "musl") if libc in kinds), None),
            glibc=glibc,
            glibcxx=_highest(
                {
                    name: symbols.glibcxx
                    for name, symbols in common.items()
                    if not _brings_libstdcxx(name, symbols, found)
                }
            ),
            interpreter=_ANY_INTERPRETER if started is None else started.version,
            started=started,
            loader=next(filter(None, (found[name].loader for name in sorted(start))), ""),
            optional_modules=_beyond(
                () if glibc is None else glibc.version, optional_modules, found
            ),
        )

    def _at(self, entry: FileEntry) -> SymbolRequirements | None:
        symbols = self.symbols.get(entry.content) if self.symbols else None
        return symbols if symbols is not None and self.kind in (None, symbols.kind) else None


def _glibc_beside(glibcxx: Version) -> Version:
    """Return the glibc of the oldest systems that have a given libstdc++."""
    tags = (tag for version, tag in _TAG_OF_GLIBCXX if version >= glibcxx)
    return next(tags, _TAG_OF_GLIBCXX[-1][1])


def _above(
    name: str,
    symbols: SymbolRequirements,
    found: Mapping[str, SymbolRequirements],
    limit: Version,
) -> str | None:
    """Return, in words, which requirement of a file exceeds a limit, or `None`."""
    if exceeds(symbols.glibc, limit):
        return f"glibc {version_text(symbols.glibc)}"
    if symbols.glibcxx and not _brings_libstdcxx(name, symbols, found):
        beside = _glibc_beside(symbols.glibcxx)
        if exceeds(beside, limit):
            version, of = version_text(symbols.glibcxx), version_text(beside)
            return f"libstdc++ with GLIBCXX {version}, which systems with glibc {of} have"
    return None


def _highest(versions: Mapping[str, Version]) -> Floor | None:
    highest = max(versions.values(), default=())
    if not highest:
        return None
    files = sorted(name for name, version in versions.items() if version == highest)
    return Floor(version=highest, file=files[0])


def _beyond(
    version: Version, optional_modules: Mapping[str, str], found: Mapping[str, SymbolRequirements]
) -> dict[str, Floor]:
    """Return the requirements of optional stdlib modules that exceed a version."""
    floors = {
        module: _highest(
            {
                name: found[name].glibc
                for name in optional_modules
                if optional_modules[name] == module
            }
        )
        for module in sorted(set(optional_modules.values()))
    }
    return {module: floor for module, floor in floors.items() if floor and floor.version > version}


def _brings_libstdcxx(
    arcname: str, symbols: SymbolRequirements, found: Mapping[str, SymbolRequirements]
) -> bool:
    """Return whether the libstdc++ that a file loads is packed, in `lib` or on its search path."""
    places = {f"lib/{LIBSTDCXX}", *symbols.places_of(LIBSTDCXX, arcname)}
    return not places.isdisjoint(found)


def _starts_python(arcname: str) -> bool:
    """Return whether a file is loaded before any script runs."""
    return bool(re.fullmatch(r"bin/python[\d.]+t?|lib/libpython[^/]+", arcname))


LIBSTDCXX: Final = "libstdc++.so.6"
_NUMBERED: Final = re.compile(r"(GLIBC|GLIBCXX|CXXABI)_(\d+(?:\.\d+)+)")

# Unnumbered versions that later glibcs provide (glibc, NEWS of the release).
_UNNUMBERED: Final = {"GLIBC_ABI_DT_RELR": (2, 36), "GLIBC_ABI_GNU2_TLS": (2, 42)}

# The GLIBCXX version of the libstdc++ release that introduced a CXXABI version ("ABI Policy and
# Guidelines", GCC); older ones belong to systems below every tag.
_GLIBCXX_OF_CXXABI: Final = (
    ((1, 3, 1), (3, 4)),
    ((1, 3, 3), (3, 4, 11)),
    ((1, 3, 7), (3, 4, 18)),
    ((1, 3, 8), (3, 4, 20)),
    ((1, 3, 9), (3, 4, 21)),
    ((1, 3, 10), (3, 4, 22)),
    ((1, 3, 11), (3, 4, 23)),
    ((1, 3, 12), (3, 4, 26)),
    ((1, 3, 13), (3, 4, 29)),
    ((1, 3, 14), (3, 4, 31)),
    ((1, 3, 15), (3, 4, 33)),
)
_MUSL: Final = re.compile(r"libc\.musl-\w+\.so\.1|libc\.so")
_ORIGIN: Final = re.compile(r"\$(?:ORIGIN\b|\{ORIGIN\})")


_MACHINES: Final = {3: "x86", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}


def _libc_of(headers: ElfHeaders) -> str | None:
    if any(_MUSL.fullmatch(name) for name in headers.needed):
        return "musl"
    return "glibc" if any(name.startswith("libc.so.6") for name in headers.needed) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolRequirements:
    """What one file requires.

    Parameters:
        libc: `glibc` or `musl`, if known.
        glibc, glibcxx: the highest symbol versions; CXXABI counts as the GLIBCXX it came with.
        needed: the libraries that it loads.
        loader: the dynamic loader that it names, if it is a program.
        beside: its search path for them, relative to its own folder.
    """

    kind: Kind
    libc: str | None = None
    glibc: Version = ()
    glibcxx: Version = ()
    needed: tuple[str, ...] = ()
    loader: str = ""
    beside: tuple[str, ...] = ()

    @classmethod
    def of(cls, headers: ElfHeaders) -> SymbolRequirements:
        """Return what a file with these headers requires."""
        highest: dict[str, Version] = {"GLIBC": (), "GLIBCXX": ()}
        for need in headers.versions:
            name, version = _parsed(need.version)
            # A library that a wheel repair tool renamed (libstdc++-1b2c3d.so.6) is in the same
            # wheel.
            if not need.weak and (name == "GLIBC" or need.library == LIBSTDCXX):
                highest[name] = max(highest.get(name, ()), version)
        musl = any(_MUSL.fullmatch(name) for name in headers.needed)
        return cls(
            kind=headers.kind,
            libc="glibc" if highest["GLIBC"] else "musl" if musl else None,
            glibc=highest["GLIBC"],
            glibcxx=highest["GLIBCXX"],
            needed=headers.needed,
            loader=headers.loader,
            beside=tuple(_beside(headers)),
        )

    def places_of(self, library: str, arcname: str) -> Iterator[str]:
        """Yield the arcnames at which the file's own search path would find a library.

        Parameters:
            arcname: the file's.
        """
        for folder in self.beside:
            yield posixpath.normpath(posixpath.join(posixpath.dirname(arcname), folder, library))


def _beside(headers: ElfHeaders) -> Iterator[str]:
    for text in headers.search_paths:
        for folder in text.text.split(":"):
            origin = _ORIGIN.match(folder)
            if origin is not None:
                yield folder[origin.end() :].lstrip("/")


def _parsed(version: str) -> tuple[str, Version]:
    match = _NUMBERED.fullmatch(version)
    if match is None:
        return "GLIBC", _UNNUMBERED.get(version, ())
    numbers = tuple(map(int, match[2].split(".")))
    return ("GLIBCXX", _glibcxx_of(numbers)) if match[1] == "CXXABI" else (match[1], numbers)


def _glibcxx_of(cxxabi: Version) -> Version:
    newest = _GLIBCXX_OF_CXXABI[-1][1]
    return next((glibcxx for abi, glibcxx in _GLIBCXX_OF_CXXABI if abi >= cxxabi), newest)


_MODULES: Final = {extension: module for module, extension in OPTIONAL_MODULES.items()}
_MODULE_FILE: Final = re.compile(r"lib(?:64)?/python3[^/]*/lib-dynload/(\w+)\.[^/]*")
LIBRARIES: Final = "lib/"
"""The folder of a bundle's libraries, each stored under the name that others load it by."""


def optional_module_files(found: Mapping[str, SymbolRequirements]) -> dict[str, str]:
    """Return the files that only optional stdlib modules load, with the modules' import names.

    Parameters:
        found: the packed files, by arcname.
    """
    modules = {name: module for name in found if (module := _optional_module(name)) is not None}
    maybe = {**modules}
    for name, module in sorted(modules.items()):
        for library in loaded_by([name], found):
            maybe.setdefault(library, module)
    kept = loaded_by((name for name in found if name not in maybe), found)
    return {name: module for name, module in maybe.items() if name in modules or name not in kept}


def loaded_by(names: Iterable[str], found: Mapping[str, SymbolRequirements]) -> set[str]:
    """Return files and the packed libraries that are loaded with them."""
    todo, loaded = [*names], set[str]()
    while todo:
        name = todo.pop()
        if name in found and name not in loaded:
            loaded.add(name)
            todo += [f"{LIBRARIES}{library}" for library in found[name].needed]
    return loaded


def _optional_module(arcname: str) -> str | None:
    match = _MODULE_FILE.fullmatch(arcname)
    return None if match is None else _MODULES.get(match[1])


def glibc_check(version: Version, needed: str) -> str:
    """Return statements that exit a script on a system whose glibc is too old.

    Parameters:
        needed: the floor in words.
    """
    return f"""\
import os

try:
    libc = os.confstr("CS_GNU_LIBC_VERSION").split()[1].split("-")[0]
except (AttributeError, IndexError, ValueError):
    libc = "none"
if libc == "none" or tuple(map(int, libc.split("."))) < {version}:
    sys.exit(__file__.rpartition("/")[2] + {f": needs {needed}; this system has "!a} + libc)

"""


def libstdcxx_check(needed: str) -> str:
    """Return statements that condense the loader's error about libstdc++ into one sentence.

    The loader decides which libstdc++ a module gets (search paths, `LD_LIBRARY_PATH`, an
    interpreter with its own), and checking in advance would load the library on every start, before
    the modules that bring another. So nothing is checked in advance, which costs nothing: if an
    import fails because of it, at startup or later, the launcher says why.

    Parameters:
        needed: the floor in words.
    """
    return f"""\

def no_libstdcxx(kind, error, trace, usual=sys.excepthook):
    if not issubclass(kind, ImportError) or "libstdc++.so.6" not in str(error):
        return usual(kind, error, trace)
    needs = __file__.rpartition("/")[2] + {f": needs {needed}; this system has "!a}
    older = "none" if "cannot open" in str(error) else "an older one"
    print(needs + older, file=sys.stderr)


sys.excepthook = no_libstdcxx

"""
