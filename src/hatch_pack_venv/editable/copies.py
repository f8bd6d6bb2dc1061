"""Editable installs settled before anything is planned: copied, left out, or left to be refused.

A copied one becomes what a regular installation would have made of it, an ordinary distribution
with ordinary files, so that every rule of the plan holds for it too.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..entries import DirectoryEntry, FileEntry, ScannedEntry
from ..metadata import path_lines
from ..records import record_rows
from ..selection import parents_of
from .finders import MODULE_SUFFIXES
from .sources import (
    borrowed_library,
    carried,
    digest_of,
    installed_metadata,
    same_content,
    source_entries,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..distributions import InstalledDistribution
    from ..environment import Environment
    from .installs import Editable

_DEVELOP_FILE: Final = re.compile(rb"^__file__ = '(?P<path>[^'\n]+)'$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """An environment whose editable installs are settled.

    Parameters:
        environment: with the copied ones as ordinary distributions.
        excluded: normalised names of those that are to be left out.
        lines: lines of `.pth` files that belong to what is gone.
        gone: arcnames of files and folders that are gone.
        contents: what some files hold instead.
        rows: what is added to RECORD files, by arcname.
        added: the entries of what was copied.
    """

    environment: Environment
    excluded: frozenset[str] = frozenset()
    lines: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    contents: Mapping[str, bytes] = field(default_factory=dict)
    rows: Mapping[str, bytes] = field(default_factory=dict)
    added: tuple[ScannedEntry, ...] = ()

    def applied(self, scanned: Iterable[ScannedEntry]) -> Iterator[ScannedEntry]:
        """Yield the environment's entries as if nothing had been editable."""
        entries = list(scanned)
        if not (self.gone or self.lines or self.contents or self.rows or self.added):
            yield from entries
            return
        kept = [entry for entry in entries if not self._is_gone(entry.arcname)]
        parents = parents_of(entry.arcname for entry in kept)
        emptied = parents_of(entry.arcname for entry in entries) - parents
        for entry in kept:
            changed = None if entry.arcname in emptied else self._changed(entry)
            if changed is not None:
                yield changed
        yield from self.added

    def _is_gone(self, arcname: str) -> bool:
        folder, name = posixpath.split(arcname)
        if posixpath.basename(folder) == "__pycache__":
            module = posixpath.join(posixpath.dirname(folder), f"{name.split('.')[0]}.py")
            if module in self.gone:
                return True
        return any(arcname == gone or arcname.startswith(f"{gone}/") for gone in self.gone)

    def _changed(self, entry: ScannedEntry) -> ScannedEntry | None:
        if not isinstance(entry, FileEntry) or not isinstance(entry.content, bytes):
            return entry
        content = self.contents.get(entry.arcname, entry.content)
        if entry.arcname in self.rows:
            content = content.rstrip() + b"\n" + self.rows[entry.arcname]
        folder, name = posixpath.split(entry.arcname)
        if self.lines and folder in self.environment.site_packages and name.endswith(".pth"):
            content = _without_lines(content, self.lines)
            if not content.strip() and entry.content.strip():
                return None
        return replace(entry, content=content, size=len(content))


def settle_editables(
    environment: Environment, rule: str, replaced: frozenset[str] = frozenset()
) -> Settled:
    """Decide what becomes of an environment's editable installs; nothing of it is written.

    Parameters:
        rule: `error`, which leaves them to be refused by the plan, `copy` or `exclude`.
        replaced: normalised names of distributions that are left out or replaced in any case.
    """
    editables = [each for each in environment.distributions if each.editable is not None]
    leaving = [each for each in editables if each.key in replaced or rule == "exclude"]
    lines, gone = _traces(environment, leaving)
    excluded = frozenset(each.key for each in leaving) - replaced
    settled = Settled(environment=environment, excluded=excluded, lines=lines, gone=gone)
    if rule != "copy":
        return settled
    copier = _Copier(environment, replaced)
    copier.copy([each for each in editables if each.key not in replaced])
    return copier.settled(settled)


def _traces(
    environment: Environment, distributions: Iterable[InstalledDistribution]
) -> tuple[frozenset[str], frozenset[str]]:
    """Return the lines and the files by which editable installs are importable."""
    lines: set[str] = set()
    gone: set[str] = set()
    for editable in filter(None, (each.editable for each in distributions)):
        lines |= editable.lines
        gone |= editable.hooks | set(_inside(environment, editable))
    return frozenset(lines), frozenset(gone)


def _inside(environment: Environment, editable: Editable) -> Iterator[str]:
    """Yield the arcname of a source folder inside the environment (`pip install -e git+…`)."""
    source = Path(os.path.realpath(editable.source))
    if source.is_relative_to(environment.prefix) and source != environment.prefix:
        arcname = source.relative_to(environment.prefix).as_posix()
        if not any(f"{site}/".startswith(f"{arcname}/") for site in environment.site_packages):
            yield arcname


def _without_lines(path_file: bytes, lines: frozenset[str]) -> bytes:
    text = path_file.decode("utf-8", "surrogateescape")
    if not lines & set(path_lines(text)):
        return path_file
    kept = (line for line in text.splitlines(keepends=True) if line.rstrip() not in lines)
    return "".join(kept).encode("utf-8", "surrogateescape")


