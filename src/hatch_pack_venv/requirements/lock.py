"""Checks of installed distributions against a lock file (PEP 751)."""

from __future__ import annotations

import logging
import os
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from packaging.markers import UndefinedEnvironmentName
from packaging.pylock import Pylock, PylockUnsupportedVersionError, PylockValidationError
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from ..metadata.files import open_file
from ..metadata.installed import origin_of
from ..model.components import shown_url
from ..model.errors import LockProblem
from .closure import python_satisfies

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from packaging.direct_url import DirectUrl
    from packaging.markers import Marker
    from packaging.pylock import Package, PackageArchive, PackageDirectory, PackageVcs

    from ..model.distribution import InstalledDistribution


logger = logging.getLogger("hatch_pack_venv")
_KNOWN: Final = Version("1.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A locked source and the different one that is installed, in words."""

    locked: str
    there: str


def origin_difference(
    package: Package, distribution: InstalledDistribution, folder: Path
) -> Difference | None:
    """Return how a distribution's source differs from the locked one; `None` if it does not.

    Parameters:
        folder: the lock file's folder, to which its paths are relative.
    """
    origin = origin_of(distribution)
    if package.vcs is not None:
        return _of_vcs(package.vcs, origin)
    if package.archive is not None:
        return _of_archive(package.archive, origin)
    if package.directory is not None:
        return _of_directory(package.directory, origin, folder)
    hashes = [each.hashes for each in (*(package.wheels or ()), package.sdist) if each is not None]
    return _of_index(hashes, origin)


def _of_vcs(locked: PackageVcs, origin: DirectUrl | None) -> Difference | None:
    if origin is not None and origin.vcs_info is not None:
        same = origin.vcs_info.commit_id.lower() == locked.commit_id.lower()
        if same and (origin.subdirectory or "") == (locked.subdirectory or ""):
            return None
    below = f", {locked.subdirectory}" if locked.subdirectory else ""
    source = locked.path or shown_url(locked.url or "")
    return Difference(
        locked=f"at commit {locked.commit_id} of {source}{below}", there=_describe(origin)
    )


def _of_archive(locked: PackageArchive, origin: DirectUrl | None) -> Difference | None:
    if origin is not None and origin.archive_info is not None:
        agreed = _agree(origin, [locked.hashes])
        named = locked.url is None or origin.url.startswith("file:") or locked.url == origin.url
        if agreed or (agreed is None and named):
            return None
    source = f"from {locked.path or shown_url(locked.url or '')}{_hashed(locked.hashes)}"
    return Difference(locked=source, there=_describe(origin))


def _of_directory(
    locked: PackageDirectory, origin: DirectUrl | None, folder: Path
) -> Difference | None:
    """Compare paths only: contents cannot be compared, and a wheel built there may be anywhere."""
    if origin is not None and origin.url.startswith("file:") and origin.vcs_info is None:
        # Before Python 3.13, `Path.resolve` raises RuntimeError for links that form a loop.
        same = os.path.realpath(_local_path(origin)) == os.path.realpath(folder / locked.path)
        if same or origin.archive_info is not None:
            return None
    return Difference(locked=f"from the folder {locked.path}", there=_describe(origin))


def _of_index(hashes: list[Mapping[str, str]], origin: DirectUrl | None) -> Difference | None:
    if origin is None:
        return None
    if origin.archive_info is not None and _agree(origin, hashes) is not False:
        return None
    return Difference(locked="from an index", there=_describe(origin))


def _agree(origin: DirectUrl, locked: Iterable[Mapping[str, str]]) -> bool | None:
    """Whether an archive is one of the locked ones; `None` if no hash can be compared."""
    found = dict((origin.archive_info and origin.archive_info.hashes) or {})
    compared = [
        found[kind] == value for each in locked for kind, value in each.items() if kind in found
    ]
    return any(compared) if compared else None


def _describe(origin: DirectUrl | None) -> str:
    if origin is None:
        return "one that records no source"
    below = f", {origin.subdirectory}" if origin.subdirectory else ""
    if origin.vcs_info is not None:
        return f"commit {origin.vcs_info.commit_id} of {shown_url(origin.url)}{below}"
    if origin.dir_info is not None:
        return f"the folder {_local_path(origin)}"
    hashes = (origin.archive_info and origin.archive_info.hashes) or {}
    return f"{shown_url(origin.url)}{_hashed(hashes)}"


def _hashed(hashes: Mapping[str, str]) -> str:
    listed = ", ".join(f"{kind} {value}" for kind, value in sorted(hashes.items()))
    return f" ({listed})" if listed else ""


def _local_path(origin: DirectUrl) -> str:
    return unquote(urlsplit(origin.url).path).rstrip("/")


def _parsed(data: Mapping[str, Any], path: Path) -> Pylock:
    """Parse a lock file's table; warn about an unknown version, as PEP 751 asks.

    `packaging` warns as well, but without the file's name and bypassing the escaping of names.
    """
    others = logging.getLogger("packaging.pylock")
    before, others.disabled = others.disabled, True
    try:
        lock = Pylock.from_dict(data)
    finally:
        others.disabled = before
    if lock.lock_version > _KNOWN:
        logger.warning(
            "%s has lock-version %s: anything introduced after %s is ignored",
            path,
            lock.lock_version,
            _KNOWN,
        )
    return lock


class Lock:
    """What a lock file says for one Python on one platform.

    Parameters:
        path: the path of the file.
        markers: values of environment markers, as returned by `marker_environment`.
        extras: the project's extras to select; dependency groups are the file's default ones.
        others: further extras, selected only if the file was made with them.
    """

    def __init__(
        self,
        lock: Pylock,
        path: Path,
        markers: Mapping[str, str],
        extras: Iterable[str] = (),
        others: Iterable[str] = (),
    ) -> None:
        self.lock = lock
        self.name = path.name
        self.folder = path.parent
        self.markers = markers
        known = set(map(canonicalize_name, others)) & set(lock.extras or ())
        self.extras = known | set(map(canonicalize_name, extras))
        self.groups = frozenset(lock.default_groups or ())
        self.selected: dict[str, list[Package]] = {}
        for package in filter(self._is_meant, lock.packages):
            self.selected.setdefault(package.name, []).append(package)

    @classmethod
    def from_path(
        cls,
        path: Path,
        markers: Mapping[str, str],
        extras: Iterable[str] = (),
        *,
        others: Iterable[str] = (),
    ) -> Lock:
        """Read a lock file.

        Raises:
            LockProblem: the file is missing, unreadable, or not a lock file of version 1.
        """
        try:
            with open_file(path) as stream:
                data = tomllib.load(stream)
            return cls(_parsed(data, path), path, markers, extras, others)
        except FileNotFoundError:
            raise LockProblem(f"there is no lock file {path}: export it first") from None
        except RecursionError:
            raise LockProblem(f"the lock file {path} is nested too deeply") from None
        except (OSError, ValueError) as error:
            raise LockProblem(f"the lock file {path} cannot be read: {error}") from error
        except (
            PylockValidationError,
            PylockUnsupportedVersionError,
            UndefinedEnvironmentName,
        ) as error:
            told = f"a marker uses the unknown {error}" if isinstance(error, KeyError) else error
            raise LockProblem(
                f"{path} is not a valid lock file (PEP 751): {told}; export one, for example with"
                " `uv export --format pylock.toml` or `pip lock`"
            ) from error

    def findings(
        self,
        packed: Mapping[str, InstalledDistribution],
        *,
        locked: Collection[str],
        complete: bool,
    ) -> list[str]:
        """Return a sentence for each difference between what is packed and the lock file.

        Parameters:
            packed: the distributions to compare with it, by normalised name.
            locked: normalised names of the distributions that it must lock.
            complete: whether everything that it selects must be packed.
        """
        found = self._of_lock()
        for name, packages in self.selected.items():
            if len(packages) > 1:
                versions = " and ".join(str(each.version) for each in packages)
                found.append(f"{self.name} locks {name} more than once: {versions}")
            else:
                found += self._of_package(packages[0], packed.get(name), missing=complete)
        found += [
            f"{packed[key].name} {packed[key].version} is required, but {self.name} does not"
            " lock it"
            for key in sorted(locked)
            if key in packed and key not in self.selected
        ]
        return found

    def hashes_of(self, key: str, tags: Collection[str]) -> Mapping[str, str]:
        """Return the locked hashes of the file that a distribution was installed from.

        Of several wheels, that is the one with the tags. The hashes of a source distribution do not
        count, because a wheel built from it is a different file.

        Parameters:
            key: the distribution's normalised name.
            tags: the tags of the installed wheel, such as `cp311-cp311-linux_x86_64`.
        """
        for package in self.selected.get(key, ()):
            if package.archive is not None:
                return package.archive.hashes
            wheels = [each for each in package.wheels or () if _wheel_tags(each.filename) & {*tags}]
            if len(wheels) == 1:
                return wheels[0].hashes
        return {}

    def _is_meant(self, package: Package) -> bool:
        environment: dict[str, Any] = {
            **self.markers,
            "extras": frozenset(self.extras),
            "dependency_groups": self.groups,
        }
        return package.marker is None or package.marker.evaluate(environment, context="lock_file")

    def _holds(self, environment: Marker) -> bool:
        """Whether a marker is true; one that cannot be evaluated counts as true."""
        try:
            return environment.evaluate(dict(self.markers), context="requirement")
        except (KeyError, ValueError):
            return True

    def _of_lock(self) -> list[str]:
        """Return what is wrong with the file as a whole."""
        found = []
        python = self.markers["python_full_version"]
        needs = self.lock.requires_python
        if needs and not python_satisfies(python, needs):
            found.append(f"{self.name} is for Python {needs}; the environment has {python}")
        meant = self.lock.environments
        if meant is not None and not any(map(self._holds, meant)):
            told = " or ".join(map(str, meant))
            found.append(f"{self.name} is for environments other than this one: {told}")
        if self.lock.extras is not None:
            found += [
                f"{self.name} was made without the extra {extra}"
                for extra in sorted(self.extras - set(self.lock.extras))
            ]
        return found

    def _of_package(
        self, package: Package, there: InstalledDistribution | None, *, missing: bool
    ) -> list[str]:
        said = f"{self.name} locks {package.name} {package.version or ''}".rstrip()
        if there is None:
            return [f"{said}; the environment has none"] if missing else []
        found = []
        if package.version is not None and not _is_version(there.version, package.version):
            found.append(f"{said}; the environment has {there.name} {there.version}")
        difference = origin_difference(package, there, self.folder)
        if difference is not None:
            found.append(f"{said} {difference.locked}; the environment has {difference.there}")
        python = self.markers["python_full_version"]
        if package.requires_python and not python_satisfies(python, package.requires_python):
            needs = package.requires_python
            found.append(f"{said} for Python {needs}; the environment has {python}")
        return found


def _is_version(text: str, version: Version) -> bool:
    try:
        return Version(text) == version
    except ValueError:
        return text == str(version)


def _wheel_tags(filename: str) -> frozenset[str]:
    try:
        return frozenset(map(str, parse_wheel_filename(filename)[3]))
    except InvalidWheelFilename:
        return frozenset()
