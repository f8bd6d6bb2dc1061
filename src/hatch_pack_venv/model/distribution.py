"""An installed distribution, its entry points and how it is editable: plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledDistribution:
    """A distribution installed in an environment.

    Parameters:
        name: the name as spelled in its metadata; `key` is the normalised form (PEP 503).
        metadata_dir: arcname of its `.dist-info` or `.egg-info`.
        files: arcnames below the prefix listed in its RECORD (PEP 627), or else in older metadata;
            empty if neither lists any.
        requires: the requirements in its metadata, including markers.
        requires_python: its `Requires-Python`.
        extras: the extras it provides.
        direct_url: the text of its `direct_url.json` (PEP 610), or `None` if it has none.
        editable: how it is editable (PEP 610, PEP 660, `setup.py develop`), or `None` if it is not.
        about: what its metadata says for human readers.
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
    about: About = field(default_factory=lambda: About())

    @property
    def key(self) -> str:
        """The normalised name."""
        return canonicalize_name(self.name)

    @property
    def editable_source(self) -> str | None:
        """The folder or URL that an editable install points to."""
        return None if self.editable is None else self.editable.source


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What core metadata says about a distribution for human readers, verbatim.

    Parameters:
        authors: names, or addresses where no name is given.
        licence_expression: `License-Expression` (PEP 639).
        licence: `License`: a name, an expression or a whole text.
        classifiers: its licence classifiers.
        licence_files: `License-File`.
    """

    summary: str | None = None
    authors: tuple[str, ...] = ()
    licence_expression: str | None = None
    licence: str | None = None
    classifiers: tuple[str, ...] = ()
    licence_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """A console or GUI script declared by a distribution.

    Parameters:
        attr: the object in `module` to call; may be dotted.
        gui: whether it is one of `gui_scripts`; makes no difference to POSIX launchers.
    """

    name: str
    module: str
    attr: str
    gui: bool = False


def entry_points_by_name(
    distributions: Iterable[InstalledDistribution],
) -> dict[str, tuple[EntryPoint, ...]]:
    """Return entry points by script name; several distributions may declare the same name."""
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
        hooks: arcnames of the files that make it importable.
        lines: the lines of `.pth` files that do so; such a file may serve other distributions too.
        exposed: what becomes importable.
        names: names of top-level modules mentioned in its metadata.
        metadata: the folder of its metadata, if outside the environment (`.egg-link`).
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
        name: its path below site-packages; empty for a folder on `sys.path`, of which only
            importable files count.
    """

    name: str
    path: Path