class _Copier:
    """Copies editable installs one after the other, and remembers what it has put where."""

    def __init__(self, environment: Environment, replaced: frozenset[str]) -> None:
        self.environment = environment
        self.absent = {
            name
            for each in environment.distributions
            if each.key in replaced
            for name in each.files
        }
        self.owners: dict[str, tuple[InstalledDistribution, ScannedEntry]] = {}
        self.distributions = {each.metadata_dir: each for each in environment.distributions}
        self.contents: dict[str, bytes] = {}
        self.rows: dict[str, bytes] = {}
        self.done: list[InstalledDistribution] = []

    def copy(self, editables: Iterable[InstalledDistribution]) -> None:
        """Copy them; one that cannot be copied keeps its `editable`, with the reason."""
        for distribution in editables:
            editable = distribution.editable
            if editable is None:
                continue
            problem = editable.problem or self._unreadable(distribution, editable)
            entries = [] if problem else self._copies(distribution, editable)
            problem = problem or self._problem(distribution, editable, entries)
            if problem is None:
                self.done.append(distribution)
                self._install(distribution, editable, [carried(entry) for entry in entries])
            else:
                refused = replace(distribution, editable=replace(editable, problem=problem))
                self.distributions[distribution.metadata_dir] = refused

    def settled(self, settled: Settled) -> Settled:
        """Return what was decided, with what was copied."""
        lines, gone = _traces(self.environment, self.done)
        distributions = tuple(self.distributions.values())
        return replace(
            settled,
            environment=replace(self.environment, distributions=distributions),
            lines=settled.lines | lines,
            gone=settled.gone | gone,
            contents=self.contents,
            rows=self.rows,
            added=tuple(entry for _, entry in self.owners.values()),
        )

    def _copies(
        self, distribution: InstalledDistribution, editable: Editable
    ) -> list[ScannedEntry]:
        """Return what is importable by it and not in the environment already."""
        site = posixpath.dirname(distribution.metadata_dir)
        return [
            entry
            for entry in source_entries(distribution.name, editable, site)
            if isinstance(entry, DirectoryEntry)
            or entry.arcname in self.absent
            or not os.path.lexists(self.environment.prefix / entry.arcname)
        ]

    def _unreadable(self, distribution: InstalledDistribution, editable: Editable) -> str | None:
        """Say what is not there to be copied."""
        for exposed in editable.exposed:
            if not exposed.name and exposed.path.is_file():
                return f"{exposed.path} is no folder"
        wanted = [exposed.path for exposed in editable.exposed]
        if editable.metadata is not None:
            scripts = (self._develop_source(name) for name in distribution.files - editable.hooks)
            wanted += [path for path in scripts if path is not None]
        gone = [path for path in wanted if not os.access(path, os.R_OK)]
        return f"{gone[0]} is not there or cannot be read" if gone else None

    def _problem(
        self,
        distribution: InstalledDistribution,
        editable: Editable,
        entries: list[ScannedEntry],
    ) -> str | None:
        """Say why these entries cannot stand for the source folder."""
        installed = distribution.files - editable.hooks
        if not any(isinstance(entry, FileEntry) for entry in entries) and not any(
            name.endswith(MODULE_SUFFIXES) for name in installed
        ):
            return "nothing importable is there"
        for entry in entries:
            owner, other = self.owners.get(entry.arcname, (None, entry))
            if owner is not None and not same_content(entry, other):
                return f"{entry.arcname} would be another file than that of {owner.name}"
        return borrowed_library(entries, editable.source)

    def _install(
        self,
        distribution: InstalledDistribution,
        editable: Editable,
        entries: list[ScannedEntry],
    ) -> None:
        """Put copies where an installation would, with the metadata that it would write."""
        site = posixpath.dirname(distribution.metadata_dir)
        record = f"{distribution.metadata_dir}/RECORD"
        kept = distribution.files - editable.hooks
        if editable.metadata is not None:
            entries += installed_metadata(distribution, editable.metadata)
        facts = {e.arcname: (digest_of(e), e.size) for e in entries if isinstance(e, FileEntry)}
        if editable.metadata is None:
            self.rows[record] = record_rows(site, facts)
        else:
            facts |= {name: self._develop_script(name) for name in kept}
            own = f"{posixpath.relpath(record, site)},,\n".encode()
            entries.append(FileEntry.from_bytes(record, record_rows(site, facts) + own))
        for entry in entries:
            self.owners.setdefault(entry.arcname, (distribution, entry))
        self.distributions[distribution.metadata_dir] = replace(
            distribution, files=kept | facts.keys(), editable=None
        )

    def _develop_script(self, arcname: str) -> tuple[bytes, int]:
        """Put a script itself in the place of the one that runs it from the source tree."""
        content = (self.environment.prefix / arcname).read_bytes()
        source = self._develop_source(arcname)
        if source is not None:
            head = content.partition(b"\n")[0]
            body = source.read_bytes()
            rest = body.partition(b"\n")[2] if body.startswith(b"#!") else body
            content = self.contents[arcname] = head + b"\n" + rest
        return hashlib.sha256(content).digest(), len(content)

    def _develop_source(self, arcname: str) -> Path | None:
        match = _DEVELOP_FILE.search((self.environment.prefix / arcname).read_bytes())
        return None if match is None else Path(os.fsdecode(match["path"]))
