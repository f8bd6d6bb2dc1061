"""What is installed in an environment, read from its metadata and never imported."""

from __future__ import annotations

import csv
import json
import posixpath
from dataclasses import dataclass
from importlib.metadata import PathDistribution, distributions
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from .errors import EnvironmentProblem
from .launchers import EntryPoint, parse_entry_points
from .records import recorded_arcname

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledDistribution:
    """One distribution of an environment.

    Parameters:
        name: as its metadata spells it; `key` is the normal form (PEP 503).
        metadata_dir: arcname of its `.dist-info` or `.egg-info`.
        files: arcnames that its RECORD (PEP 627) lists below the prefix; empty without one.
        editable_source: the folder or URL that an editable install (PEP 610, PEP 660) points to.
    """

    name: str
    version: str
    metadata_dir: str
    files: frozenset[str] = frozenset()
    entry_points: tuple[EntryPoint, ...] = ()
    editable_source: str | None = None

    @property
    def key(self) -> str:
        """The normalised name."""
        return canonicalize_name(self.name)

    @classmethod
    def from_metadata(cls, found: PathDistribution, site: str, prefix: Path) -> Self:
        """Read one distribution that lies in the site-packages folder `site` (an arcname).

        Raises:
            EnvironmentProblem: its metadata is unreadable; the message names the folder.
        """
        metadata_dir = posixpath.join(site, _folder_of(found).name)
        try:
            metadata = found.metadata
            name, version = metadata["Name"], metadata["Version"]
            entry_points = tuple(parse_entry_points(found.read_text("entry_points.txt") or ""))
        except (OSError, ValueError) as error:
            raise EnvironmentProblem(f"{metadata_dir} cannot be read: {error}") from error
        if not name or not version:
            raise EnvironmentProblem(
                f"{prefix / metadata_dir} has no name or version in its metadata: what an"
                " interrupted installation leaves; remove the folder or install the package again"
            )
        return cls(
            name=name,
            version=version,
            metadata_dir=metadata_dir,
            files=frozenset(_recorded_files(found, site, prefix)),
            entry_points=entry_points,
            editable_source=_editable_source(found.read_text("direct_url.json")),
        )


def installed_distributions(
    prefix: Path, sites: tuple[str, ...]
) -> Iterator[InstalledDistribution]:
    """Yield what is installed below a prefix, in the order of names.

    Parameters:
        sites: arcnames of the site-packages folders.

    Raises:
        EnvironmentProblem: metadata is unreadable or left half deleted.
    """
    for site in sites:
        found = [
            distribution
            for distribution in distributions(path=[str(prefix / site)])
            if isinstance(distribution, PathDistribution)
            # pip renames what it is about to remove to `~ame`; an interrupted run leaves it.
            and not _folder_of(distribution).name.startswith("~")
        ]
        for distribution in sorted(found, key=lambda each: _folder_of(each).name):
            yield InstalledDistribution.from_metadata(distribution, site, prefix)


def _folder_of(found: PathDistribution) -> Path:
    # The path has no public name; every importlib.metadata since 3.8 keeps it here.
    folder: Path = found._path  # type: ignore[assignment]
    return folder


def _recorded_files(found: PathDistribution, site: str, prefix: Path) -> Iterator[str]:
    for row in csv.reader((found.read_text("RECORD") or "").splitlines()):
        if row and row[0]:
            arcname = recorded_arcname(row[0], site, prefix)
            if not arcname.startswith("../"):
                yield arcname


def _editable_source(direct_url: str | None) -> str | None:
    try:
        facts: Any = json.loads(direct_url or "{}")
        if not facts.get("dir_info", {}).get("editable", False):
            return None
        url = str(facts["url"])
    except (ValueError, AttributeError, KeyError):
        return None
    return unquote(urlsplit(url).path) if url.startswith("file:") else url
