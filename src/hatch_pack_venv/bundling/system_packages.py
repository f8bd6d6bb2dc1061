"""The base interpreter's own packages, for environments that see them.

PEP 405's `include-system-site-packages = true`. In a bundle both lie in the same folder; what the
environment has of a distribution replaces the base's, as it does when it is imported at home.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import metadata
from ..distributions import installed_distributions
from ..entries import DirectoryEntry, FileEntry
from ..links import copies_of
from ..windows import rules as windows_rules

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from ..distributions import InstalledDistribution
    from ..entries import ScannedEntry
    from ..environment import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPackages:
    """What is packed of the base interpreter's packages."""

    entries: tuple[ScannedEntry, ...] = ()
    distributions: tuple[InstalledDistribution, ...] = ()
    notes: tuple[str, ...] = ()


def system_packages(environment: Environment, scanned: Sequence[ScannedEntry]) -> SystemPackages:
    """Return the base's packages as entries of the environment's site-packages.

    Launchers and data outside site-packages stay out: an environment does not see them either.

    Parameters:
        scanned: the environment's entries, which come first.
    """
    if not environment.include_system_site_packages:
        return SystemPackages()
    folders = [path for path in environment.interpreter.site_packages if path.is_dir()]
    gatherer = _Gatherer(environment, {entry.arcname for entry in scanned})
    for folder in folders:
        gatherer.add(folder)
    return SystemPackages(
        entries=tuple(gatherer.entries),
        distributions=tuple(gatherer.distributions),
        notes=tuple(gatherer.notes),
    )


class _Gatherer:
    def __init__(self, environment: Environment, taken: Collection[str]) -> None:
        self.site = environment.site_packages[0]
        self.windows = environment.is_windows
        self.taken = set(taken)
        self.own = {distribution.key for distribution in environment.distributions}
        self.entries: list[ScannedEntry] = []
        self.distributions: list[InstalledDistribution] = []
        self.notes: list[str] = []

    def add(self, folder: Path) -> None:
        """Take what a folder holds and `import` would find there."""
        installed = list(installed_distributions(folder.parent, (folder.name,)))
        new = [distribution for distribution in installed if distribution.key not in self.own]
        self.distributions += new
        replaced = {d.metadata_dir.rpartition("/")[2] for d in installed if d not in new}
        hidden = {name for name in self._folders() if self._is_package(name)} | replaced
        self.entries += [
            entry
            for entry in self._walk(folder)
            if entry.arcname not in self.taken and self._top(entry.arcname) not in hidden
        ]
        self.own |= {distribution.key for distribution in new}
        self.taken |= {entry.arcname for entry in self.entries}

    def _top(self, arcname: str) -> str:
        return arcname.removeprefix(f"{self.site}/").partition("/")[0]

    def _folders(self) -> set[str]:
        return {self._top(name) for name in self.taken if name.startswith(f"{self.site}/")}

    def _is_package(self, name: str) -> bool:
        """Whether a name is taken whole; parts of a namespace package may lie in both."""
        return f"{self.site}/{name}/__init__.py" in self.taken

    def _walk(self, folder: Path) -> Iterator[ScannedEntry]:
        for entry in copies_of(folder.resolve(), self.site):
            if isinstance(entry, DirectoryEntry) or "__pycache__" in entry.arcname.split("/"):
                continue
            if entry.arcname.endswith(".pth") and self._is_foreign(entry):
                self.notes.append(
                    f"{folder / entry.arcname.rpartition('/')[2]} was left out: it adds folders of"
                    " this machine to sys.path"
                )
                continue
            yield entry

    def _is_foreign(self, entry: ScannedEntry) -> bool:
        content = entry.content if isinstance(entry, FileEntry) else None
        rules = windows_rules if self.windows else metadata
        return isinstance(content, str) and bool(
            rules.foreign_paths(Path(content).read_bytes(), self.site)
        )
