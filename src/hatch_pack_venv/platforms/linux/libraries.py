"""The shared libraries in a Linux bundle, found as the dynamic loader finds them (ld.so(8))."""

from __future__ import annotations

import fnmatch
import os
import posixpath
import re
import struct
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...binary.elf import ElfFile, ElfHeaders
from ...binary.headers import may_be_elf
from ...filesystem import copies_of
from ...model.entries import DirectoryEntry, FileEntry, PatchedFile
from ...model.errors import InterpreterProblem
from ...model.interpreter import COPYLEFT
from .requirements import SymbolRequirements

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ...binary.headers import HeaderReader
    from ...model.entries import ScannedEntry
    from ...model.environment import Environment


_CACHE: Final = Path("/etc/ld.so.cache")
_CACHE_MAGIC: Final = b"glibc-ld.so.cache1.1"
_HEADER: Final = struct.Struct("=20sIIIIIII")
_ENTRY: Final = struct.Struct("=iIIIQ")


class Loader:
    """The dynamic loader of this machine.

    Parameters:
        cache: the cache written by `ldconfig`.
        folders: the system's own folders, searched after the cache.
    """

    def __init__(
        self,
        cache: Path = _CACHE,
        folders: Sequence[str] = ("/lib64", "/usr/lib64", "/lib", "/usr/lib"),
        library_path: str | None = None,
    ) -> None:
        self.cache = cache
        self.folders = tuple(folders)
        listed = os.environ.get("LD_LIBRARY_PATH", "") if library_path is None else library_path
        self.last = tuple(filter(os.path.isabs, re.split("[:;]", listed)))
        self._files: dict[Path, ElfFile | None] = {}

    def find(self, name: str, chain: Sequence[ElfFile]) -> ElfFile | None:
        """Return a library, with the path at which it is found, or `None`.

        Parameters:
            name: as in DT_NEEDED.
            chain: the file that needs it, the one that loaded that file, and so on to the
                executable.
        """
        candidates = iter([Path(name)]) if "/" in name else self._candidates(name, chain)
        files = (self._read(path) for path in candidates)
        kind = chain[0].headers.kind  # the loader skips libraries for another machine
        return next(
            (file for file in files if file is not None and file.headers.kind == kind), None
        )

    def preferred(self, name: str, chain: Sequence[ElfFile]) -> Path | None:
        """Return the path that `LD_LIBRARY_PATH` gives for a library, if it precedes `find`'s.

        The loader searches a DT_RPATH before it, and a DT_RUNPATH after it.
        """
        if "/" in name:
            return None
        before = [] if chain[0].is_runpath else _searched(chain)
        if any(self._read(Path(folder, name)) is not None for folder in before):
            return None
        files = ((path, self._read(path)) for path in (Path(each, name) for each in self.last))
        kind = chain[0].headers.kind
        return next((path for path, file in files if file and file.headers.kind == kind), None)

    def _read(self, path: Path) -> ElfFile | None:
        if path not in self._files:
            try:
                self._files[path] = ElfFile.from_path(path)
            except (OSError, InterpreterProblem):
                self._files[path] = None
        return self._files[path]

    def _candidates(self, name: str, chain: Sequence[ElfFile]) -> Iterator[Path]:
        for folder in _searched(chain):
            yield Path(folder, name)
        yield from self._cached.get(name, ())
        for folder in (*self.folders, *self.last):
            yield Path(folder, name)

    @cached_property
    def _cached(self) -> dict[str, list[Path]]:
        try:
            return _read_cache(self.cache.read_bytes())
        except OSError:
            return {}


def _searched(chain: Sequence[ElfFile]) -> Iterator[str]:
    """Yield the folders of the effective search paths, in the loader's order."""
    if chain[0].is_runpath:
        yield from _expanded(chain[0])
        return
    for file in chain:
        if not file.is_runpath:
            yield from _expanded(file)


def _expanded(file: ElfFile) -> Iterator[str]:
    origin = os.path.realpath(file.path.parent)
    lib = "lib64" if file.headers.wide else "lib"
    for folder in file.folders:
        for token, value in (("ORIGIN", origin), ("LIB", lib), ("PLATFORM", os.uname().machine)):
            folder = folder.replace(f"${{{token}}}", value).replace(f"${token}", value)
        if folder:
            yield os.path.normpath(folder)


