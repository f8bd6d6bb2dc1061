"""The standard library and `bin/python` of a bundled or fixed interpreter."""

from __future__ import annotations

import fnmatch
import os
import posixpath
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...filesystem import copies_of
from ...metadata.installed import installed_distributions
from ...metadata.path_files import foreign_paths
from ...model.entries import DirectoryEntry, FileEntry, SymlinkEntry
from ...model.interpreter import is_of_no_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from ...model.distribution import InstalledDistribution
    from ...model.entries import Entry, ScannedEntry
    from ...model.environment import Environment
    from ...model.interpreter import Interpreter, Trim


_PREFIX_WORD: Final = "@base_prefix@"

# Absolute paths recorded by the build (`prefix`, `LIBDIR`, …) follow the prefix.
_RELOCATE: Final = f"""

def _relocate(names):
    import sys
    for name, value in names.items():
        if isinstance(value, str):
            names[name] = value.replace({_PREFIX_WORD!r}, sys.base_prefix)


_relocate(build_time_vars)
"""

# Debian and Ubuntu install into `local` and `dist-packages` except in a virtual environment.
_UPSTREAM_SCHEMES: Final = """

def _get_preferred_schemes():
    return {"prefix": "posix_prefix", "home": "posix_home", "user": "posix_user"}
"""

# OpenSSL's certificate folder is compiled into it, and differs between distributions. If it holds
# no certificates and nothing else was configured, the target's own bundle is used: no variable is
# set that children would inherit, and nothing runs before `ssl` is imported. The paths are those of
# Debian, RHEL, SUSE, newer RHEL and SUSE, and Alpine (Go's crypto/x509 has the same).
_CERTIFICATES: Final = """

def _system_certificates():
    \"\"\"Return the file of trusted certificates where OpenSSL's own place holds none.\"\"\"
    file_variable, file, folder_variable, folder = _ssl.get_default_verify_paths()
    if file_variable in os.environ or folder_variable in os.environ or os.path.isfile(file):
        return None
    try:
        if any(name[-2:] == ".0" for name in os.listdir(folder)):
            return None
    except OSError:
        pass
    for path in (
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/var/lib/ca-certificates/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ):
        if os.access(path, os.R_OK):
            return path
    return None


def _look_for_system_certificates():
    own_paths = get_default_verify_paths

    def set_default_verify_paths(self):
        super(SSLContext, self).set_default_verify_paths()
        file = _system_certificates()
        if file is not None:
            self.load_verify_locations(file)

    def get_paths():
        file = _system_certificates()
        paths = own_paths()
        return paths if file is None else paths._replace(cafile=file)

    get_paths.__name__ = get_paths.__qualname__ = own_paths.__name__
    get_paths.__doc__ = own_paths.__doc__
    SSLContext.set_default_verify_paths = set_default_verify_paths
    globals()["get_default_verify_paths"] = get_paths


_look_for_system_certificates()
"""

# `find_library` asks ldconfig, gcc and ld, which do not know the bundle and may be missing.
_OWN_LIBRARIES: Final = """

def _with_own_libraries(find):
    import sys

    def find_library(name):
        found = find(name)
        if found is None:
            folder = os.path.join(sys.base_prefix, "lib")
            names = [n for n in os.listdir(folder) if n.startswith("lib" + name + ".so")]
            found = min(names, default=None)
        return found

    return find_library


find_library = _with_own_libraries(find_library)
"""


def knows_its_place(name: str, interpreter: Interpreter) -> bool:
    """Return whether a module of the standard library has to be changed.

    Parameters:
        name: the module's file, relative to the standard library's folder.
    """
    return _is_build_data(name) or bool(_addition_to(name, interpreter))


def made_portable(name: str, content: bytes, interpreter: Interpreter) -> bytes:
    """Return the content of such a module in a bundle."""
    if _is_build_data(name):
        recorded = re.escape(os.fsencode(interpreter.base_prefix)) + rb"(?![\w.+-])"
        content = re.sub(recorded, _PREFIX_WORD.encode(), content)
        return content + _RELOCATE.encode()
    return content + _addition_to(name, interpreter).encode()


def _is_build_data(name: str) -> bool:
    return fnmatch.fnmatch(posixpath.basename(name), "_sysconfigdata_*.py")


def _addition_to(name: str, interpreter: Interpreter) -> str:
    if interpreter.debian and name in ("sysconfig.py", "sysconfig/__init__.py"):
        return _UPSTREAM_SCHEMES
    return {"ssl.py": _CERTIFICATES, "ctypes/util.py": _OWN_LIBRARIES}.get(name, "")


def debian_path_file(interpreter: Interpreter) -> bytes:
    """Return a `.pth` file for `dist-packages`, where Debian's `site` looks instead.

    It adds site-packages the way `site` itself would, including its `.pth` files. (`site` is frozen
    into the interpreter since CPython 3.11, so changing it has no effect.)
    """
    parts = f'sys.prefix, "lib", "{interpreter.executable_name}", "site-packages"'
    return f"import os, site, sys; site.addsitedir(os.path.join({parts}))\n".encode()


def fixed_interpreter_entries(path: str, environment: Environment) -> tuple[Entry, ...]:
    """Return the entries that connect an environment as `postinstall.py` does on the target."""
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
    """Return the text of a `pyvenv.cfg`; the prompt is quoted, as venv does."""
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
        """Add a folder's contents that `import` would find there."""
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
        brings_back: whether a pattern brings back what `trim` leaves out, by its arcname; `None`
            without patterns.
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
        yield from self._folder(f"{self._libdir}/{facts.executable_name}", facts.stdlib)
        if facts.debian:
            name = "lib/python3/dist-packages/site-packages.pth"
            yield FileEntry.from_bytes(name, debian_path_file(facts))
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
        """Yield the wheels that a distribution's `ensurepip` keeps elsewhere (see sysconfig)."""
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
        """Yield what comes along of a folder.

        Parameters:
            is_cut: whether it stays out but for what is brought back.
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
    """Return the folder for the standard library, where the interpreter searches for it.

    Fedora's searches `lib64`, which most environment creators make a link.
    """
    platlibdir = environment.interpreter.platlibdir
    real = any(site.startswith(f"{platlibdir}/") for site in environment.site_packages)
    return platlibdir if real else "lib"
