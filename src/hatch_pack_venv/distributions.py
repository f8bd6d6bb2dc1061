"""What is installed in an environment, read from its metadata and never imported."""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass, replace
from email.parser import HeaderParser
from importlib.metadata import PathDistribution, distributions
from typing import TYPE_CHECKING, Final, Self

from packaging.utils import canonicalize_name

from .editable.installs import Editable, developed, recognise
from .errors import EnvironmentProblem
from .old_metadata import files_without_record
from .records import recorded_arcname, rows_of
from .scripts.launchers import EntryPoint, parse_entry_points

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from email.message import Message
    from pathlib import Path

# The first lines of the scripts that `setup.py develop` writes, of both kinds.
_DEVELOP_SCRIPT: Final = re.compile(
    rb"#![^\n]*\n# EASY-INSTALL-(?:ENTRY|DEV)-SCRIPT: '([^'=]+)(?:==[^']*)?',"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledDistribution:
    """One distribution of an environment.

    Parameters:
        name: as its metadata spells it; `key` is the normal form (PEP 503).
        metadata_dir: arcname of its `.dist-info` or `.egg-info`.
        files: arcnames below the prefix that its RECORD (PEP 627) lists, else those that older
            metadata tell of; empty where nothing does.
        requires: the requirements of its metadata, markers included.
        requires_python: its `Requires-Python`.
        extras: those that it provides.
        direct_url: the text of its `direct_url.json` (PEP 610); `None` without one.
        editable: how it is editable (PEP 610, PEP 660, `setup.py develop`); `None` if it is not.
    """

    name: str
    version: str
    metadata_dir: str
    files: frozenset[str] = frozenset()
    entry_points: tuple[EntryPoint, ...] = ()
    requires: tuple[str, ...] = ()
    requires_python: str | None = None
    extras: tuple[str, ...] = ()
    direct_url: str | None = None
    editable: Editable | None = None

    @property
    def key(self) -> str:
        """The normalised name."""
        return canonicalize_name(self.name)

    @property
    def editable_source(self) -> str | None:
        """The folder or URL that an editable install points to."""
        return None if self.editable is None else self.editable.source

    @classmethod
    def from_metadata(cls, found: PathDistribution, site: str, prefix: Path) -> Self:
        """Read one distribution that lies in the site-packages folder `site` (an arcname).

        Raises:
            EnvironmentProblem: its metadata is unreadable; the message names the folder.
        """
        metadata_dir = posixpath.join(site, _folder_of(found).name)
        try:
            metadata = _headers(found)
            name, version = metadata["Name"], metadata["Version"]
            entry_points = tuple(parse_entry_points(found.read_text("entry_points.txt") or ""))
        except (OSError, ValueError) as error:
            raise EnvironmentProblem(f"{metadata_dir} cannot be read: {error}") from error
        if not name or not version:
            raise EnvironmentProblem(
                f"{prefix / metadata_dir} has no name or version in its metadata: what an"
                " interrupted installation leaves; remove the folder or install the package again"
            )
        files = frozenset(_recorded_files(found, site, prefix))
        files = files or frozenset(files_without_record(_folder_of(found), site, prefix))
        direct_url = found.read_text("direct_url.json")
        editable = recognise(prefix, site, files, direct_url)
        if editable is not None:
            editable = replace(editable, names=_module_names(found, name, entry_points))
        return cls(
            name=name,
            version=version,
            metadata_dir=metadata_dir,
            files=files,
            entry_points=entry_points,
            requires=tuple(_requirements(found, metadata)),
            requires_python=metadata.get("Requires-Python"),
            extras=tuple(metadata.get_all("Provides-Extra") or ()),
            direct_url=direct_url,
            editable=editable,
        )

    @classmethod
    def from_development(
        cls, found: PathDistribution, editable: Editable, site: str, prefix: Path, scripts: str
    ) -> Self:
        """Read one that `setup.py develop` made, whose metadata lie in its source folder.

        `metadata_dir` is what an installation would make.
        """
        read = cls.from_metadata(found, site, prefix)
        name = re.sub(r"[-_.]+", "_", read.name)
        return replace(
            read,
            metadata_dir=f"{site}/{name}-{read.version}.dist-info",
            files=editable.hooks | frozenset(_develop_scripts(prefix, scripts, read.key)),
            editable=replace(editable, names=_module_names(found, read.name, read.entry_points)),
        )


def installed_distributions(
    prefix: Path, sites: tuple[str, ...], scripts: str = "bin"
) -> Iterator[InstalledDistribution]:
    """Yield what is installed below a prefix, in the order of names.

    Parameters:
        sites: arcnames of the site-packages folders.
        scripts: that of the scripts folder.

    Raises:
        EnvironmentProblem: metadata is unreadable or left half deleted.
    """
    installed = [
        InstalledDistribution.from_metadata(found, site, prefix)
        for site in sites
        for found in _with_metadata(prefix / site)
    ]
    yield from installed
    yield from _developed_distributions(prefix, sites, installed, scripts)


def _with_metadata(site: Path) -> list[PathDistribution]:
    found = [
        distribution
        for distribution in distributions(path=[str(site)])
        if isinstance(distribution, PathDistribution)
        # pip renames what it is about to remove to `~ame`; an interrupted run leaves it.
        and not _folder_of(distribution).name.startswith("~")
    ]
    return sorted(found, key=lambda each: _folder_of(each).name)


def _developed_distributions(
    prefix: Path, sites: tuple[str, ...], installed: list[InstalledDistribution], scripts: str
) -> Iterator[InstalledDistribution]:
    """Yield those that only links and lines to their source folders tell of."""
    keys = {distribution.key for distribution in installed}
    owned = {line for each in installed if each.editable for line in each.editable.lines}
    for site in sites:
        for metadata, editable in developed(prefix, site, owned):
            distribution = InstalledDistribution.from_development(
                PathDistribution(metadata), editable, site, prefix, scripts
            )
            if distribution.key not in keys:
                keys.add(distribution.key)
                yield distribution


def _folder_of(found: PathDistribution) -> Path:
    # The path has no public name; every importlib.metadata since 3.8 keeps it here.
    folder: Path = found._path  # type: ignore[assignment]
    return folder


def _headers(found: PathDistribution) -> Message:
    """Return the core metadata without the description, which takes most of the time to parse."""
    text = found.read_text("METADATA") or found.read_text("PKG-INFO") or found.read_text("") or ""
    return HeaderParser().parsestr(text.partition("\n\n")[0])


def _requirements(found: PathDistribution, metadata: Message) -> Iterable[str]:
    if _folder_of(found).suffix == ".dist-info":
        return metadata.get_all("Requires-Dist") or ()
    return found.requires or ()  # reads the metadata once more, or requires.txt


def _recorded_files(found: PathDistribution, site: str, prefix: Path) -> Iterator[str]:
    for row in rows_of(found.read_text("RECORD") or ""):
        arcname = recorded_arcname(row[0], site, prefix)
        if not arcname.startswith("../"):
            yield arcname


def _module_names(
    found: PathDistribution, name: str, entry_points: Iterable[EntryPoint]
) -> frozenset[str]:
    """Return the top-level modules that metadata speak of, and the one named as the project is."""
    named = [name.replace("-", "_"), *(point.module for point in entry_points)]
    named += (found.read_text("top_level.txt") or "").split()
    for field in ("Import-Name", "Import-Namespace"):  # PEP 794
        named += _headers(found).get_all(field) or ()
    return frozenset(re.split(r"[.;\s/]", each, maxsplit=1)[0] for each in named)


def _develop_scripts(prefix: Path, scripts: str, key: str) -> Iterator[str]:
    for path in sorted((prefix / scripts).iterdir()):
        if path.is_symlink() or not path.is_file() or not os.access(path, os.R_OK):
            continue
        with path.open("rb") as stream:
            match = _DEVELOP_SCRIPT.match(stream.read(1024))
        if match and canonicalize_name(match[1].decode("utf-8", "replace")) == key:
            yield f"{scripts}/{path.name}"