def _read_cache(data: bytes) -> dict[str, list[Path]]:
    """Read `ld.so.cache`, whose new format may follow a part in libc5's format.

    Builds for newer processors (`glibc-hwcaps`) are left out: the target may have an older one.
    """
    start = data.find(_CACHE_MAGIC)
    if start < 0 or len(data) < start + _HEADER.size:
        return {}
    count = _HEADER.unpack_from(data, start)[1]
    found: dict[str, list[Path]] = {}
    for index in range(count):
        offset = start + 48 + index * _ENTRY.size
        if offset + _ENTRY.size > len(data):
            break
        _, key, value, _, hwcap = _ENTRY.unpack_from(data, offset)
        if not hwcap:
            name, path = (_string(data, start + place) for place in (key, value))
            found.setdefault(name, []).append(Path(path))
    return found


def _string(data: bytes, offset: int) -> str:
    return os.fsdecode(data[offset : data.index(b"\0", offset)])


# The libraries of glibc; libcrypt does not count, as a separate library may provide it.
_GLIBC: Final = re.compile(
    r"ld-linux.*|ld64?|lib(?:BrokenLocale|anl|c|dl|m|mvec|nsl|nss_\w+|pthread|resolv|rt"
    r"|thread_db|util|c_malloc_debug|memusage|pcprofile)"
)
_NOT_GLIBC: Final = {"libnsl.so.2", "libnsl.so.3"}

# Graphics drivers and their loaders: they must match the target's kernel and graphics card.
_DRIVERS: Final = (
    "libcuda.so*",
    "libnvidia-*.so*",
    "libnvcuvid.so*",
    "libOpenCL.so*",
    "libvulkan.so*",
    "libGL.so*",
    "libGLX*.so*",
    "libGLdispatch.so*",
    "libOpenGL.so*",
    "libGLES*.so*",
    "libEGL*.so*",
    "libdrm*.so*",
    "libgbm.so*",
    # Libraries that drivers are linked with: older ones would keep the drivers from loading.
    "libva.so*",
    "libva-*.so*",
    "libwayland-*.so*",
    "libxcb-dri*.so*",
    "libxcb-glx.so*",
    "libxcb-present.so*",
    "libxshmfence.so*",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Libraries:
    """The libraries that are bundled and those that are not.

    Parameters:
        found: each library, with its path on this machine, by the name that others load it by.
        left: for each library left to the target, the arcnames of the files that need it.
        missing: for each library that was not found, the arcnames of the files that need it.
        others: for each bundled library that `LD_LIBRARY_PATH` overrides on this machine, the path
            that it gives instead.
    """

    found: Mapping[str, ElfFile] = field(default_factory=dict)
    left: Mapping[str, frozenset[str]] = field(default_factory=dict)
    missing: Mapping[str, frozenset[str]] = field(default_factory=dict)
    others: Mapping[str, Path] = field(default_factory=dict)

    def serve(self, file: ElfFile) -> bool:
        """Return whether a file needs one of the bundled libraries."""
        return any(name in self.found for name in file.needed)


# CPython before 3.14 ends threads at its exit with pthread_exit(3), which aborts the process if
# this library is missing.
_OPENED_BY_GLIBC: Final = "libgcc_s.so.1"


def collect_libraries(
    objects: Iterable[tuple[str, ElfFile]],
    *,
    above: Sequence[ElfFile],
    prefix: Path,
    asked_for: Iterable[str] = (),
    loader: Loader | None = None,
) -> Libraries:
    """Find the libraries that some files need and glibc does not provide.

    Parameters:
        objects: the packed files, by arcname, in order of precedence.
        above: the files that load them: the interpreter's library, and the interpreter.
        prefix: the environment; a library found inside it is packed already.
        asked_for: keys of `COPYLEFT` that may be bundled.
    """
    collector = _Collector(prefix, frozenset(asked_for), loader or Loader())
    names = set()
    for arcname, file in objects:
        names.add(posixpath.basename(arcname))
        collector.add(arcname, [file, *above])
    if any("libc.so.6" in file.needed for file in above):
        collector.add_opened(_OPENED_BY_GLIBC, above)
    return Libraries(
        found=dict(sorted(collector.found.items())),
        left={name: frozenset(users) for name, users in sorted(collector.left.items())},
        others=dict(sorted(collector.others.items())),
        missing={
            name: frozenset(users)
            for name, users in sorted(collector.missing.items())
            if name not in names
        },
    )


def packed_file(
    entry: ScannedEntry, environment: Environment, headers: HeaderReader
) -> ElfFile | None:
    """Return an entry as an ELF file at its path in the environment, or `None` if not ELF."""
    found = headers.elf(entry) if isinstance(entry, FileEntry) else None
    if found is None or not isinstance(entry, FileEntry):
        return None
    match entry.content:
        case PatchedFile(path=name) | str(name):
            return ElfFile(path=Path(name), headers=found)
        case _:
            return ElfFile(path=environment.prefix / entry.arcname, headers=found)


def libraries_needed_by(
    packed: Iterable[ScannedEntry], environment: Environment, headers: HeaderReader
) -> list[dict[str, str]]:
    """Apply `libraries_of_target` to packed entries."""
    facts = environment.interpreter
    files = (
        (entry.arcname, packed_file(entry, environment, headers))
        for entry in packed
        if isinstance(entry, FileEntry) and may_be_elf(entry)
    )
    loading = [
        (path, headers.of_content(path)) for path in (facts.library, facts.executable) if path
    ]
    inside = [environment.prefix, environment.containing]
    return libraries_of_target(
        [(arcname, file) for arcname, file in files if file is not None],
        above=[
            ElfFile(path=path, headers=found)
            for path, found in loading
            if isinstance(found, ElfHeaders)
        ],
        inside=[folder for folder in inside if folder is not None],
    )


def libraries_of_target(
    objects: Iterable[tuple[str, ElfFile]],
    *,
    above: Sequence[ElfFile],
    inside: Sequence[Path],
    loader: Loader | None = None,
) -> list[dict[str, str]]:
    """Return the libraries that the target must have: neither packed nor part of glibc.

    A library that this machine does not have either counts as optional.

    Parameters:
        objects: the packed files, by arcname.
        above: the files that load them: the interpreter's library, and the interpreter.
        inside: folders whose libraries are packed, or belong to a layer.

    Returns:
        For each library its name, a file that needs it and, if that file's search path finds it
        outside the system's own folders, the folder that it is in.
    """
    files, loader = [*objects], loader or Loader()
    taken = {posixpath.basename(arcname) for arcname, _ in files}
    found = []
    for arcname, file in files:
        for name in file.needed:
            if name in taken or is_of_glibc(name) or "/" in name:
                continue
            library = loader.find(name, [file, *above])
            if library is None or _lies_in(library.path, inside):
                continue
            taken.add(name)
            folder = str(library.path.parent)
            is_named = folder in _expanded(file) and folder not in map(str, loader.folders)
            named = {"folder": folder} if is_named else {}
            found.append({"name": name, "file": arcname, **named})
    return sorted(found, key=itemgetter("name"))


def _lies_in(path: Path, folders: Sequence[Path]) -> bool:
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(folder) for folder in folders)


