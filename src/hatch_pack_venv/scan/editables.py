"""Editable installs, resolved before anything is planned: copied, left out, or left to be refused.

A copied one becomes what a regular installation would have made of it, an ordinary distribution
with ordinary files, so that every rule of the plan applies to it too.
"""

from __future__ import annotations

import hashlib
import logging
import os
import posixpath
import re
from dataclasses import dataclass, field, replace
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..binary.elf import ElfFile
from ..filesystem import copies_of
from ..metadata.editables import MODULE_SUFFIXES, PROJECT_FILES
from ..metadata.files import walk
from ..metadata.path_files import path_lines
from ..metadata.record import record_rows
from ..model.entries import DirectoryEntry, FileEntry, UnsupportedEntry, parents_of, source_of
from ..model.errors import InterpreterProblem
from ..model.plan import DecisionLog

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from ..model.distribution import Editable, InstalledDistribution
    from ..model.entries import ScannedEntry
    from ..model.environment import Environment


logger = logging.getLogger(__name__)
_BYTES_LIMIT: Final = 1 << 18  # larger files stay on disk until they are written
_NEVER_COPIED: Final = {"__pycache__", ".git", ".hg", ".svn", ".bzr"}

# What is next to a package in a project's own folder and not meant to be installed: the names that
# setuptools' automatic discovery skips, and what hatch, pdm and npm put there.
_NOT_SHIPPED: Final = re.compile(
    r"tests?(_.*)?|.*_tests?|unit_?tests?|integration_?tests?|docs?|documentation|manpages|news"
    r"|newsfragments|changelog|examples?|scripts|tools|util|utils|python|build|dist|debian|ci|bin"
    r"|benchmarks?|exercises?|htmlcov|node_modules|setup|conftest|noxfile|toxfile|tasks|fabfile"
    r"|pavement|dodo|[Ss][Cc]onstruct|conanfile|manage|hatch_build|pdm_build|site_scons|venv|env"
)


def source_entries(name: str, editable: Editable, site: str) -> Iterator[ScannedEntry]:
    """Yield what an editable install makes importable, as entries of site-packages.

    Links are followed, like those that lead from an environment to a folder outside it.

    Parameters:
        site: arcname of site-packages.
    """
    seen: set[str] = set()
    for below, path in _importable(name, editable):
        for entry in copies_of(Path(os.path.realpath(path)), f"{site}/{below}"):
            if entry.arcname not in seen and not _NEVER_COPIED & set(entry.arcname.split("/")):
                seen.add(entry.arcname)
                yield entry


def _importable(name: str, editable: Editable) -> Iterator[tuple[str, Path]]:
    """Yield importable files and folders, each after its path below site-packages."""
    for exposed in editable.exposed:
        if exposed.name:
            yield exposed.name, exposed.path
            continue
        is_project = any(os.path.isfile(exposed.path / each) for each in PROJECT_FILES)
        left_out = []
        for child in sorted(exposed.path.iterdir()):
            module = child.name.split(".")[0]
            if not _is_importable(child) or (is_project and not _holds_modules(child)):
                continue
            if is_project and module not in editable.names and _NOT_SHIPPED.fullmatch(module):
                left_out.append(child.name)
            else:
                yield child.name, child
        if left_out:
            logger.info("%s: not copied from %s: %s", name, exposed.path, ", ".join(left_out))


def _is_importable(path: Path) -> bool:
    """Whether a child of a folder on `sys.path` is a module or a package of any kind."""
    if not os.path.isdir(path):
        return path.name.split(".")[0].isidentifier() and path.name.endswith(MODULE_SUFFIXES)
    return path.name.isidentifier() and not os.path.exists(path / "pyvenv.cfg")


def _holds_modules(path: Path) -> bool:
    if not os.path.isdir(path):
        return True
    for _, folders, files in walk(path):
        folders[:] = [name for name in folders if name.isidentifier()]
        if any(name.endswith(MODULE_SUFFIXES) for name in files):
            return True
    return False


def same_content(entry: ScannedEntry, other: ScannedEntry) -> bool:
    """Whether two files have the same content, or two other entries the same type."""
    if isinstance(entry, FileEntry) and isinstance(other, FileEntry):
        return entry.size == other.size and digest_of(entry) == digest_of(other)
    return type(entry) is type(other)


def carried(entry: ScannedEntry) -> ScannedEntry:
    """Read a small file, so that the bytes packed are the bytes hashed; libraries stay on disk."""
    if not isinstance(entry, FileEntry) or not isinstance(entry.content, str):
        return entry
    try:
        with open(entry.content, "rb") as stream:
            if entry.size > _BYTES_LIMIT or ".so" in posixpath.basename(entry.content):
                return entry
            content = stream.read()
    except OSError as error:
        reason = f"cannot be read ({entry.content}: {error.strerror})"
        return UnsupportedEntry(arcname=entry.arcname, reason=reason)
    return replace(entry, content=content, size=len(content))


