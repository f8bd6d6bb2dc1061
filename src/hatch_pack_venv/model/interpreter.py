"""A base interpreter, and what of it a bundle brings: values."""

from __future__ import annotations

import enum
import fnmatch
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

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
        version: complete, `3.11.7`.
        minor: `3.11`.
        abi: as in wheel tags, with `t` for a free-threaded and `d` for a debug build: `cp313t`.
        cache_tag: as in the names of byte code files, `cpython-311`.
        pointer_bits: 32 or 64.
        system: `sys.platform`.
        machine: `x86_64`, `aarch64`, …
        platform: as `sysconfig.get_platform()`, `linux-x86_64`.
        executable: the base interpreter itself, no link.
        base_prefix: where it is installed, no link.
        stdlib: its standard library, no link.
        platlibdir: `lib`, or `lib64` on Fedora's kind of systems.
        library: the libpython that it runs from, if it is not part of the executable.
        site_packages: where it looks for packages of its own.
        include: its headers.
        wheel_folder: where `ensurepip` finds its wheels, if not in itself (Debian, Fedora).
        debian: whether it is the system Python of Debian or Ubuntu, whose packages lie in
            `dist-packages`.
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
    debian: bool = False

    @property
    def free_threaded(self) -> bool:
        """Whether this is a build without the global interpreter lock (PEP 703)."""
        return "t" in self.abi.removeprefix("cp")

    @property
    def is_windows(self) -> bool:
        """Whether it runs on Windows."""
        return self.system == "win32"

    @property
    def platform_tag(self) -> str:
        """The platform as in wheel tags."""
        return self.platform.replace("-", "_").replace(".", "_")

    @property
    def executable_name(self) -> str:
        """The interpreter's own name in the scripts folder, `python3.11` or `python3.13t`."""
        if self.is_windows:
            return "python.exe"
        return f"python{self.minor}{'t' if self.free_threaded else ''}"

    def check_supported(self, executable: Path) -> None:
        """Refuse another implementation and old versions.

        Parameters:
            executable: what to name.

        Raises:
            EnvironmentProblem: it is no CPython 3.9 or later.
        """
        minor = tuple(int(part) for part in self.minor.split("."))
        if self.implementation != "cpython" or minor < (3, 9):
            raise EnvironmentProblem(
                f"{executable} is {self.implementation} {self.version}; only environments of"
                " CPython 3.9 and later can be packed"
            )


def is_fixed_path(interpreter: str) -> bool:
    """Whether an option names an interpreter by its path, in a form that `pyvenv.cfg` can hold."""
    return (
        posixpath.isabs(interpreter)
        and posixpath.normpath(interpreter) == interpreter
        and interpreter == interpreter.strip()
        and interpreter.isprintable()
        and posixpath.dirname(interpreter) != "/"
    )


_NEVER: Final = {"__pycache__", "dist-packages", "site-packages", "EXTERNALLY-MANAGED"}
_NEVER_ON_TOP: Final = {"sitecustomize.py", "usercustomize.py"}

# What a running application never needs: tests, IDLE, what C programs are linked with.
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

# What some need: pip for child environments, 2to3, help("if"), Tk, network information service
# (which brings Kerberos along) and the sound devices of old.
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
        on_top: whether it lies directly in the standard library's folder.
    """
    return path.name in _NEVER or (on_top and path.name in _NEVER_ON_TOP)


class Trim(enum.Enum):
    """What is left out of the interpreter."""

    NONE = "none"
    DEFAULT = "default"
    MINIMAL = "minimal"

    @property
    def strips(self) -> bool:
        """Whether debug information and symbol tables stay out."""
        return self is not Trim.NONE

    @property
    def has_headers(self) -> bool:
        """Whether what C extensions are compiled with comes along."""
        return self is Trim.NONE

    def leaves_out(self, path: Path, *, on_top: bool) -> bool:
        """Whether a file or folder of the standard library stays out.

        Parameters:
            on_top: whether it lies directly in the standard library's folder.
        """
        return is_of_no_bundle(path, on_top=on_top) or self.cuts(path)

    def cuts(self, path: Path) -> bool:
        """Whether a file or folder stays out unless `include-files` brings it back."""
        patterns = {Trim.NONE: (), Trim.DEFAULT: _DEFAULT, Trim.MINIMAL: _MINIMAL}[self]
        return any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns)


COPYLEFT: Final[Mapping[str, tuple[str, ...]]] = {
    "readline": ("libreadline.so*", "libhistory.so*"),
    "gdbm": ("libgdbm.so*", "libgdbm_compat.so*"),
}
"""Libraries under the GPL, which stay out unless they are asked for by these names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendoring:
    """What was asked for.

    Parameters:
        wanted: whether any do.
        copyleft: names of those under the GPL that do as well, keys of `COPYLEFT`.
    """

    wanted: bool = True
    copyleft: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What a bundled interpreter adds to an environment and changes of it.

    Parameters:
        scanned: the environment's entries; search paths that would keep its modules from finding
            the libraries are of the kind that does not.
        entries: the interpreter's entries.
        facts: what the manifest says of it.
        distributions: the base interpreter's packages that come along.
        notes: what a user may want to know of.
    """

    scanned: tuple[ScannedEntry, ...]
    entries: tuple[ScannedEntry, ...] = ()
    facts: Mapping[str, Any]
    distributions: tuple[InstalledDistribution, ...] = ()
    notes: tuple[str, ...] = ()

    def told(self, head: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a manifest's head says with the bundle in it."""
        added = [{"name": each.name, "version": each.version} for each in self.distributions]
        distributions = [*head["distributions"], *added]
        distributions.sort(key=lambda each: canonicalize_name(each["name"]))
        return {"distributions": distributions, "bundle": self.facts}
