"""Wheels as entries: the one just built and others that replace what the environment holds.

They are unpacked by pypa/installer; nothing is written to disk.
"""

from __future__ import annotations

import configparser
import csv
import glob
import os
import posixpath
import re
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Self

import installer
from installer.destinations import WheelDestination
from installer.exceptions import InstallerError
from installer.records import InvalidRecordEntry, RecordEntry
from installer.sources import WheelFile
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from ..metadata.files import ZIP_DAMAGE, open_file
from ..metadata.installed import about_of, headers_of
from ..model.distribution import EntryPoint, InstalledDistribution
from ..model.entries import FileEntry
from ..model.errors import WheelProblem
from ..platforms.platform import platform_of
from ..platforms.posix.launchers import relocate_script
from ..platforms.windows import detect as windows_detect
from ..platforms.windows.launchers import (
    Home,
    entry_point_launcher,
    script_launcher,
    starts_python_script,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from email.message import Message

    from installer.scripts import ScriptSection
    from installer.utils import Scheme
    from packaging.tags import Tag

    from ..model.environment import Environment
    from ..model.interpreter import Interpreter


_INSTALLER: Final = b"hatch-pack-venv\n"
_DAMAGE: Final = (
    *ZIP_DAMAGE,
    *(InstallerError, InvalidRecordEntry, AssertionError, csv.Error, configparser.Error),
)
"""What installer and the modules that it uses for reading raise for a damaged wheel."""
_LAUNCHER: Final = b"#!python\n"
"""A placeholder for a POSIX launcher, which the plan makes when it knows what must be checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelOverlay:
    """The files of a wheel where an installation would put them.

    Parameters:
        distribution: the wheel's distribution, as if it were installed.
        entries: its files, including launchers but no RECORD.
    """

    path: Path
    distribution: InstalledDistribution
    entries: tuple[FileEntry, ...]

    @classmethod
    def from_path(cls, path: Path, environment: Environment) -> Self:
        """Read a wheel for an environment.

        Raises:
            WheelProblem: it is missing, damaged, or for a Python other than the environment's.
        """
        name, version = _check_fits(path, environment.interpreter)
        destination = _Entries(environment, name)
        with _opened(path) as source:
            installer.install(source, destination, {"INSTALLER": _INSTALLER})
            metadata_dir = posixpath.join(destination.root, source.dist_info_dir)
        distribution = replace(
            _distribution(name, version, destination.metadata(metadata_dir)),
            metadata_dir=metadata_dir,
            files=frozenset(entry.arcname for entry in destination.entries),
            entry_points=tuple(destination.entry_points),
        )
        return cls(path=path, distribution=distribution, entries=tuple(destination.entries))


def described(path: Path, environment: Environment) -> InstalledDistribution:
    """Return a wheel's distribution as its metadata describes it, without its files.

    Raises:
        WheelProblem: it is missing, damaged, or for a Python other than the environment's.
    """
    name, version = _check_fits(path, environment.interpreter)
    with _opened(path) as source:
        text = source.read_dist_info("METADATA")
    return _distribution(name, version, headers_of(text))


@contextmanager
def _opened(path: Path) -> Iterator[WheelFile]:
    """Open a wheel, and turn anything that goes wrong with it into one sentence."""
    try:
        open_file(path).close()  # `zipfile` would block on a FIFO
        with zipfile.ZipFile(path) as archive:
            _check_sizes(archive, path.stat().st_size)
            yield WheelFile(archive)
    except FileNotFoundError:
        raise WheelProblem(f"there is no wheel {path}: build it first") from None
    except _DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise WheelProblem(f"the wheel {path} cannot be read: {reason}") from error


def _check_sizes(archive: zipfile.ZipFile, size: int) -> None:
    """Refuse a member that claims more bytes than there are: memory would be allocated for them."""
    for member in archive.infolist():
        if member.compress_size > size:
            message = f"{member.filename} is longer than the whole file"
            raise zipfile.BadZipFile(message)


def _distribution(name: str, version: str, metadata: Message) -> InstalledDistribution:
    """Return what the metadata of a wheel says."""
    return InstalledDistribution(
        name=name,
        version=version,
        metadata_dir="",
        requires=tuple(metadata.get_all("Requires-Dist", ())),
        requires_python=metadata.get("Requires-Python"),
        extras=tuple(metadata.get_all("Provides-Extra", ())),
        about=about_of(metadata),
    )


def found_wheels(wheels: Iterable[Path], *, newest: bool) -> tuple[Path, ...]:
    """Return the files that `wheels` names, each by its path or by a pattern.

    Versions from version control change with every commit, and so do the wheels' names.

    Parameters:
        newest: whether the newest version is used if a pattern matches several files; otherwise, it
            must match one file.

    Raises:
        WheelProblem: a pattern matches no file, or several.
    """
    return tuple(_found_wheel(wheel, newest=newest) for wheel in wheels)


def _version_of(wheel: str) -> Version:
    try:
        return parse_wheel_filename(os.path.basename(wheel))[1]
    except InvalidWheelFilename:
        return Version("0")


def _found_wheel(wheel: Path, *, newest: bool) -> Path:
    if wheel.exists() or not glob.has_magic(str(wheel)):
        return wheel
    found = sorted(glob.glob(str(wheel)))
    if newest:
        versions = {each: _version_of(each) for each in found}
        found = [each for each in found if versions[each] == max(versions.values())]
    if len(found) == 1:
        return Path(found[0])
    if not found:
        raise WheelProblem(f"no wheel matches {wheel}: build it first")
    names = ", ".join(os.path.basename(each) for each in found)
    raise WheelProblem(
        f"{len(found)} wheels match {wheel} ({names}): remove the old ones, name one, or set"
        " `wheels-newest = true`"
    )


def _check_fits(path: Path, interpreter: Interpreter) -> tuple[str, str]:
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise WheelProblem(
            f"{path} is not a wheel: its name must have the form name-1.0-py3-none-any.whl"
            f" ({error})"
        ) from error
    if not tags & frozenset(_supported_tags(interpreter)):
        raise WheelProblem(
            f"the wheel {path.name} is not compatible with the environment's CPython"
            f" {interpreter.version} on {interpreter.platform}: build it with that Python"
        )
    return canonicalize_name(name), str(version)


def _supported_tags(interpreter: Interpreter) -> Iterable[Tag]:
    major, minor = (int(part) for part in interpreter.minor.split("."))
    abis = [interpreter.abi]
    platforms = platform_of(interpreter).wheel_platforms(interpreter)
    yield from cpython_tags((major, minor), abis, platforms)
    yield from compatible_tags((major, minor), f"cp{major}{minor}", platforms)


class _Entries(WheelDestination):
    """Collects what pypa/installer would write."""

    def __init__(self, environment: Environment, name: str) -> None:
        site = environment.site_packages[0]
        minor = environment.interpreter.minor
        include = "Include" if environment.is_windows else "include"
        self.schemes = {
            "purelib": site,
            "platlib": environment.site_packages[-1],
            "scripts": environment.scripts,
            "headers": f"{include}/site/python{minor}/{name}",
            "data": "",
        }
        # The plan decides where the interpreter is, relative to the scripts.
        machine = environment.interpreter.machine
        self.home = Home(machine=machine) if environment.is_windows else None
        self.entries: list[FileEntry] = []
        self.entry_points: list[EntryPoint] = []
        self.launchers: set[str] = set()
        self.root = site

    def write_script(
        self, name: str, module: str, attr: str, section: ScriptSection
    ) -> RecordEntry:
        """Make the launcher of an entry point."""
        entry_point = EntryPoint(name=name, module=module, attr=attr, gui=section == "gui")
        self.entry_points.append(entry_point)
        if self.home is not None:
            name, content = f"{name}.exe", entry_point_launcher(entry_point, self.home)
        else:
            content = _LAUNCHER
        record = self._add(f"{self.schemes['scripts']}/{name}", content, executable=True)
        self.launchers.add(record.path)
        return record

    def write_file(
        self,
        scheme: Scheme,
        path: str | os.PathLike[str],
        stream: BinaryIO,
        is_executable: bool,  # noqa: FBT001
    ) -> RecordEntry:
        """Add a file; scripts are always executable."""
        content = stream.read()
        if scheme == "scripts" and self.home is not None:
            path, content = _windows_script(str(path), content, self.home)
        elif scheme == "scripts":
            # `#!python` names the interpreter next to the script (PEP 427).
            content = relocate_script(content, ()) or content
        arcname = posixpath.join(self.schemes[scheme], str(path))
        return self._add(arcname, content, executable=is_executable or scheme == "scripts")

    def finalize_installation(
        self,
        scheme: Scheme,
        record_file_path: str,  # noqa: ARG002
        records: Iterable[tuple[Scheme, RecordEntry]],  # noqa: ARG002
    ) -> None:
        """Remember which scheme the metadata went to; a RECORD is not written."""
        self.root = self.schemes[scheme]

    def metadata(self, metadata_dir: str) -> Message:
        """Return the core metadata; empty if there is none."""
        contents = {entry.arcname: entry.content for entry in self.entries}
        metadata = contents.get(f"{metadata_dir}/METADATA")
        content = metadata if isinstance(metadata, bytes) else b""
        return headers_of(content.decode("utf-8", "replace").replace("\r\n", "\n"))

    def _add(self, arcname: str, content: bytes, *, executable: bool) -> RecordEntry:
        arcname = posixpath.normpath(arcname)
        if arcname.startswith(("../", "/")):
            message = f"it contains a file that would be outside the environment, {arcname}"
            raise ValueError(message)
        if self.home is not None:
            arcname = windows_detect.as_there(arcname)
        if arcname not in self.launchers:  # with pip and uv, the entry point overrides a script
            entry = FileEntry.from_bytes(arcname, content, executable=executable)
            self.entries.append(entry)
        return RecordEntry(arcname, None, None)


def _windows_script(path: str, content: bytes, home: Home) -> tuple[str, bytes]:
    """Return a wheel's script as installers write it on Windows: as a launcher, if it is Python.

    distlib and pip strip the suffix `.py` (distlib.scripts, `_copy_script`).
    """
    head = starts_python_script(content)
    if head is None:
        return path, content
    name, options = head["name"].decode(), (head["options"] or b"").decode()
    launcher = script_launcher(content[head.end() :], home, name, options, gui=name == "pythonw")
    return f"{re.sub(r'[.]pyw?$', '', path)}.exe", launcher
