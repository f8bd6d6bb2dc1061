"""An installed distribution, its entry points and how it may be editable: values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


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


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """A console or GUI script that a distribution declares.

    Parameters:
        attr: what to call in `module`; may be dotted.
        gui: whether it is one of `gui_scripts`; POSIX launchers make no difference.
    """

    name: str
    module: str
    attr: str
    gui: bool = False


def entry_points_by_name(
    distributions: Iterable[InstalledDistribution],
) -> dict[str, tuple[EntryPoint, ...]]:
    """Return what scripts may start, by their names: several distributions may have one name."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for each in distributions:
        for point in each.entry_points:
            found[point.name] = (*found.get(point.name, ()), point)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Editable:
    """How a distribution's source folder is made importable.

    Parameters:
        source: the project's folder, or a URL.
        hooks: arcnames of the files that do it.
        lines: the lines of `.pth` files that do it; such a file may serve others too.
        exposed: what is importable by it.
        names: top-level names of modules that its metadata speaks of.
        metadata: the folder of its metadata, if that is not in the environment (`.egg-link`).
        problem: why its files cannot be copied.
    """

    source: str
    hooks: frozenset[str] = frozenset()
    lines: frozenset[str] = frozenset()
    exposed: tuple[Exposed, ...] = ()
    names: frozenset[str] = frozenset()
    metadata: Path | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """A file or folder of a source tree that an editable install makes importable.

    Parameters:
        name: its path below site-packages; empty for a folder of `sys.path`, of which counts what
            is importable.
    """

    name: str
    path: Path
