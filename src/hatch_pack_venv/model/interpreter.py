"""A base interpreter, and what a bundle takes from it: plain values."""

from __future__ import annotations

import fnmatch
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from packaging.utils import canonicalize_name

from .errors import EnvironmentProblem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .distribution import InstalledDistribution
    from .entries import ScannedEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """Facts about a base interpreter.

    Parameters:
        version: the full version, `3.11.7`.
        minor: `3.11`.
        abi: as in wheel tags, with `t` for a free-threaded and `d` for a debug build: `cp313t`.
        cache_tag: as in the names of bytecode files, `cpython-311`.
        pointer_bits: 32 or 64.
        system: `sys.platform`.
        machine: `x86_64`, `aarch64`, …
        platform: as `sysconfig.get_platform()`, `linux-x86_64`.
        executable: real path of the base interpreter.
        base_prefix: real path of its installation.
        stdlib: real path of its standard library.
        platlibdir: `lib`, or `lib64` on Fedora-like systems.
        library: the libpython that it loads, unless that is linked statically into the executable.
        site_packages: its own site-packages folders.
        include: the folder of its headers.
        wheel_folder: where `ensurepip` finds its wheels, if outside the package (Debian, Fedora).
        site_folders: where its `site` module looks for packages outside virtual environments,
            relative to its prefix; empty if unknown.
        scheme: the name of the installation scheme that it uses there (`sysconfig`).
        is_here: whether it is on this machine and runs; otherwise its facts were read from the
            environment.
        assumed: sentences about facts that could not be read.
    """

    version: str
    minor: str
    implementation: str
    abi: str
    cache_tag: str
    pointer_bits: int
    system: str
    machine: str
    platform: str
    executable: Path
    base_prefix: Path
    stdlib: Path
    platlibdir: str
    library: Path | None = None
    site_packages: tuple[Path, ...] = ()
    include: Path | None = None
    wheel_folder: Path | None = None
    site_folders: tuple[str, ...] = ()
    scheme: str = "posix_prefix"
    is_here: bool = True
    assumed: tuple[str, ...] = ()

    @property
    def free_threaded(self) -> bool:
        """Whether it is a build without the global interpreter lock (PEP 703)."""
        return "t" in self.abi.removeprefix("cp")

    @property
    def is_windows(self) -> bool:
        """Whether it runs on Windows."""
        return self.system == "win32"

    @property
    def platform_tag(self) -> str:
        """The platform, spelled as in wheel tags."""
        return self.platform.replace("-", "_").replace(".", "_")

    @property
    def executable_name(self) -> str:
        """Its name in the scripts folder, `python3.11` or `python3.13t`."""
        if self.is_windows:
            return "python.exe"
        return f"python{self.minor}{'t' if self.free_threaded else ''}"

    @property
    def looks_elsewhere(self) -> bool:
        """Whether its own packages are not in site-packages, as on Debian and Ubuntu."""
        site_packages = f"/{self.executable_name}/site-packages"
        return bool(self.site_folders) and not any(
            folder.endswith(site_packages) for folder in self.site_folders
        )

    def check_supported(self, executable: Path) -> None:
        """Reject implementations other than CPython and unsupported versions.

        Parameters:
            executable: the path to report.

        Raises:
            EnvironmentProblem: if it is not CPython 3.9 or later.
        """
        minor = tuple(int(part) for part in self.minor.split("."))
        if self.implementation != "cpython" or minor < (3, 9):
            raise EnvironmentProblem(
                f"{executable} is {self.implementation} {self.version}; only environments of"
                " CPython 3.9 and later can be packed"
            )


def is_fixed_path(interpreter: str) -> bool:
    """Return whether an option is an interpreter path in a form that `pyvenv.cfg` can hold."""
    return (
        posixpath.isabs(interpreter)
        and posixpath.normpath(interpreter) == interpreter
        and interpreter == interpreter.strip()
        and interpreter.isprintable()
        and posixpath.dirname(interpreter) != "/"
    )


_NEVER: Final = {"__pycache__", "dist-packages", "site-packages", "EXTERNALLY-MANAGED"}
# Debian's module is for setuptools, which would install into other folders than with upstream's
# Python. The record of build variables (CPython 3.14) is only read by tools that compile for the
# place it was built for.
_NEVER_ON_TOP: Final = (
    *("sitecustomize.py", "usercustomize.py", "_distutils_system_mod.py"),
    "_sysconfig_vars_*.json",
)

# Not needed by any running application: tests, IDLE, files for linking C programs.
_DEFAULT: Final = (
    "*.a",
    "*.pdb",
    "_ctypes_test*.pyd",
    "_ctypes_test*.so",
    "_test*.pyd",
    "_test*.so",
    "_xxtestfuzz*.so",
    "config-*",
    "idle_test",
    "idlelib",
    "test",
    "tests",
    "turtledemo",
    "xxlimited*.pyd",
    "xxlimited*.so",
)

