"""The clean room: where an unpacked archive runs with its originals on the build machine hidden.

A room is a list of options of bubblewrap. They are carried out by `bwrap`, or by `namespace.py`,
which knows only those that a room needs.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


PLACE: Final = "/tmp/Ünpacked here"  # noqa: S108 in the room, which has a /tmp of its own
"""Where archives are in a room: a path with a space and a non-ASCII letter."""
HOME: Final = "/tmp/home"  # noqa: S108
_BYTE_CODE: Final = "/tmp/pycache"  # noqa: S108
_PROGRAMS: Final = "/usr/local/bin:/usr/bin:/bin"
# No session of its own: bwrap creates that before it binds the room's life to its own, so that a
# room would be left behind if its process group were killed in between.
_ALONE: Final = ("--unshare-all", "--die-with-parent")
# Root can read what root may read, as in the source environment.
_RIGHTS: Final = ("--cap-drop", "ALL", "--cap-add", "CAP_DAC_OVERRIDE")
_SYSTEM: Final = ("--dev", "/dev", "--proc", "/proc")
_SECONDS: Final = 20


class NoRoomError(Exception):
    """No clean room can be made here; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """What makes rooms on this machine.

    Parameters:
        name: `bubblewrap` or `namespaces`.
        program: the words of a command that precede the options.
    """

    name: str
    program: tuple[str, ...]

    def command(self, options: Iterable[str], words: Iterable[str]) -> list[str]:
        """Return the command line that runs a command in a room."""
        return [*self.program, *_ALONE, *_RIGHTS, *options, "--", *words]


def _makers() -> Iterator[Maker]:
    bwrap = shutil.which("bwrap")
    if bwrap is not None:
        yield Maker(name="bubblewrap", program=(bwrap,))
    yield own_maker()


def own_maker() -> Maker:
    """Return what makes rooms without any program: this Python's system calls."""
    script = str(Path(__file__).with_name("namespace.py"))
    program = (sys.executable, "-I", "-S", script)
    return Maker(name="namespaces", program=program)