def digest_of(entry: FileEntry) -> bytes:
    """Return the SHA-256 of a file."""
    if isinstance(entry.content, bytes):
        return hashlib.sha256(entry.content).digest()
    path = entry.content if isinstance(entry.content, str) else entry.content.path
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def installed_metadata(distribution: InstalledDistribution, egg_info: Path) -> Iterator[FileEntry]:
    """Yield the `.dist-info` that an installation would create from an `.egg-info`."""
    found = PathDistribution(egg_info)
    text = (found.read_text("PKG-INFO") or "").strip("\n")
    head, separator, body = text.partition("\n\n")
    if not found.metadata.get_all("Requires-Dist"):
        head += "".join(f"\nRequires-Dist: {each}" for each in distribution.requires)
    files = {
        "METADATA": f"{head}{separator}{body}\n",
        "INSTALLER": "hatch-pack-venv\n",
        "entry_points.txt": found.read_text("entry_points.txt"),
        "top_level.txt": found.read_text("top_level.txt"),
    }
    for name, content in files.items():
        if content:
            arcname = f"{distribution.metadata_dir}/{name}"
            yield FileEntry.from_bytes(arcname, content.encode("utf-8", "surrogateescape"))


def borrowed_library(entries: Iterable[ScannedEntry], source: str) -> str | None:
    """Say which extension module needs a library in the source tree that is not copied with it."""
    root = os.path.realpath(source)
    places = {
        Path(entry.content): entry.arcname
        for entry in entries
        if isinstance(entry, FileEntry) and isinstance(entry.content, str)
    }
    for path, arcname in places.items():
        for folder, library in _found_libraries(path):
            if not library.is_relative_to(root):
                continue
            relative = os.path.relpath(library, path.parent)
            place = posixpath.normpath(posixpath.join(posixpath.dirname(arcname), relative))
            if "$ORIGIN" not in folder or places.get(library) != place:
                return f"{arcname} needs {library}, which it would not find once copied"
    return None