# Needed by some: pip for child environments, 2to3, help("if"), Tk, Network Information Service
# (which pulls in Kerberos) and OSS sound devices.
_MINIMAL: Final = (
    *_DEFAULT,
    "_tkinter*.pyd",
    "_tkinter*.so",
    "ensurepip",
    "lib2to3",
    "msilib",
    "nis.*.so",
    "ossaudiodev.*.so",
    "pydoc_data",
    "tkinter",
    "turtle.py",
)


def is_of_no_bundle(path: Path, *, on_top: bool) -> bool:
    """Whether a file or folder of the standard library belongs to one installation only.

    Parameters:
        on_top: whether it is directly in the standard library's folder.
    """
    return path.name in _NEVER or (
        on_top and any(fnmatch.fnmatch(path.name, pattern) for pattern in _NEVER_ON_TOP)
    )


LEVELS: Final = ("none", "default", "minimal")
"""How much of an interpreter is left out, from least to most."""

# PEP 594 removed the first four; `dbm` chooses among databases and works without one; the modules
# of the standard library that import readline work without it; tkinter needs a display, and on a
# system without one, or on an older system, its import reports the problem.
OPTIONAL_MODULES: Final[Mapping[str, str]] = {
    "crypt": "_crypt",
    "nis": "nis",
    "ossaudiodev": "ossaudiodev",
    "spwd": "spwd",
    "dbm.ndbm": "_dbm",
    "dbm.gnu": "_gdbm",
    "readline": "readline",
    "tkinter": "_tkinter",
}
"""Modules of the standard library that hardly any application imports, each with the extension
module that it is, or cannot be imported without.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trim:
    """How much of the interpreter is left out.

    Parameters:
        level: one of `LEVELS`.
        modules: optional modules of the standard library to leave out in addition.
    """

    NONE: ClassVar[Trim]
    DEFAULT: ClassVar[Trim]
    MINIMAL: ClassVar[Trim]

    level: str = "default"
    modules: tuple[str, ...] = ()

    @property
    def value(self) -> str:
        """The option's value in words."""
        return ", ".join((self.level, *self.modules))

    @property
    def is_minimal(self) -> bool:
        """Whether everything that an application can do without is left out."""
        return self.level == "minimal"

    @property
    def strips(self) -> bool:
        """Whether debug information and symbol tables are removed."""
        return self.level != "none"

    @property
    def has_headers(self) -> bool:
        """Whether the headers for compiling C extensions are included."""
        return self.level == "none"

    def leaves_out(self, path: Path, *, on_top: bool) -> bool:
        """Return whether a file or folder of the standard library is left out.

        Parameters:
            on_top: whether it is directly in the standard library's folder.
        """
        return is_of_no_bundle(path, on_top=on_top) or self.cuts(path)

    def cuts(self, path: Path) -> bool:
        """Whether a file or folder stays out unless `include-files` brings it back."""
        patterns = {"none": (), "default": _DEFAULT, "minimal": _MINIMAL}[self.level]
        if any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns):
            return True
        name = path.name.partition(".")[0]
        return path.suffix in (".so", ".pyd") and any(
            OPTIONAL_MODULES[module] == name for module in self.modules
        )


Trim.NONE = Trim(level="none")
Trim.DEFAULT = Trim()
Trim.MINIMAL = Trim(level="minimal")


COPYLEFT: Final[Mapping[str, tuple[str, ...]]] = {
    "readline": ("libreadline.so*", "libhistory.so*"),
    "gdbm": ("libgdbm.so*", "libgdbm_compat.so*"),
}
"""Libraries under the GPL, which are left out unless requested by these names."""


def is_copyleft(library: str) -> bool:
    """Return whether a library is one of those under the GPL."""
    patterns = (pattern for each in COPYLEFT.values() for pattern in each)
    return any(fnmatch.fnmatch(library, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendoring:
    """Which shared libraries to vendor.

    Parameters:
        wanted: whether to vendor any.
        copyleft: names of the GPL libraries to vendor as well, keys of `COPYLEFT`.
    """

    wanted: bool = True
    copyleft: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What a bundled interpreter adds to an environment and changes in it.

    Parameters:
        scanned: the environment's entries; search paths that would keep its modules from finding
            the bundled libraries have been changed to a kind that does not.
        entries: the interpreter's entries.
        facts: what the manifest records about it.
        distributions: the base interpreter's packages that are included.
        notes: what a user may want to know.
        remarks: what most users can do nothing about.
        trimmed: arcnames of the interpreter's files and folders that `interpreter-trim` leaves out.
    """

    scanned: tuple[ScannedEntry, ...]
    entries: tuple[ScannedEntry, ...] = ()
    facts: Mapping[str, Any]
    distributions: tuple[InstalledDistribution, ...] = ()
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    trimmed: tuple[str, ...] = ()

    def told(self, head: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parts of a manifest's head that the bundle adds or changes."""
        added = [{"name": each.name, "version": each.version} for each in self.distributions]
        distributions = [*head["distributions"], *added]
        distributions.sort(key=lambda each: canonicalize_name(each["name"]))
        return {"distributions": distributions, "bundle": self.facts}
