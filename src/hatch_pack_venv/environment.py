"""The prepared environment: what it is, and a read-only walk over what it holds."""

from __future__ import annotations

import os
import re
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from .distributions import InstalledDistribution, installed_distributions
from .entries import (
    DirectoryEntry,
    FileEntry,
    LinkTarget,
    ScannedEntry,
    SymlinkEntry,
    TargetKind,
    UnsupportedEntry,
)
from .errors import EnvironmentProblem
from .interpreter import Interpreter
from .links import copies_of, file_entry, portable_linkname, resolve_link, special_kind
from .macos import environment as macos_environment
from .metadata import prompt_of
from .scripts import data_files
from .spellings import other_spellings
from .windows import environment as windows_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from _typeshed import StrPath

_NAME: Final = attrgetter("name")
_SITE_PACKAGES: Final = re.compile(r"python(\d+\.\d+t?)")
_CREATE: Final = "create it with `python -m venv`, virtualenv, uv or Hatch"
_SCRIPT_LIMIT: Final = 1 << 20  # bytes; larger files in the scripts folder are no launchers
_SCRIPT_HEADS: Final = {False: (b"#!",), True: (b"#!", b"MZ")}  # by whether it is for Windows
_REWRITTEN: Final = {"direct_url.json", "RECORD", "pyvenv.cfg", "sitecustomize.py"}
_ENDINGS: Final = (*_REWRITTEN, ".pth", *data_files.ENDINGS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A virtual environment on disk (PEP 405).

    Parameters:
        prefix: the environment's real path.
        given: the path it was asked for by, absolute; its name names archives.
        aliases: other paths that lead to it, by which its files may name it.
        config: the keys of `pyvenv.cfg`, in lower case.
        interpreter: the facts of its base interpreter.
        scripts: arcname of the scripts folder.
        site_packages: arcnames of the site-packages folders, `lib` before `lib64`.
        distributions: what is installed there.
        aliases: further paths by which its scripts name it.
        containing: the real folder that holds it and its neighbours, if links between them stay.
    """

    prefix: Path
    given: Path
    config: Mapping[str, str] = field(repr=False)
    interpreter: Interpreter
    scripts: str = "bin"
    site_packages: tuple[str, ...]
    distributions: tuple[InstalledDistribution, ...] = field(repr=False)
    aliases: tuple[str, ...] = ()
    containing: Path | None = None

    @classmethod
    def from_prefix(
        cls,
        prefix: StrPath,
        *,
        ask: Callable[[Path], Interpreter] | None = None,
    ) -> Self:
        """Read a prepared environment; nothing of it is imported or written.

        Parameters:
            prefix: the folder that holds `pyvenv.cfg`.
            ask: how to get the facts of an interpreter; by default it is run, or where it cannot
                be, they are read from the tree.

        Raises:
            EnvironmentProblem: the folder is no environment, is half deleted, has lost its
                interpreter, or holds packages of two Pythons.
        """
        given = Path(os.path.abspath(prefix))
        config = _read_config(given)
        if windows_environment.is_windows(given):
            return cls._from_windows(given, config, ask)
        sites = _find_site_packages(given)
        aliases = other_spellings(given.resolve(), "bin")
        if ask is None and sys.platform != "darwin" and macos_environment.is_macos(given, config):
            aliases += macos_environment.spellings(given, config)
            answer = partial(macos_environment.interpreter_of, given, config, sites)
        else:
            answer = partial(ask or Interpreter.from_executable, _find_interpreter(given))
        with ThreadPoolExecutor(1) as pool:
            answered = pool.submit(answer)  # what is installed can be read while Python starts
            distributions = tuple(installed_distributions(given.resolve(), sites))
            interpreter = answered.result()
        _check_one_python(given, sites, interpreter)
        return cls(
            prefix=given.resolve(),
            given=given,
            config=config,
            interpreter=interpreter,
            site_packages=sites,
            distributions=distributions,
            aliases=aliases,
        )

    @classmethod
    def _from_windows(
        cls,
        given: Path,
        config: Mapping[str, str],
        ask: Callable[[Path], Interpreter] | None,
    ) -> Self:
        windows_environment.check_whole(given)
        if ask is None and os.name == "nt":
            ask = Interpreter.from_executable
        scripts, sites = windows_environment.SCRIPTS, (windows_environment.SITE_PACKAGES,)
        python = given / scripts / windows_environment.PYTHON
        facts = windows_environment.interpreter_of(given, config) if ask is None else ask(python)
        return cls(
            prefix=given.resolve(),
            given=given,
            config=config,
            interpreter=facts,
            scripts=scripts,
            site_packages=sites,
            distributions=tuple(installed_distributions(given.resolve(), sites, scripts)),
            aliases=windows_environment.spellings(given, config),
        )

    @property
    def is_windows(self) -> bool:
        """Whether it has the layout of Windows."""
        return self.interpreter.is_windows

    @property
    def runs_here(self) -> bool:
        """Whether its interpreter can be run on this machine, as far as its system tells."""
        return {"win32": os.name == "nt", "darwin": sys.platform == "darwin"}.get(
            self.interpreter.system, True
        )

    @property
    def include_system_site_packages(self) -> bool:
        """Whether the base interpreter's packages are visible in it (PEP 405)."""
        return self.config.get("include-system-site-packages", "false").lower() == "true"

    @property
    def prompt(self) -> str | None:
        """The name that was chosen for its prompt; uv writes a folder's name unasked."""
        prompt = prompt_of(self.config)
        return None if prompt in (self.given.name, self.given.parent.name) else prompt

    @property
    def spellings(self) -> tuple[str, ...]:
        """The paths by which its files may name it."""
        return tuple(dict.fromkeys((str(self.given), str(self.prefix), *self.aliases)))

    def is_of_interpreter(self, arcname: str) -> bool:
        """Whether a file or link is a name of the interpreter, or a copy of its library.

        `virtualenv --copies` puts both into the environment.
        """
        folder, _, name = arcname.rpartition("/")
        if folder == self.scripts and self.is_windows:
            return windows_environment.is_of_interpreter(name)
        if folder == self.scripts:
            return bool(re.fullmatch(r"pythonw?(\d+(\.\d+t?)?(-intel64)?)?", name))
        if folder != "lib":
            return False
        library = f"lib{self.interpreter.executable_name}"
        return name.startswith((f"{library}.so", f"{library}.dylib"))


def _read_config(prefix: Path) -> dict[str, str]:
    if not prefix.exists():
        raise EnvironmentProblem(f"there is no environment at {prefix}: {_CREATE}")
    if not prefix.is_dir():
        raise EnvironmentProblem(f"{prefix} is a file, not an environment's folder")
    path = prefix / "pyvenv.cfg"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise EnvironmentProblem(
            f"{prefix} is not a virtual environment, it has no pyvenv.cfg: {_CREATE}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentProblem(f"{path} cannot be read: {error}") from error
    pairs = (line.partition("=") for line in lines)
    return {key.strip().lower(): value.strip() for key, equals, value in pairs if equals}


def _find_site_packages(prefix: Path) -> tuple[str, ...]:
    found: list[str] = []
    for lib in ("lib", "lib64"):
        folder = prefix / lib
        if folder.is_symlink() or not folder.is_dir():
            continue
        names = [name for name in os.listdir(folder) if _SITE_PACKAGES.fullmatch(name)]
        found += [
            f"{lib}/{name}/site-packages"
            for name in sorted(names)
            if (folder / name / "site-packages").is_dir()
        ]
    if not found:
        raise EnvironmentProblem(
            f"{prefix} is incomplete, it has no lib/python3.*/site-packages: remove it and"
            " create it again"
        )
    return tuple(found)


def _find_interpreter(prefix: Path) -> Path:
    python = prefix / "bin" / "python"
    if not python.exists():
        if python.is_symlink():
            raise EnvironmentProblem(
                f"the interpreter of {prefix} is gone: bin/python leads to"
                f" {os.path.realpath(python)}, which does not exist; recreate the environment"
                " with an interpreter that is there"
            )
        raise EnvironmentProblem(
            f"{prefix} is incomplete, it has no bin/python: remove it and create it again"
        )
    return python


def _check_one_python(prefix: Path, sites: tuple[str, ...], interpreter: Interpreter) -> None:
    versions = list(dict.fromkeys(site.split("/")[1] for site in sites))
    if len(versions) > 1:
        raise EnvironmentProblem(
            f"{prefix} holds packages of two Pythons, {' and '.join(versions)}: remove it and"
            " create it again with one"
        )
    if versions[0] != interpreter.executable_name:
        raise EnvironmentProblem(
            f"{prefix} holds packages for {versions[0]}, but its bin/python is"
            f" {interpreter.executable_name}: remove it and create it again"
        )


def scan(environment: Environment, *, with_copies: bool = True) -> Iterator[ScannedEntry]:
    """Walk an environment without writing to it, parents first, names in order.

    Small files that a rule may rewrite carry their bytes, all others their path. Internal links
    carry a relative text.

    Parameters:
        with_copies: whether links that leave the environment carry the entries that can stand in
            their place.
    """
    return _Scanner(environment, with_copies=with_copies).entries()


_Found: TypeAlias = "tuple[str, os.DirEntry[str] | OSError]"


class _Scanner:
    def __init__(self, environment: Environment, *, with_copies: bool) -> None:
        self.environment = environment
        self.with_copies = with_copies
        self.boundary = environment.prefix
        self.scripts = f"{environment.scripts}/"

    def entries(self) -> Iterator[ScannedEntry]:
        """Yield what lies in the environment.

        No generator within a generator: each entry would be handed up through every folder.
        """
        root = str(self.environment.prefix)
        listings = [self._listing("", root)]
        while listings:
            found = next(listings[-1], None)
            if found is None:
                listings.pop()
                continue
            arcname, child = found
            entry = self._entry(arcname, child)
            yield entry
            if isinstance(entry, DirectoryEntry):
                listings.append(self._listing(arcname, f"{root}/{arcname}"))

    def _listing(self, arcname: str, path: str) -> Iterator[_Found]:
        """Return an iterator over what lies in a folder, in order, or why that cannot be told."""
        try:
            children = sorted(os.scandir(path), key=_NAME)
        except OSError as error:
            return iter([(arcname, error)])
        above = f"{arcname}/" if arcname else ""
        return iter([(above + child.name, child) for child in children])

    def _entry(self, arcname: str, child: os.DirEntry[str] | OSError) -> ScannedEntry:
        if isinstance(child, OSError):
            return _unreadable(arcname, child)
        try:
            status = child.stat(follow_symlinks=False)
        except OSError as error:  # it has gone since its folder was listed
            return _unreadable(arcname, error)
        if stat.S_ISREG(status.st_mode):
            return self._with_bytes(file_entry(arcname, child.path, status))
        if stat.S_ISDIR(status.st_mode):
            return DirectoryEntry(arcname=arcname, mtime=int(status.st_mtime))
        if stat.S_ISLNK(status.st_mode):
            return self._link(arcname, Path(child.path), int(status.st_mtime))
        return UnsupportedEntry(arcname=arcname, reason=f"is {special_kind(status.st_mode)}")

    def _with_bytes(self, entry: ScannedEntry) -> ScannedEntry:
        """Read a file that a rule may rewrite, wherever it lies."""
        if not isinstance(entry, FileEntry) or not self._may_be_rewritten(entry):
            return entry
        if not isinstance(entry.content, str):
            return entry
        is_script = entry.arcname.rpartition("/")[0] == self.environment.scripts
        try:
            heads = _SCRIPT_HEADS[self.environment.is_windows] if is_script else ()
            content = _read_rewritable(entry.content, heads)
        except OSError as error:
            return _unreadable(entry.arcname, error)
        if content is None:
            return entry
        return replace(entry, content=content, size=len(content))

    def _may_be_rewritten(self, entry: FileEntry) -> bool:
        arcname = entry.arcname
        if not arcname.endswith(_ENDINGS) and not arcname.startswith(self.scripts):
            return False  # so are nearly all
        folder, _, name = arcname.rpartition("/")
        if folder == self.environment.scripts:
            return entry.size <= _SCRIPT_LIMIT
        if name in _REWRITTEN or name.endswith(".pth"):
            return True
        return data_files.may_be_rewritten(arcname) and entry.size <= data_files.SIZE_LIMIT

    def _link(self, arcname: str, path: Path, mtime: int) -> ScannedEntry:
        target = resolve_link(path, self.boundary)
        if self.boundary.is_relative_to(target.path) and self.boundary != target.path:
            reason = f"leads to {target.path}, a folder that holds the environment itself"
            return UnsupportedEntry(arcname=arcname, reason=reason)
        linkname = portable_linkname(path, target, self.boundary) or os.readlink(path)
        external = target.kind in (TargetKind.EXTERNAL_FILE, TargetKind.EXTERNAL_DIRECTORY)
        containing = self.environment.containing
        if external and containing is not None and target.path.is_relative_to(containing):
            near = LinkTarget(
                kind=TargetKind.NEIGHBOUR, path=target.path, is_directory=target.is_directory
            )
            target, linkname = near, os.path.relpath(near.path, os.path.realpath(path.parent))
        copies = copies_of(target.path, arcname) if external and self.with_copies else ()
        return SymlinkEntry(
            arcname=arcname,
            linkname=linkname,
            target=target,
            copies=tuple(map(self._with_bytes, copies)),
            optional=arcname == "lib64",
            mtime=mtime,
        )


def _unreadable(arcname: str, error: OSError) -> UnsupportedEntry:
    return UnsupportedEntry(arcname=arcname, reason=f"cannot be read ({error.strerror})")


def _read_rewritable(path: str, heads: tuple[bytes, ...]) -> bytes | None:
    """Read a small file; if any heads are given, only one that begins so, in two bytes."""
    with open(path, "rb") as stream:
        if heads and stream.read(2) not in heads:
            return None
        stream.seek(0)
        return stream.read()
