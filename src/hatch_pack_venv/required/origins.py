"""Where an installed distribution came from against what a lock file says of it.

An installation from anything but an index leaves a `direct_url.json` (PEP 610). Hashes of archives
are compared where both sides have one of the same kind.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from packaging.direct_url import DirectUrl, DirectUrlValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.pylock import Package, PackageArchive, PackageDirectory, PackageVcs

    from ..distributions import InstalledDistribution

_PASSWORD: Final = re.compile(r"(?<=//)[^/@]*@")


def origin_of(distribution: InstalledDistribution) -> DirectUrl | None:
    """Return where a distribution was installed from; `None` where nothing readable tells it."""
    try:
        return DirectUrl.from_dict(json.loads(distribution.direct_url or "null"))
    except (ValueError, AttributeError, TypeError, DirectUrlValidationError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A source that is locked, and another that is there, in words."""

    locked: str
    there: str


def origin_difference(
    package: Package, distribution: InstalledDistribution, folder: Path
) -> Difference | None:
    """Return how a distribution came from elsewhere than a lock file says.

    Parameters:
        folder: the lock file's, which its paths are relative to.
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
    source = _shown(locked.url or locked.path or "")
    return Difference(
        locked=f"at commit {locked.commit_id} of {source}{below}", there=_told(origin)
    )


def _of_archive(locked: PackageArchive, origin: DirectUrl | None) -> Difference | None:
    if origin is not None and origin.archive_info is not None:
        agreed = _agree(origin, [locked.hashes])
        named = locked.url is None or origin.url.startswith("file:") or locked.url == origin.url
        if agreed or (agreed is None and named):
            return None
    source = f"from {_shown(locked.url or locked.path or '')}{_hashed(locked.hashes)}"
    return Difference(locked=source, there=_told(origin))


def _of_directory(
    locked: PackageDirectory, origin: DirectUrl | None, folder: Path
) -> Difference | None:
    """What is in a folder cannot be compared; a wheel that was built of it may lie anywhere."""
    if origin is not None and origin.url.startswith("file:") and origin.vcs_info is None:
        same = Path(_local_path(origin)).resolve() == (folder / locked.path).resolve()
        if same or origin.archive_info is not None:
            return None
    return Difference(locked=f"from the folder {locked.path}", there=_told(origin))


def _of_index(hashes: list[Mapping[str, str]], origin: DirectUrl | None) -> Difference | None:
    if origin is None:
        return None
    if origin.archive_info is not None and _agree(origin, hashes) is not False:
        return None
    return Difference(locked="from an index", there=_told(origin))


def _agree(origin: DirectUrl, locked: Iterable[Mapping[str, str]]) -> bool | None:
    """Whether an archive is one of those that are locked; `None` where no hash can be compared."""
    found = dict((origin.archive_info and origin.archive_info.hashes) or {})
    compared = [
        found[kind] == value for each in locked for kind, value in each.items() if kind in found
    ]
    return any(compared) if compared else None


def _told(origin: DirectUrl | None) -> str:
    if origin is None:
        return "one that records no source"
    below = f", {origin.subdirectory}" if origin.subdirectory else ""
    if origin.vcs_info is not None:
        return f"commit {origin.vcs_info.commit_id} of {_shown(origin.url)}{below}"
    if origin.dir_info is not None:
        return f"the folder {_local_path(origin)}"
    hashes = (origin.archive_info and origin.archive_info.hashes) or {}
    return f"{_shown(origin.url)}{_hashed(hashes)}"


def _hashed(hashes: Mapping[str, str]) -> str:
    listed = ", ".join(f"{kind} {value}" for kind, value in sorted(hashes.items()))
    return f" ({listed})" if listed else ""


def _local_path(origin: DirectUrl) -> str:
    return unquote(urlsplit(origin.url).path).rstrip("/")


def _shown(url: str) -> str:
    """Return a URL without who may read from it."""
    return _PASSWORD.sub("", url)
