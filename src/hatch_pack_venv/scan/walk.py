"""A read-only walk over an environment."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from ..filesystem import copies_of, portable_linkname, resolve_link, special_kind
from ..metadata.files import (
    IGNORE_ALL,
    SIZE_LIMIT,
    open_descriptor,
    proven_archive,
    read_descriptor,
    read_file,
)
from ..metadata.path_files import keys_with_credentials
from ..model.components import BESIDE
from ..model.entries import (
    DirectoryEntry,
    FileEntry,
    LinkTarget,
    SymlinkEntry,
    TargetKind,
    UnsupportedEntry,
    parents_of,
)
from ..model.errors import is_failure
from ..model.formats import CompressionFormat
from ..platforms.posix import data_files as posix_data_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..model.distribution import InstalledDistribution
    from ..model.entries import ScannedEntry
    from ..model.environment import Environment


_NAME: Final = attrgetter("name")
_SCRIPT_LIMIT: Final = 1 << 20  # bytes; larger files in the scripts folder are not launchers
_FACTS: Final = tuple(f"{format.suffix}.json" for format in CompressionFormat)
_SCRIPT_HEADS: Final = {False: (b"#!",), True: (b"#!", b"MZ")}  # by whether it is for Windows
_REWRITTEN: Final = {"direct_url.json", "RECORD", "pyvenv.cfg", "sitecustomize.py"}
_ENDINGS: Final = (*_REWRITTEN, ".pth", *posix_data_files.ENDINGS)


def scan(environment: Environment, *, with_copies: bool = True) -> Iterator[ScannedEntry]:
    """Walk an environment without writing to it, parents first, names in order.

    Small files that a rule may rewrite carry their bytes, all others their path. Internal links
    carry a relative text.

    Parameters:
        with_copies: whether links that leave the environment carry the entries that can replace
            them.
    """
    return _Scanner(environment, with_copies=with_copies).entries()


_Found: TypeAlias = "tuple[str, os.DirEntry[str] | OSError]"


class _Scanner:
    def __init__(self, environment: Environment, *, with_copies: bool) -> None:
        self.environment = environment
        self.with_copies = with_copies
        self.boundary = environment.prefix
        self.scripts = f"{environment.scripts}/"

    def entries(self) -> Iterator[ScannedEntry]:
        """Yield what is in the environment.

        Generators are not nested: each entry would be handed up through every folder.
        """
        root = str(self.environment.prefix)
        listings = [self._listing("", root)]
        while listings:
            found = next(listings[-1], None)
            if found is None:
                listings.pop()
                continue
            arcname, child = found
            entry = self._entry(arcname, child)
            yield entry
            if isinstance(entry, DirectoryEntry):
                listings.append(self._listing(arcname, f"{root}/{arcname}"))

    def _listing(self, arcname: str, path: str) -> Iterator[_Found]:
        """Return an iterator over a folder's children in order, or over the error that occurs."""
        try:
            children = sorted(os.scandir(path), key=_NAME)
        except OSError as error:
            return iter([(arcname, error)])
        above = f"{arcname}/" if arcname else ""
        return iter([(above + child.name, child) for child in children])

    def _entry(self, arcname: str, child: os.DirEntry[str] | OSError) -> ScannedEntry:
        if isinstance(child, OSError):
            return _unreadable(arcname, child)
        try:
            status = child.stat(follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                return self._link(arcname, Path(child.path), int(status.st_mtime))
        except OSError as error:  # it was removed or replaced since its folder was listed
            return _unreadable(arcname, error)
        if stat.S_ISREG(status.st_mode):
            return self._with_bytes(FileEntry.from_status(arcname, child.path, status))
        if stat.S_ISDIR(status.st_mode):
            return DirectoryEntry.from_status(arcname, status)
        return UnsupportedEntry(arcname=arcname, reason=f"is {special_kind(status.st_mode)}")

    def _with_bytes(self, entry: ScannedEntry) -> ScannedEntry:
        """Read a file that a rule may rewrite, wherever it is."""
        if not isinstance(entry, FileEntry) or not self._may_be_rewritten(entry):
            return entry
        if not isinstance(entry.content, str):
            return entry
        is_script = entry.arcname.rpartition("/")[0] == self.environment.scripts
        try:
            heads = _SCRIPT_HEADS[self.environment.is_windows] if is_script else ()
            if entry.arcname.startswith(f"{self.scripts}activate"):
                heads = ()  # their content shows whether somebody edited them
            content = _read_rewritable(entry.content, heads)
        except OSError as error:
            return _unreadable(entry.arcname, error)
        if content is None:
            return entry
        return replace(entry, content=content, size=len(content))

    def _may_be_rewritten(self, entry: FileEntry) -> bool:
        arcname = entry.arcname
        if not arcname.endswith(_ENDINGS) and not arcname.startswith(self.scripts):
            return False  # true of nearly all files
        folder, _, name = arcname.rpartition("/")
        if folder == self.environment.scripts:
            return entry.size <= _SCRIPT_LIMIT
        if name in _REWRITTEN or name.endswith(".pth"):
            return entry.size <= SIZE_LIMIT
        return (
            posix_data_files.may_be_rewritten(arcname) and entry.size <= posix_data_files.SIZE_LIMIT
        )

    def _link(self, arcname: str, path: Path, mtime: int) -> ScannedEntry:
        target = resolve_link(path, self.boundary)
        if self.boundary.is_relative_to(target.path) and self.boundary != target.path:
            reason = f"leads to {target.path}, a folder that contains the environment itself"
            return UnsupportedEntry(arcname=arcname, reason=reason)
        linkname = portable_linkname(path, target, self.boundary) or os.readlink(path)
        external = target.kind in (TargetKind.EXTERNAL_FILE, TargetKind.EXTERNAL_DIRECTORY)
        containing = self.environment.containing
        if external and containing is not None and target.path.is_relative_to(containing):
            near = LinkTarget(
                kind=TargetKind.LAYER, path=target.path, is_directory=target.is_directory
            )
            target, linkname = near, os.path.relpath(near.path, os.path.realpath(path.parent))
        copies = copies_of(target.path, arcname) if external and self.with_copies else ()
        return SymlinkEntry(
            arcname=arcname,
            linkname=linkname,
            target=target,
            copies=tuple(map(self._with_bytes, copies)),
            optional=arcname == "lib64",
            mtime=mtime,
        )


def installed_in(
    scanned: Iterable[ScannedEntry], environment: Environment
) -> tuple[ScannedEntry, ...]:
    """Return what is installed in an interpreter's own prefix, without what came with it.

    This is the contents of its site-packages, and what distributions' RECORD files name outside
    them.
    """
    owned = frozenset(name for each in environment.distributions for name in each.files)
    sites = tuple(f"{site}/" for site in environment.site_packages)
    entries = tuple(scanned)
    names = {each.arcname for each in entries}
    kept = {name for name in names if name in owned or name.startswith(sites)}
    kept |= parents_of([*kept, *sites])
    return tuple(each for each in entries if each.arcname in kept)


def own_archives(
    scanned: Sequence[ScannedEntry], environment: Environment, output: Path | None
) -> frozenset[str]:
    """Return the arcnames of what earlier runs have written into an environment.

    These are this project's archives, the files next to them, the `.gitignore` files that hide
    them, and folders that contain nothing else.

    Parameters:
        output: the folder that archives are written to.
    """
    prefix = environment.prefix
    facts = [entry.arcname for entry in scanned if entry.arcname.endswith(".json")]
    told = [name for name in facts if name.endswith(_FACTS)]
    proven = [name for name in told if proven_archive(prefix / name) is not None]
    archives = [name.removesuffix(".json") for name in proven]
    taken = {f"{name}{suffix}" for name in archives for suffix in ("", *BESIDE)}
    taken &= {entry.arcname for entry in scanned}
    ignores = {posixpath.join(posixpath.dirname(name), ".gitignore") for name in proven}
    folders = parents_of(taken)
    inside = None if output is None else os.path.realpath(output)
    if inside is not None and inside.startswith(f"{prefix}{os.sep}"):
        ignores.add(Path(inside, ".gitignore").relative_to(prefix).as_posix())
        folders |= parents_of(ignores)
    taken |= {
        entry.arcname
        for entry in scanned
        if entry.arcname in ignores
        and isinstance(entry, FileEntry)
        and _read(entry) == IGNORE_ALL.encode()
    }
    if not folders and not taken:
        return frozenset()
    others = (
        entry.arcname
        for entry in scanned
        if entry.arcname not in taken and entry.arcname not in folders
    )
    return frozenset(taken | (folders - parents_of(others)))


_SETTINGS: Final = (
    *(".cfg", ".cnf", ".conf", ".env", ".ini", ".json", ".properties", ".toml", ".xml", ".yaml"),
    *(".yml", "pip.conf", "netrc", "pypirc", "credentials", "npmrc", "yarnrc", "condarc"),
)
_ORIGIN: Final = "/direct_url.json"
_SETTINGS_LIMIT: Final = 1 << 20  # bytes


def describe_credentials(
    entries: Iterable[ScannedEntry],
    environment: Environment,
    packed: Iterable[InstalledDistribution],
    excluded: Callable[[str], bool],
) -> Iterator[str]:
    """Yield a sentence for each packed setting and requirement that contains a password.

    Parameters:
        packed: the distributions that are packed.
        excluded: whether a file is not packed, by its arcname.
    """
    settings = ((name, key, "remove it") for name, key in credentials_in(entries, environment))
    way = "write the requirement without it, and rebuild and reinstall the package"
    metadata = ((name, key, way) for name, key in requirements_with_credentials(packed))
    for name, key, way_out in (*settings, *metadata):
        if not excluded(name):
            yield (
                f"{name} contains a URL with a password or token ({key}) that anyone who gets the"
                f" archive could read: {way_out}, or add the file to exclude-files"
            )


def credentials_in(
    entries: Iterable[ScannedEntry], environment: Environment
) -> Iterator[tuple[str, str]]:
    """Yield arcname and key of each setting that contains a URL with a password or a token.

    This looks at settings files that no distribution brought (others can get a distribution's files
    as well), and at what installers recorded about where a distribution came from.
    """
    owned: frozenset[str] | None = None
    for entry in [each for each in entries if each.arcname.endswith(_SETTINGS)]:
        name = entry.arcname
        if not isinstance(entry, FileEntry) or entry.size > _SETTINGS_LIMIT:
            continue
        if _ORIGIN not in name:
            if owned is None:
                owned = frozenset(n for each in environment.distributions for n in each.files)
            if name in owned:
                continue
        for key in keys_with_credentials(_read(entry), examples=_ORIGIN not in name):
            yield name, key


def requirements_with_credentials(
    distributions: Iterable[InstalledDistribution],
) -> Iterator[tuple[str, str]]:
    """Yield arcname and key of each requirement on a URL with a password or a token, once each."""
    for each in distributions:
        file = "METADATA" if each.metadata_dir.endswith(".dist-info") else "requires.txt"
        holding = [
            required
            for required in each.requires
            if keys_with_credentials(required.encode("utf-8", "replace"), examples=False)
        ]
        for name in dict.fromkeys(re.split(r"[^\w.-]", r, maxsplit=1)[0] for r in holding):
            yield f"{each.metadata_dir}/{file}", f"Requires-Dist: {name}"


def _read(entry: FileEntry) -> bytes:
    if isinstance(entry.content, bytes):
        return entry.content
    try:
        return read_file(entry.content) if isinstance(entry.content, str) else b""
    except OSError as error:
        if is_failure(error):
            raise
        return b""  # writing will report it


def _unreadable(arcname: str, error: OSError) -> UnsupportedEntry:
    return UnsupportedEntry(arcname=arcname, reason=f"cannot be read ({error.strerror})")


def _read_rewritable(path: str, heads: tuple[bytes, ...]) -> bytes | None:
    """Read a small file; if heads are given, only if its first two bytes are one of them."""
    descriptor = open_descriptor(path)
    try:
        head = os.read(descriptor, 2) if heads else b""
        if heads and head not in heads:
            return None
        return head + read_descriptor(descriptor, SIZE_LIMIT)
    finally:
        os.close(descriptor)
