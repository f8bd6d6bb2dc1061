"""Rewriting the files of an environment with the Windows layout: bytes to bytes."""

from __future__ import annotations

import ntpath
import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from ...metadata.path_files import path_lines, with_changed_lines
from ..posix.data_files import may_be_rewritten, relocate_data_file
from .detect import SCRIPTS
from .launchers import Home, entry_point_launcher, entry_point_name, kind_of, relocate_launcher

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...model.distribution import EntryPoint
    from ...model.environment import Environment


# What setuptools' launcher appends to its own name to find what it starts (launcher.c).
_SETUPTOOLS: Final = b"-script.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsRewriter:
    """Rewrites the files of one environment.

    Parameters:
        prefixes: the paths by which the environment's files may name it.
        site_packages: arcnames of the site-packages folders.
        home: where its interpreter will be.
        entry_points: the entry points that scripts may start, by name.
        passed_over: lines of `.pth` files that are reported elsewhere.
    """

    prefixes: tuple[str, ...]
    site_packages: tuple[str, ...]
    home: Home
    entry_points: Mapping[str, EntryPoint] = field(repr=False)
    passed_over: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        environment: Environment,
        entry_points: Mapping[str, EntryPoint],
        *,
        bundled: bool,
        passed_over: frozenset[str] = frozenset(),
    ) -> Self:
        """Return the rules for an environment.

        Parameters:
            bundled: whether `python.exe` will be in the archive's root rather than in `Scripts`.
        """
        folder = "..\\" if bundled else ""
        return cls(
            prefixes=environment.prefix_aliases,
            site_packages=environment.site_packages,
            home=Home(folder=folder, scripts=SCRIPTS, machine=environment.interpreter.machine),
            entry_points=entry_points,
            passed_over=passed_over,
        )

    def rewritten(self, arcname: str, content: bytes) -> bytes | None:
        """Return a file without build paths, or `None` to leave it unchanged."""
        folder, name = posixpath.split(arcname)
        if folder == self.home.scripts:
            return self._script(name, content)
        if folder in self.site_packages and name.endswith(".pth"):
            return self._path_file(content, folder)
        if may_be_rewritten(arcname):
            slashes = [prefix.replace("\\", "/") for prefix in self.prefixes]
            return relocate_data_file(arcname, content, [*self.prefixes, *slashes])
        return None

    def problems(self, arcname: str, content: bytes) -> Iterator[str]:
        """Yield a sentence for each folder of the build machine that a `.pth` file adds."""
        folder, name = posixpath.split(arcname)
        if folder not in self.site_packages or not name.endswith(".pth"):
            return
        for line in foreign_paths(content, folder):
            if line not in self.passed_over:
                yield (
                    f"{arcname} adds {line} to sys.path, a path that will not exist on the target:"
                    " install its contents as a regular package, or exclude the file"
                )

    def _script(self, name: str, content: bytes) -> bytes | None:
        point = self.entry_points.get(entry_point_name(name))
        relocated = relocate_launcher(name, content, self.home, point)
        if relocated is not None or point is None or kind_of(content) == "script":
            return relocated
        if not name.lower().endswith(".exe") or _SETUPTOOLS in content:
            return None
        return entry_point_launcher(point, self.home)

    def _path_file(self, content: bytes, site: str) -> bytes:
        """Make absolute lines that point into the environment relative, which `site` accepts."""
        folder = site.replace("/", "\\")

        def relocated(path: str) -> str:
            for prefix in self.prefixes:
                inside = inside_of(path, prefix)
                if inside is not None:
                    return ntpath.relpath(inside or ".", folder)
            return path

        return with_changed_lines(content, relocated)


def foreign_paths(path_file: bytes, site: str) -> list[str]:
    """Return the outside folders that a `.pth` file adds to `sys.path` on Windows.

    Parameters:
        site: arcname of the file's folder, against which `site` resolves relative lines.
    """
    found = []
    for line in path_lines(path_file.decode("utf-8", "surrogateescape")):
        path = ntpath.normpath(ntpath.join(site, line))
        if ntpath.isabs(path) or ntpath.splitdrive(path)[0] or path.startswith(".."):
            found.append(line)
    return found


def inside_of(path: str, prefix: str) -> str | None:
    """Return a path relative to a folder, as Windows compares them, or `None` for another path."""
    there, above = (ntpath.normcase(ntpath.normpath(each)) for each in (path, prefix))
    if there == above:
        return ""
    above = above.rstrip("\\") + "\\"
    return ntpath.normpath(path)[len(above) :] if there.startswith(above) else None