class _Collector:
    def __init__(self, prefix: Path, asked_for: frozenset[str], loader: Loader) -> None:
        self.prefix = prefix
        self.loader = loader
        self.refused = [
            pattern
            for name, patterns in COPYLEFT.items()
            if name not in asked_for
            for pattern in patterns
        ] + [*_DRIVERS]
        self.found: dict[str, ElfFile] = {}
        self.left: dict[str, set[str]] = {}
        self.missing: dict[str, set[str]] = {}
        self.others: dict[str, Path] = {}

    def add_opened(self, name: str, chain: Sequence[ElfFile]) -> None:
        """Add a library that no header names, if it is found.

        A library that needs a newer glibc than the files that open it is left to the target: what
        few programs do should not exclude any system that these files run on.
        """
        file = self.loader.find(name, chain)
        if name in self.found or file is None:
            return
        highest = max(SymbolRequirements.of(each.headers).glibc for each in chain)
        if SymbolRequirements.of(file.headers).glibc <= highest:
            self.found[name] = file
            self.add(name, [file, *chain])

    def add(self, arcname: str, chain: Sequence[ElfFile]) -> None:
        """Search for the libraries that the first file of a chain needs."""
        for name in chain[0].needed:
            if name in self.found or is_of_glibc(name) or name.startswith("libpython"):
                continue
            file = self.loader.find(name, chain)
            if file is not None and _lies_in(file.path, [self.prefix]):
                continue  # a wheel's own copy, whatever its name
            if any(fnmatch.fnmatch(name, pattern) for pattern in self.refused):
                self.left.setdefault(name, set()).add(arcname)
                continue
            if file is None:
                self._miss(name, arcname, chain)
                continue
            if needs_private_glibc(file):
                continue
            self.found[name] = file
            other = self.loader.preferred(name, chain)
            if other is not None and os.path.realpath(other) != os.path.realpath(file.path):
                self.others[name] = other
            self.add(arcname, [file, *chain])

    def _miss(self, name: str, arcname: str, chain: Sequence[ElfFile]) -> None:
        """Record a missing library; files for other systems do not count: none is ever loaded."""
        same = chain[0].headers.kind == chain[-1].headers.kind
        if same and not name.startswith("libc.musl"):
            self.missing.setdefault(name, set()).add(arcname)


