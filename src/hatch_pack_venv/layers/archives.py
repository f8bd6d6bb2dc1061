"""The archives of neighbours: their content digests, where they have been packed already."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from packaging.utils import canonicalize_name

from .. import manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Set
    from pathlib import Path

    from .neighbours import Neighbour


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """What is told of one archive.

    Parameters:
        versions: of the distributions it holds, by normalised name.
    """

    digest: str
    versions: Mapping[str, str]

    @classmethod
    def from_head(cls, digest: Any, head: Any) -> Self | None:
        """Read a manifest's head; `None` if it is none."""
        try:
            versions: dict[str, str] = {
                canonicalize_name(each["name"]): str(each["version"])
                for each in head["distributions"]
            }
        except (KeyError, TypeError):
            return None
        return cls(digest=digest, versions=versions) if isinstance(digest, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerArchives:
    """Finds the content digests of neighbours.

    Parameters:
        folder: where archives are written, with their `.json` files; `None` if there is none.
    """

    folder: Path | None

    def of(self, neighbour: Neighbour, relied_on: Set[str]) -> tuple[Neighbour, list[str]]:
        """Return a neighbour with its digest, and what a user may want to know.

        A folder that was unpacked or exported holds its own manifest. Else an archive counts whose
        top folder has the neighbour's name, if it holds what is relied on, and nothing in another
        version than the neighbour does now.
        """
        own = _read(neighbour.path / manifest.ARCNAME)
        record = _Record.from_head(own.get("content_digest"), own)
        if record is not None:
            return replace(neighbour, content_digest=record.digest), []
        packed = [*self._packed(neighbour.name)]
        installed = {each.key: each.version for each in neighbour.distributions}
        fitting = {
            each.digest
            for each in packed
            if all(each.versions.get(key, version) == version for key, version in installed.items())
            and relied_on & installed.keys() <= each.versions.keys()
        }
        if len(fitting) == 1:
            return replace(neighbour, content_digest=fitting.pop()), []
        if not packed:
            return neighbour, []
        which = "several archives" if fitting else "an archive"
        why = "of different contents" if fitting else "that does not hold what the folder holds now"
        return neighbour, [
            f"{self.folder} holds {which} of the neighbour {neighbour.name} {why}, so that no"
            " content digest was recorded: remove old ones, or pack it again first"
        ]

    def _packed(self, name: str) -> Iterator[_Record]:
        if self.folder is None or not self.folder.is_dir():
            return
        for path in sorted(self.folder.glob("*.json")):
            facts = _read(path)
            if facts.get("install_target") == name:
                record = _Record.from_head(facts.get("content_digest"), facts.get("manifest"))
                if record is not None:
                    yield record


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
