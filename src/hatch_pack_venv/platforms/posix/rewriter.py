"""Small files that contain their own location, made independent of it: bytes to bytes."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...metadata.path_files import foreign_paths, relative_path_lines, relocate_path_file
from .data_files import may_be_rewritten, relocate_data_file
from .launchers import NO_CHECKS, relocate_script

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...model.distribution import EntryPoint
    from ...model.environment import Environment
    from .launchers import StartChecks


@dataclass(frozen=True, slots=True, kw_only=True)
class PosixRewriter:
    """Rewrites the files of one environment.

    Parameters:
        entry_points: the entry points of packed distributions, by name.
        own_lines: lines of path files that belong to editable installs and are handled elsewhere.
        layers: the layers that path files may point to.
        checks: what launchers check first.
    """

    environment: Environment
    entry_points: Mapping[str, tuple[EntryPoint, ...]]
    own_lines: frozenset[str] = frozenset()
    layers: tuple[Path, ...] = ()
    checks: StartChecks = NO_CHECKS

    def rewritten(self, arcname: str, content: bytes) -> bytes | None:
        """Return a file without build paths, or `None` to leave it unchanged."""
        folder, _, name = arcname.rpartition("/")
        aliases = self.environment.prefix_aliases
        if folder == self.environment.scripts:
            return relocate_script(content, aliases, self.entry_points.get(name, ()), self.checks)
        if may_be_rewritten(arcname):
            return relocate_data_file(arcname, content, aliases)
        if self._is_path_file(arcname):
            return self._path_file(folder, content)
        return None

    def problems(self, arcname: str, content: bytes) -> Iterator[str]:
        """Yield a sentence for each outside folder that a `.pth` file adds to `sys.path`.

        Parameters:
            content: the file's, as it will be packed.
        """
        if not self._is_path_file(arcname):
            return
        folder = posixpath.dirname(arcname)
        for path in foreign_paths(content, folder):
            if path not in self.own_lines and not self._is_of_a_layer(path, folder):
                yield (
                    f"{arcname} adds {path} to sys.path, a path that will not exist on the target:"
                    " install its contents as a regular package, or exclude the file"
                )

    def _is_path_file(self, arcname: str) -> bool:
        folder, _, name = arcname.rpartition("/")
        return folder in self.environment.site_packages and name.endswith(".pth")

    def _path_file(self, folder: str, content: bytes) -> bytes:
        content = relocate_path_file(content, folder, self.environment.prefix_aliases)
        if self.environment.containing is None:
            return content
        here = self.environment.prefix / folder
        return relative_path_lines(content, here, self.environment.containing)

    def _is_of_a_layer(self, line: str, folder: str) -> bool:
        """Return whether a path file's line points to a layer whose packages should be visible."""
        if posixpath.isabs(line):
            return False
        path = Path(os.path.normpath(self.environment.prefix / folder / line))
        return any(path.is_relative_to(layer) for layer in self.layers)
