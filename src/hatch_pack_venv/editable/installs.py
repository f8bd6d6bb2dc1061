"""Editable installs, recognised by the files they leave in an environment.

Every style ends in site-packages: a line of a `.pth` file that adds a folder to `sys.path`, one
that imports a finder, a link to a package (`flit install --symlink`), or an `.egg-link`.
`direct_url.json` (PEP 610) tells most of them; what was installed from an editable wheel file, or
by `setup.py develop`, has none.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from ..metadata import path_lines
from .finders import Exposed, UnknownFinderError, read_finder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PROJECT_FILES: Final = ("pyproject.toml", "setup.py", "setup.cfg")

_IMPORT: Final = re.compile(r"import[ \t]+(\w+)")
_START: Final = re.compile(r"(\w+):\w+")  # a `.start` file's line (PEP 829)


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


def recognise(
    prefix: Path, site: str, recorded: Iterable[str], direct_url: str | None
) -> Editable | None:
    """Tell how a distribution is editable; `None` if it is not.

    Parameters:
        site: arcname of its site-packages folder.
        recorded: arcnames of the files that its RECORD lists.
        direct_url: the text of its `direct_url.json`.
    """
    declared = _declared_source(direct_url)
    found = _HookReader(prefix, site, frozenset(recorded), declared).read()
    if declared is None and not found.hooks:
        return None
    if not found.exposed and not found.problem:
        found = replace(found, problem="how it is made importable is not known")
    return replace(found, source=declared or str(_project_of(found.exposed)))


def developed(prefix: Path, site: str, owned: Iterable[str]) -> Iterator[tuple[Path, Editable]]:
    """Yield what `setup.py develop` made, with the folders of the metadata in the source trees.

    It writes an `.egg-link` and a line of `easy-install.pth`; RECORD files know neither.

    Parameters:
        owned: lines of `.pth` files that belong to other editable installs.
    """
    links = {path: _linked_folder(path) for path in sorted((prefix / site).glob("*.egg-link"))}
    lines = {
        line
        for path in sorted((prefix / site).glob("*.pth"))
        for line in path_lines(_text(path))
        if _is_foreign(prefix, site, line)
    } - set(owned)
    for folder in sorted({*filter(None, links.values()), *map(Path, lines)}):
        if folder.name in ("site-packages", "dist-packages"):
            continue  # another environment, with a line that somebody wrote by hand
        for metadata in filter(Path.is_dir, sorted(folder.glob("*.egg-info"))):
            hooks = [p for p, linked in links.items() if linked == folder and _names(p, metadata)]
            exposed = (Exposed(name="", path=folder),)
            editable = Editable(
                source=str(_project_of(exposed)),
                hooks=frozenset(path.relative_to(prefix).as_posix() for path in hooks),
                lines=frozenset(line for line in lines if Path(line) == folder),
                exposed=exposed,
                metadata=metadata,
            )
            yield metadata, editable


def refusal(name: str, editable: Editable) -> str:
    """Return the sentence that refuses an editable install and names the ways out."""
    said = (
        f"{name} is installed editable from {editable.source}, which will not exist on the target"
    )
    instead = "install it as a regular package, name its wheel in `wheels`"
    if editable.problem is not None:
        said += f", and cannot be copied because {editable.problem}"
        return f'{said}: {instead}, or set `editables` to "exclude"'
    return f'{said}: {instead}, or set `editables` to "copy" or "exclude"'


class _HookReader:
    """Reads the hooks among the files of one distribution."""

    def __init__(
        self, prefix: Path, site: str, recorded: frozenset[str], declared: str | None
    ) -> None:
        self.prefix = prefix
        self.site = site
        self.recorded = recorded
        self.declared = declared
        self.hooks: set[str] = set()
        self.lines: set[str] = set()
        self.exposed: list[Exposed] = []
        self.problem: str | None = None

    def read(self) -> Editable:
        """Return what was found, without a source."""
        for arcname in sorted(n for n in self.recorded if n.rpartition("/")[0] == self.site):
            if arcname.endswith(".pth"):
                text = _text(self.prefix / arcname)
                self._finders(arcname, _IMPORT.findall(text))
                self._folders(arcname, path_lines(text))
            elif arcname.endswith(".start"):
                self._finders(arcname, _START.findall(_text(self.prefix / arcname)))
            else:
                self._link(arcname)
        return Editable(
            source="",
            hooks=frozenset(self.hooks),
            lines=frozenset(self.lines),
            exposed=tuple(dict.fromkeys(self.exposed)),
            problem=self.problem,
        )

    def _finders(self, arcname: str, modules: list[str]) -> None:
        for module in dict.fromkeys(modules):
            finder = f"{self.site}/{module}.py"
            if finder not in self.recorded:
                continue
            try:
                exposed = read_finder(self.prefix / finder)
            except UnknownFinderError as error:
                exposed, self.problem = [], str(error)
            if exposed is not None:
                self.exposed += exposed
                self.hooks |= {arcname, finder}

    def _folders(self, arcname: str, lines: list[str]) -> None:
        for line in lines:
            path = Path(os.path.normpath(self.prefix / self.site / line))
            own = path.is_relative_to(self.prefix / self.site)
            # What is declared may lie inside the environment, in pip's `src`.
            if _is_foreign(self.prefix, self.site, line) or (self.declared and not own):
                self.exposed.append(Exposed(name="", path=path))
                self.hooks.add(arcname)
                self.lines.add(line)

    def _link(self, arcname: str) -> None:
        path = self.prefix / arcname
        if self.declared and path.is_symlink():
            real = Path(os.path.realpath(path))
            if real.is_relative_to(os.path.realpath(self.declared)):
                self.exposed.append(Exposed(name=posixpath.basename(arcname), path=real))
                self.hooks.add(arcname)


def _declared_source(direct_url: str | None) -> str | None:
    try:
        facts: Any = json.loads(direct_url or "{}")
        if not facts.get("dir_info", {}).get("editable", False):
            return None
        url = str(facts["url"])
    except (ValueError, AttributeError, KeyError):
        return None
    return unquote(urlsplit(url).path) if url.startswith("file:") else url


def _project_of(exposed: tuple[Exposed, ...]) -> Path | None:
    """Return the nearest folder above what is exposed that looks like a project's."""
    if not exposed:
        return None
    first = exposed[0].path
    for folder in (first, *first.parents):
        if any((folder / name).is_file() for name in PROJECT_FILES):
            return folder
    return first


def _linked_folder(egg_link: Path) -> Path | None:
    lines = _text(egg_link).splitlines()
    return Path(os.path.normpath(lines[0].strip())) if lines else None


def _names(egg_link: Path, metadata: Path) -> bool:
    stems = (re.sub(r"[-_.]+", "-", path.stem).lower() for path in (egg_link, metadata))
    return len(set(stems)) == 1


def _is_foreign(prefix: Path, site: str, line: str) -> bool:
    real = Path(os.path.realpath(prefix / site / line))
    return not real.is_relative_to(prefix)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