@cache
def find_maker() -> Maker:
    """Return what makes rooms here, after trying it out.

    Raises:
        NoRoomError: if nothing does.
    """
    if sys.platform != "linux":
        message = "clean rooms need Linux namespaces"
        raise NoRoomError(message)
    said = ""
    for maker in _makers():
        words = maker.command(["--ro-bind", "/", "/", *_SYSTEM], [sys.executable, "-I", "-S", "-c"])
        try:
            done = subprocess.run(
                [*words, ""], capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.SubprocessError) as error:
            said = str(error)
            continue
        if done.returncode == 0:
            return maker
        said = " ".join(done.stderr.split())
    raise NoRoomError(f"namespaces cannot be created here ({said})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """Which parts of the machine's file system are visible in a room.

    Parameters:
        hidden: files and folders that appear empty there.
        shown: those that are visible although a folder above them is hidden.
        named: the same, by the paths that were given, with links not followed.
    """

    hidden: frozenset[Path] = frozenset()
    shown: frozenset[Path] = frozenset()
    named: frozenset[Path] = frozenset()

    @classmethod
    def of(cls, *, hide: Iterable[Path], show: Iterable[Path] = ()) -> Self:
        """Return a sight of any paths: links are followed, and missing paths need no hiding."""
        seen = frozenset(show)
        return cls(
            hidden=frozenset(path for path in _real(hide) if not _is_of_system(path)),
            shown=frozenset(_real(seen)),
            named=seen,
        )

    def hiding(self, more: Iterable[Path]) -> Self:
        """Return a sight that hides more."""
        return type(self).of(hide=(*self.hidden, *more), show=self.named)

    def showing(self, more: Iterable[Path]) -> Self:
        """Return a sight that shows more."""
        return type(self).of(hide=self.hidden, show=(*self.named, *more))

    def hides(self, path: Path) -> bool:
        """Whether a path is hidden or is inside a hidden folder."""
        return not self.hidden.isdisjoint((path, *path.parents))

    def options(self) -> Iterator[str]:
        """Yield the options that hide and show paths, outer before inner ones."""
        empty = frozenset(Path(each) for each in _EMPTY if os.path.isdir(each)) - self.shown
        hidden = dict.fromkeys((*empty, *self.hidden), True)
        said = hidden | dict.fromkeys(self.shown, False)
        for path in sorted(said, key=lambda path: len(path.parts)):
            above = next((said[each] for each in path.parents if each in said), False)
            if said[path] == above:
                continue
            if not said[path]:
                yield from ("--ro-bind", str(path), str(path))
            elif path.is_dir():
                yield from ("--tmpfs", str(path))
            else:
                yield from ("--ro-bind", "/dev/null", str(path))

    def alone(self) -> Iterator[str]:
        """Yield the options that show paths in a room without any others, by all their names."""
        for path in sorted({*self.shown, *self.named}):
            if os.path.exists(path) and not self.shown & {*path.parents}:
                yield from ("--ro-bind", os.path.realpath(path), str(path))


# Empty in every room: sockets in /run can be connected to even if nothing can be written there.
# NixOS has its programs in /run.
_RUN: Final = "/run/user" if os.path.isdir("/run/current-system") else "/run"
_EMPTY: Final = ("/tmp", "/var/tmp", _RUN)  # noqa: S108


def _real(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if os.path.exists(path):
            yield Path(os.path.realpath(path))


def _is_of_system(path: Path) -> bool:
    """Whether nothing would run if this path were hidden."""
    parts = {Path(os.path.realpath(each)) for each in ("/bin/sh", "/etc", "/proc", "/dev", "/lib")}
    return any(part.is_relative_to(path) for part in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A way to run commands.

    Parameters:
        root: the environment's path, as commands in the room see it.
        options: the room's options; empty if commands run without a room.
        environ: the environment variables in it.
    """

    root: str
    environ: Mapping[str, str]
    maker: Maker | None = None
    options: tuple[str, ...] = field(default=(), repr=False)
    home: str = HOME

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the command line that runs a command in the room, in its home folder."""
        if self.maker is None:
            return [*words]
        return self.maker.command([*self.options, "--chdir", self.home], words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Furniture:
    """What a room is made of.

    Parameters:
        unpacked: the folder of the unpacked environment.
        inside: the environment's path below `PLACE`.
        byte_code: a folder for what Python compiles; `None` if the archive contains bytecode.
        beside: layers, by their paths relative to the environment.
        sight: which of the machine's files are visible.
    """

    unpacked: Path
    inside: str
    byte_code: Path | None
    beside: Mapping[str, Path] = field(default_factory=dict)
    sight: Sight

    @property
    def root(self) -> str:
        """The environment's path in the room."""
        return f"{PLACE}/{self.inside}" if self.inside else PLACE

    def options(self, *, writable: bool) -> Iterator[str]:
        """Yield the options for the unpacked files and for what every room has."""
        yield from ("--dir", HOME)
        yield from ("--bind" if writable else "--ro-bind", str(self.unpacked), self.root)
        for relative, path in self.beside.items():
            yield from ("--ro-bind", str(path), posixpath.normpath(f"{self.root}/{relative}"))
        if self.byte_code is not None:
            yield from ("--bind", str(self.byte_code), _BYTE_CODE)

    def variables(self) -> Iterator[tuple[str, str]]:
        """Yield the environment variables that say where things are in the room."""
        yield from (("HOME", HOME), ("TMPDIR", "/tmp"), ("LANG", "C.UTF-8"))  # noqa: S108
        yield "PATH", f"{self.root}/bin:{_PROGRAMS}"
        if self.byte_code is None:
            yield "PYTHONDONTWRITEBYTECODE", "1"
        else:
            yield "PYTHONPYCACHEPREFIX", _BYTE_CODE


def hidden_room(furniture: Furniture, maker: Maker, *, writable: bool = False) -> Room:
    """Return a room that has the machine's file system without the originals."""
    options = ["--ro-bind", "/", "/", *_SYSTEM]
    options += [*furniture.sight.options(), *furniture.options(writable=writable)]
    variables = {**clean_variables(os.environ), **dict(furniture.variables())}
    return Room(root=furniture.root, environ=variables, maker=maker, options=tuple(options))


def bare_room(furniture: Furniture, maker: Maker, *, writable: bool = False) -> Room:
    """Return a room that has the C library, its loader and a shell, and nothing else."""
    options = [*_SYSTEM, "--dir", "/tmp"]  # noqa: S108
    for path, place in bare_system():
        options += ["--ro-bind", path, place]
    options += furniture.sight.alone()
    options += furniture.options(writable=writable)
    variables = {**clean_variables(os.environ), **dict(furniture.variables())}
    return Room(root=furniture.root, environ=variables, maker=maker, options=tuple(options))


# The libraries of glibc that any program may need; all are from the same build as the loader.
_LIBRARIES: Final = re.compile(
    r"lib(c|m|dl|pthread|rt|resolv|util|anl|nss_(files|dns|compat))(-[\d.]+)?\.so(\.\d+)?"
)
_LOADER: Final = re.compile(r"(ld-linux.*|ld64|ld-[\d.]+)\.so(\.\d+)?")


def bare_system() -> Iterator[tuple[str, str]]:
    """Yield the files of a system with nothing but the C library and a shell, with their places.

    Raises:
        NoRoomError: if glibc is not found.
    """
    mapped = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape")
    library = re.search(r"(/\S*/)libc(-[\d.]+)?\.so[\d.]*$", mapped, re.MULTILINE)
    loader = re.search(r"(/\S*/)(ld-linux\S*|ld64\S*|ld-[\d.]+\.so)$", mapped, re.MULTILINE)
    if library is None or loader is None:
        message = "a bare room contains glibc, which this Python does not use"
        raise NoRoomError(message)
    for name in sorted(os.listdir(library[1])):
        if _LIBRARIES.fullmatch(name) or _LOADER.fullmatch(name):
            path = os.path.join(library[1], name)
            yield os.path.realpath(path), path
    yield from _named_loader()
    for shell in ("dash", "busybox"):
        found = shutil.which(shell)
        if found is not None:
            yield os.path.realpath(found), "/bin/sh"
            return


def _named_loader() -> Iterator[tuple[str, str]]:
    """Yield the loader by the name that programs request, which may be a link."""
    with open(sys.executable, "rb") as stream:
        match = re.search(rb"/lib\w*/ld[-\w.]+\.so[.\d]*\0", stream.read(1 << 16))
    if match is not None:
        path = match[0].rstrip(b"\0").decode()
        yield os.path.realpath(path), path


_OF_SESSION: Final = re.compile(r"DISPLAY$|WAYLAND_|XDG_|DBUS_")
_OF_PYTHON: Final = re.compile(r"LD_|DYLD_|PYTHON|VIRTUAL_ENV|HATCH_")


def without_session(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that do not lead to a display or to anything else of a session.

    No room has the variables that do, so a module that opens a window on import must fail in the
    source environment as well.
    """
    return {name: value for name, value in environ.items() if not _OF_SESSION.match(name)}


def clean_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that do not lead to anything on this machine.

    Variables that configure an application stay: they would be set on the target as well.
    """
    return {
        name: value
        for name, value in without_session(environ).items()
        if not _OF_PYTHON.match(name) and not _leads_somewhere(value)
    }


def _leads_somewhere(value: str) -> bool:
    parts = re.split(r"[:;,\s]", value)
    return any(os.path.isabs(part) and os.path.exists(part) for part in parts)