def needs_private_glibc(file: ElfFile) -> bool:
    """Return whether a library uses glibc-private symbols, and so belongs to one specific glibc."""
    return any(need.version == "GLIBC_PRIVATE" for need in file.headers.versions)


def is_of_glibc(name: str) -> bool:
    """Return whether a library belongs to glibc, which every target has a copy of."""
    stem = name.partition(".so")[0]
    return bool(_GLIBC.fullmatch(stem)) and name not in _NOT_GLIBC


_LIBRARY: Final = re.compile(r"lib(?:tcl9)?(tcl|tk)(\d+\.\d+)\.so.*")
_STARTS: Final = {"tcl": "init.tcl", "tk": "tk.tcl"}
_PLACES: Final = ("/usr/share/tcltk", "/usr/share", "/usr/lib", "/usr/lib64", "/usr/local/lib")

# Modules are kept elsewhere; time zones are read from the system's own files if these are missing.
_LEFT_OUT: Final = {"demos", "images", "tcl8", "tcl9", "tzdata"}


def tcl_scripts(libraries: Mapping[str, ElfFile]) -> Iterator[ScannedEntry]:
    """Yield the scripts and modules of the Tcl and Tk versions among some libraries.

    Parameters:
        libraries: the file of each, by name.
    """
    for name, file in libraries.items():
        match = _LIBRARY.fullmatch(name)
        if match is None:
            continue
        part, version = match.groups()
        for place in (file.path.resolve().parent, *map(Path, _PLACES)):
            folder = place / f"{part}{version}"
            if (folder / _STARTS[part]).is_file():
                yield from _scripts(folder, f"lib/{folder.name}")
                if part == "tcl":
                    yield from _tcl_modules(folder, version)
                break


def _scripts(folder: Path, arcname: str) -> Iterator[ScannedEntry]:
    for entry in copies_of(folder.resolve(), arcname):
        inside = entry.arcname.removeprefix(f"{arcname}/").split("/")
        if inside[0] not in _LEFT_OUT and not isinstance(entry, DirectoryEntry):
            yield entry


# Data files that libraries read: paths relative to their prefix or own folder, and the variable
# that overrides them. Wheels with such libraries bring the data and set the variable.
_DATA: Final = (
    ("libmagic.so*", ("share/misc/magic.mgc", "lib/file/magic.mgc"), "MAGIC"),
    ("libproj.so*", ("share/proj/proj.db",), "PROJ_DATA"),
    ("libgdal.so*", ("share/gdal/gdalvrt.xsd",), "GDAL_DATA"),
    ("libgirepository-*.so*", ("girepository-1.0/GLib-2.0.typelib",), "GI_TYPELIB_PATH"),
    ("libgdk_pixbuf-*.so*", ("gdk-pixbuf-2.0/*/loaders.cache",), "GDK_PIXBUF_MODULE_FILE"),
)


def data_left_behind(
    libraries: Mapping[str, Path], packed: Iterable[str]
) -> Iterator[tuple[str, Path, str]]:
    """Yield libraries' data that is not packed: the library, a file, the variable for it.

    Parameters:
        libraries: the path of each packed library, by name.
        packed: the arcnames of all packed files, including data that somebody copied.
    """
    here = {posixpath.basename(arcname) for arcname in packed}
    for name, path in libraries.items():
        for pattern, places, variable in _DATA:
            if fnmatch.fnmatch(name, pattern):
                files = [file for place in places for file in _data_files(path, place)]
                if files and not any(file.name in here for file in files):
                    yield name, files[0], variable


def _data_files(library: Path, place: str) -> Iterator[Path]:
    folder = library.resolve().parent
    prefix = next((each.parent for each in folder.parents if each.name.startswith("lib")), None)
    for root in (folder, prefix or folder.parent, Path("/usr")):
        yield from sorted(root.glob(place))


def _tcl_modules(folder: Path, version: str) -> Iterator[ScannedEntry]:
    """Yield the modules where Tcl looks for them: `tcl8/8.6` next to its scripts (tm(3tcl)).

    Debian keeps them below the scripts, without a folder for each version.
    """
    name = f"tcl{version.partition('.')[0]}"
    for below, arcname in ((folder / name, f"lib/{name}/{version}"), (folder.parent / name, "")):
        if below.is_dir():
            for entry in copies_of(below.resolve(), arcname or f"lib/{name}"):
                if entry.arcname.endswith(".tm"):
                    yield entry
            return
