"""Files that know where they lie, made to hold wherever they are unpacked: pure."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..metadata.path_files import foreign_paths, relative_path_lines, relocate_path_file
from ..model.entries import FileEntry, UnsupportedEntry
from ..platforms.posix.data_files import may_be_rewritten, relocate_data_file
from ..platforms.posix.launchers import relocate_script

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..model.distribution import EntryPoint
    from ..model.entries import Entry, ScannedEntry
    from ..model.environment import Environment
    from ..platforms.windows.rewriter import WindowsRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Relocation:
    """Rewrites entries of one environment.

    Parameters:
        entry_points: by name, those that packed distributions declare.
        own_lines: lines of path files that editable installs own, which are dealt with elsewhere.
        layers: the neighbours that path files may lead to.
        windows: the rules of an environment of Windows, in place of these.
        check: what launchers do first, as Python statements.
        problems: takes a sentence for each thing that cannot hold on the target.
    """

    environment: Environment
    entry_points: Mapping[str, EntryPoint]
    own_lines: frozenset[str] = frozenset()
    layers: tuple[Path, ...] = ()
    windows: WindowsRules | None = None
    check: str = ""
    problems: list[str] = field(default_factory=list)

    def relocated_copy(self, entry: ScannedEntry) -> ScannedEntry:
        """Return what stands in the place of a link."""
        return entry if isinstance(entry, UnsupportedEntry) else self.relocated(entry)

    def relocated(self, entry: Entry) -> Entry:
        """Return an entry, rewritten if it is a small file that names a place."""
        if not isinstance(entry, FileEntry) or not isinstance(entry.content, bytes):
            return entry
        if self.windows is not None:
            return self._for_windows(entry, entry.content, self.windows)
        folder, _, name = entry.arcname.rpartition("/")
        spellings = self.environment.spellings
        content: bytes | None = None
        if folder == self.environment.scripts:
            point = self.entry_points.get(name)
            content = relocate_script(entry.content, spellings, point, self.check)
        elif may_be_rewritten(entry.arcname):
            content = relocate_data_file(entry.arcname, entry.content, spellings)
        elif folder in self.environment.site_packages and name.endswith(".pth"):
            content = self._path_file(entry.arcname, entry.content)
        return entry if content is None else replace(entry, content=content, size=len(content))

    def _for_windows(self, entry: FileEntry, content: bytes, rules: WindowsRules) -> FileEntry:
        relocated = rules.relocated(entry.arcname, content)
        content = content if relocated is None else relocated
        self.problems.extend(rules.problems(entry.arcname, content))
        return replace(entry, content=content, size=len(content))

    def _path_file(self, arcname: str, content: bytes) -> bytes:
        folder = posixpath.dirname(arcname)
        content = relocate_path_file(content, folder, self.environment.spellings)
        if self.environment.containing is not None:
            here = self.environment.prefix / folder
            content = relative_path_lines(content, here, self.environment.containing)
        self.problems.extend(
            f"{arcname} adds {path} to sys.path, which will not exist on the target:"
            " install what is there as a regular package, or exclude the file"
            for path in foreign_paths(content, folder)
            if path not in self.own_lines and not self._is_of_a_layer(path, folder)
        )
        return content

    def _is_of_a_layer(self, line: str, folder: str) -> bool:
        """Whether a line of a path file leads to a neighbour whose packages are to be seen."""
        if posixpath.isabs(line):
            return False
        path = Path(os.path.normpath(self.environment.prefix / folder / line))
        return any(path.is_relative_to(layer) for layer in self.layers)
