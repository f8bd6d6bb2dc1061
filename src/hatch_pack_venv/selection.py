"""What goes in: what the rules leave out, what patterns leave out and bring back."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from pathspec import GitIgnoreSpec

from .presets import pattern_groups

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .entries import ScannedEntry
    from .environment import Environment

# Written by venv, virtualenv and uv into an environment about itself.
_OWN_FILES: Final = {"pyvenv.cfg", ".gitignore", ".lock", "CACHEDIR.TAG"}

# Their text names the place the environment was made at (relocation facts, Q5).
_ACTIVATION: Final = re.compile(
    r"(?:de)?activate(?:\.(?:bat|csh|fish|nu|ps1|xsh))?|Activate\.ps1|activate_this\.py|(?:pydoc|_assign)\.bat"
)

# uv's notes on where a distribution came from; they hold paths and times of the build machine.
_INSTALLER_NOTES: Final = {"uv_cache.json", "uv_build.json"}


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The rules and patterns that decide what of an environment is packed.

    Parameters:
        exclude: gitignore-style patterns of what stays out, and names of presets.
        include: gitignore-style patterns that bring back what any rule or pattern left out.
        records: whether RECORD files are packed.
        sitecustomize: whether a `sitecustomize.py` directly in site-packages is packed.
    """

    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    records: bool = True
    sitecustomize: bool = True

    def excludes(self, entry: ScannedEntry, environment: Environment) -> bool:
        """Whether an entry of the environment stays out."""
        if self.brings_back(entry.arcname):
            return False
        return self.by_pattern(entry.arcname) or self._by_rule(entry.arcname, environment)

    def by_pattern(self, arcname: str) -> bool:
        """Whether the patterns alone leave a file out, wherever it comes from."""
        if not self.exclude:
            return False
        left_out = any(spec.match_file(arcname) for spec in self._exclude_specs)
        return left_out and not self.brings_back(arcname)

    def brings_back(self, arcname: str) -> bool:
        """Whether `include` names a file."""
        return bool(self.include) and self._include_spec.match_file(arcname)

    @cached_property
    def _exclude_specs(self) -> list[GitIgnoreSpec]:
        return [GitIgnoreSpec.from_lines(each) for each in pattern_groups(self.exclude) if each]

    @cached_property
    def _include_spec(self) -> GitIgnoreSpec:
        return GitIgnoreSpec.from_lines(self.include)

    def _by_rule(self, arcname: str, environment: Environment) -> bool:
        folder, name = posixpath.split(arcname)
        if "__pycache__" in arcname.split("/"):
            return True
        if folder.endswith(".dist-info"):
            return name in _INSTALLER_NOTES or (name == "RECORD" and not self.records)
        if folder in environment.site_packages:
            return name == "sitecustomize.py" and not self.sitecustomize
        if folder == environment.scripts:
            return bool(_ACTIVATION.fullmatch(name))
        return not folder and name in _OWN_FILES


def parents_of(arcnames: Iterable[str]) -> set[str]:
    """Return the arcnames of all folders above some entries."""
    found: set[str] = set()
    for arcname in arcnames:
        folder = posixpath.dirname(arcname)
        while folder and folder not in found:
            found.add(folder)
            folder = posixpath.dirname(folder)
    return found