def _found_libraries(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the libraries on a file's own search path, each after the folder as named there."""
    elf = _elf(path) if ".so" in path.name else None
    if elf is None:
        return
    for folder in elf.folders:
        real = os.path.realpath(folder.replace("$ORIGIN", str(path.parent)))
        for needed in elf.needed:
            if os.path.isfile(os.path.join(real, needed)):
                yield folder, Path(real, needed)


def _elf(path: Path) -> ElfFile | None:
    try:
        return ElfFile.from_path(path)
    except InterpreterProblem:
        return None


_DEVELOP_FILE: Final = re.compile(rb"^__file__ = '(?P<path>[^'\n]+)'$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedEditables:
    """An environment whose editable installs are resolved.

    Parameters:
        environment: with the copied ones as ordinary distributions.
        excluded: normalised names of the editable installs to be left out.
        lines: lines of `.pth` files to be removed, because what they serve is gone.
        gone: arcnames of files and folders that are gone, with the reason for each.
        contents: new contents of files, by arcname.
        rows: the rows to add to RECORD files, by arcname.
        copies: what was copied, by arcname, each with the distribution that it belongs to.
    """

    environment: Environment
    excluded: frozenset[str] = frozenset()
    lines: frozenset[str] = frozenset()
    gone: Mapping[str, str] = field(default_factory=dict)
    contents: Mapping[str, bytes] = field(default_factory=dict)
    rows: Mapping[str, bytes] = field(default_factory=dict)
    copies: Mapping[str, tuple[InstalledDistribution, ScannedEntry]] = field(default_factory=dict)

    def applied(
        self, scanned: Iterable[ScannedEntry], log: DecisionLog | None = None
    ) -> Iterator[ScannedEntry]:
        """Yield the environment's entries as if nothing had been editable."""
        if not (self.gone or self.lines or self.contents or self.rows or self.copies):
            return iter(scanned)
        return self._changed_entries(list(scanned), log or DecisionLog())

    def _changed_entries(
        self, entries: list[ScannedEntry], log: DecisionLog
    ) -> Iterator[ScannedEntry]:
        kept = []
        for entry in entries:
            why = self._why_gone(entry.arcname)
            if why is None:
                kept.append(entry)
            else:
                log.leave_out(entry.arcname, why)
        parents = parents_of(entry.arcname for entry in kept)
        emptied = parents_of(entry.arcname for entry in entries) - parents
        for entry in kept:
            changed = None if entry.arcname in emptied else self._changed(entry)
            if changed is not None:
                yield changed
            elif entry.arcname in emptied:
                log.leave_out(entry.arcname, "a folder that would be empty")
            else:
                log.leave_out(entry.arcname, "a path file of editable installs alone")
            if entry.arcname.endswith(".pth"):
                log.change(entry.arcname, "without the lines of editable installs")
        for distribution, entry in self.copies.values():
            log.change(
                entry.arcname,
                f"of {distribution.name} {distribution.version}, copied from its source folder",
            )
            yield entry

    @property
    def added(self) -> tuple[ScannedEntry, ...]:
        """The entries of what was copied."""
        return tuple(entry for _, entry in self.copies.values())

    def _why_gone(self, arcname: str) -> str | None:
        """Return why a file is dropped along with an editable install; `None` if it is kept."""
        source = source_of(arcname)
        if source in self.gone:
            return self.gone[source]
        return next(
            (why for gone, why in self.gone.items() if arcname.startswith(f"{gone}/")), None
        )

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


def resolve_editables(
    environment: Environment, rule: str, replaced: Mapping[str, str] | None = None
) -> ResolvedEditables:
    """Decide what becomes of an environment's editable installs; nothing is written to it.

    Parameters:
        rule: `error`, which leaves them to be refused by the plan, `copy` or `exclude`.
        replaced: normalised names of distributions that are left out or replaced in any case, with
            the reason for each.
    """
    replaced = replaced or {}
    editables = [each for each in environment.distributions if each.editable is not None]
    leaving = [each for each in editables if each.key in replaced or rule == "exclude"]
    instead = "which the configuration excludes"
    reasons = [(each, replaced.get(each.key, instead)) for each in leaving]
    lines, gone = _traces(environment, reasons)
    excluded = frozenset(each.key for each in leaving) - replaced.keys()
    resolved = ResolvedEditables(environment=environment, excluded=excluded, lines=lines, gone=gone)
    if rule != "copy":
        return resolved
    copier = _Copier(environment, replaced)
    copier.copy([each for each in editables if each.key not in replaced])
    return copier.resolved(resolved)


def _traces(
    environment: Environment, reasons: Iterable[tuple[InstalledDistribution, str]]
) -> tuple[frozenset[str], dict[str, str]]:
    """Return the lines and the files that make editable installs importable.

    Parameters:
        reasons: editable installs, and why each goes.
    """
    lines: set[str] = set()
    gone: dict[str, str] = {}
    for each, why in reasons:
        if each.editable is not None:
            lines |= each.editable.lines
            names = each.editable.hooks | set(_inside(environment, each.editable))
            gone |= dict.fromkeys(names, f"of {each.name} {each.version}, {why}")
    return frozenset(lines), gone


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
    """Copies editable installs one after the other, and keeps track of what it has put where."""

    def __init__(self, environment: Environment, replaced: Collection[str]) -> None:
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

    def resolved(self, resolved: ResolvedEditables) -> ResolvedEditables:
        """Return what was decided, with what was copied."""
        lines, gone = _traces(
            self.environment, [(each, "whose source folder is copied") for each in self.done]
        )
        distributions = tuple(self.distributions.values())
        return replace(
            resolved,
            environment=replace(self.environment, distributions=distributions),
            lines=resolved.lines | lines,
            gone={**resolved.gone, **gone},
            contents=self.contents,
            rows=self.rows,
            copies=self.owners,
        )

    def _copies(
        self, distribution: InstalledDistribution, editable: Editable
    ) -> list[ScannedEntry]:
        """Return what it makes importable that is not in the environment already."""
        site = posixpath.dirname(distribution.metadata_dir)
        return [
            entry
            for entry in source_entries(distribution.name, editable, site)
            if isinstance(entry, DirectoryEntry)
            or entry.arcname in self.absent
            or not os.path.lexists(self.environment.prefix / entry.arcname)
        ]

    def _unreadable(self, distribution: InstalledDistribution, editable: Editable) -> str | None:
        """Say what cannot be copied, because it is missing or too much."""
        for exposed in editable.exposed:
            if not exposed.name and os.path.isfile(exposed.path):
                return f"{exposed.path} is not a folder"
            if exposed.path == exposed.path.parent:
                return f"it would copy everything below {exposed.path}"
        wanted = [exposed.path for exposed in editable.exposed]
        if editable.metadata is not None:
            scripts = (self._develop_source(name) for name in distribution.files - editable.hooks)
            wanted += [path for path in scripts if path is not None]
        gone = [path for path in wanted if not os.access(path, os.R_OK)]
        return f"{gone[0]} does not exist or cannot be read" if gone else None

    def _problem(
        self,
        distribution: InstalledDistribution,
        editable: Editable,
        entries: list[ScannedEntry],
    ) -> str | None:
        """Say why these entries cannot replace the source folder."""
        installed = distribution.files - editable.hooks
        if not any(isinstance(entry, FileEntry) for entry in entries) and not any(
            name.endswith(MODULE_SUFFIXES) for name in installed
        ):
            return "it contains nothing importable"
        for entry in entries:
            owner, other = self.owners.get(entry.arcname, (None, entry))
            if owner is not None and not same_content(entry, other):
                return f"{entry.arcname} would differ from the same file of {owner.name}"
        return borrowed_library(entries, editable.source)

    def _install(
        self,
        distribution: InstalledDistribution,
        editable: Editable,
        entries: list[ScannedEntry],
    ) -> None:
        """Put copies where an installation would put them, with the metadata it would write."""
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
        """Replace the wrapper that runs a script from the source tree with the script itself."""
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
