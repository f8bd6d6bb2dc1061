"""What is importable from the source tree of an editable install, as entries of site-packages."""

from __future__ import annotations

import hashlib
import logging
import os
import posixpath
import re
from dataclasses import replace
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..entries import FileEntry, ScannedEntry, UnsupportedEntry
from ..errors import InterpreterProblem
from ..links import copies_of
from .finders import MODULE_SUFFIXES
from .installs import PROJECT_FILES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..binaries.elf import ElfFile
    from ..distributions import InstalledDistribution
    from .installs import Editable

logger = logging.getLogger(__name__)

_BYTES_LIMIT: Final = 1 << 18  # larger files stay on the disk until they are written
_NEVER_COPIED: Final = {"__pycache__", ".git", ".hg", ".svn", ".bzr"}

# What stands beside a package in a project's own folder and is not meant to be installed; the names
# that setuptools' automatic discovery passes over, and what hatch, pdm and npm put there.
_NOT_SHIPPED: Final = re.compile(
    r"tests?(_.*)?|.*_tests?|unit_?tests?|integration_?tests?|docs?|documentation|manpages|news"
    r"|newsfragments|changelog|examples?|scripts|tools|util|utils|python|build|dist|debian|ci|bin"
    r"|benchmarks?|exercises?|htmlcov|node_modules|setup|conftest|noxfile|toxfile|tasks|fabfile"
    r"|pavement|dodo|[Ss][Cc]onstruct|conanfile|manage|hatch_build|pdm_build|site_scons|venv|env"
)


def source_entries(name: str, editable: Editable, site: str) -> Iterator[ScannedEntry]:
    """Yield what is importable by an editable install, as it can lie in site-packages.

    Links are followed, as those are that lead from an environment to a folder outside.

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
    """Yield what is importable, with its path below site-packages."""
    for exposed in editable.exposed:
        if exposed.name:
            yield exposed.name, exposed.path
            continue
        is_project = any((exposed.path / each).is_file() for each in PROJECT_FILES)
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
    """Whether a child of a folder of `sys.path` is a module or a package, of whatever kind."""
    if not os.path.isdir(path):
        return path.name.split(".")[0].isidentifier() and path.name.endswith(MODULE_SUFFIXES)
    return path.name.isidentifier() and not os.path.exists(path / "pyvenv.cfg")


def _holds_modules(path: Path) -> bool:
    if not os.path.isdir(path):
        return True
    for _, folders, files in os.walk(path):
        folders[:] = [name for name in folders if name.isidentifier()]
        if any(name.endswith(MODULE_SUFFIXES) for name in files):
            return True
    return False


def same_content(entry: ScannedEntry, other: ScannedEntry) -> bool:
    """Whether two entries are the same but for their names and times."""
    if isinstance(entry, FileEntry) and isinstance(other, FileEntry):
        return entry.size == other.size and digest_of(entry) == digest_of(other)
    return type(entry) is type(other)


def carried(entry: ScannedEntry) -> ScannedEntry:
    """Take a small file's bytes, so that they are what its hash is of; libraries stay files."""
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
    """Yield the `.dist-info` that an installation would make of an `.egg-info`."""
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
    """Say which extension module needs a library of the source tree that is not copied with it."""
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
                return f"{arcname} needs {library}, which is not importable"
    return None


def _found_libraries(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the libraries that a file finds by its own search path, with the part that finds it."""
    elf = _elf(path) if ".so" in path.name else None
    if elf is None or elf.search_path is None:
        return
    for folder in elf.search_path.folders:
        real = os.path.realpath(folder.replace("$ORIGIN", str(path.parent)))
        for needed in elf.needed:
            if os.path.isfile(os.path.join(real, needed)):
                yield folder, Path(real, needed)


def _elf(path: Path) -> ElfFile | None:
    from ..binaries.elf import ElfFile  # 20 ms that most runs can do without

    try:
        return ElfFile.from_path(path)
    except InterpreterProblem:
        return None
