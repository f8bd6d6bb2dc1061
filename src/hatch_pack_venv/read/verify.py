"""An archive or an unpacked folder compared with its manifest."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from ..injected import postinstall
from ..metadata.files import open_file, read_json
from ..model import manifest
from ..model.entries import leaves
from ..model.errors import ArchiveProblem, OutputProblem, telling_system_errors
from ..model.results import silent
from .contents import Contents

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ..model.entries import Chunks, Member
    from ..model.results import Reporter
    from .contents import Held, ListedFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The connection of an unpacked environment to an interpreter of the machine.

    Parameters:
        names: the files that connecting writes, by their names below the prefix; empty if nothing
            is connected.
    """

    tree: postinstall.Tree | None
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, contents: Contents) -> Self:
        """Determine whether a folder is connected: it has a `pyvenv.cfg` that was not packed."""
        listing = contents.listing
        there, packed = contents.members.get("pyvenv.cfg"), listing.files.get("pyvenv.cfg")
        written = there is not None and there.member.kind == "file"
        if there is not None and packed is not None:
            written = written and there.sha256 != packed.sha256
        ours = listing.head.get("interpreter") in ("target", "promised", "neighbour")
        sites = listing.head.get("layout", {}).get("site_packages")
        if not (written and contents.is_folder and ours and sites):
            return cls(tree=None)
        content = bytes(contents.kept.get(manifest.ARCNAME, b""))
        try:
            tree = postinstall.parse_manifest(content, os.path.realpath(contents.path))
            pieces = postinstall.pieces(tree, "/python", "")
        except postinstall.ConnectError:
            return cls(tree=None)
        if tree.neighbours.below:
            pieces[os.path.join(tree.site_packages[0], postinstall.LAYERS_FILE)] = b""
        names = {os.path.relpath(path, tree.prefix).replace(os.sep, "/") for path in pieces}
        return cls(tree=tree, names=frozenset(names))

    @property
    def is_there(self) -> bool:
        """Whether the environment is connected."""
        return self.tree is not None

    def problems(self) -> Iterator[str]:
        """Yield a sentence for each difference from what connecting leaves."""
        if self.tree is None:
            return
        try:
            yield from postinstall.findings(self.tree)
        except postinstall.ConnectError as error:  # what connecting would stop at
            yield from error.args


_CACHED: Final = re.compile(r"(.+)\.[A-Za-z0-9_-]+(\.opt-\d)?\.pyc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One difference from what was packed.

    Parameters:
        what: `changed`, `missing`, `added`, `mode`, `link`, `leaves`, `connection`, `manifest`,
            `digest`, `damaged` or `facts`.
        path: the name below the install target.
        detail: a clause that says what is there and what should be.
    """

    what: str
    path: str
    detail: str

    def to_dict(self) -> dict[str, str]:
        """Return the finding as JSON-compatible values."""
        return {"what": self.what, "path": self.path, "detail": self.detail}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What verifying an archive or a folder has found.

    Parameters:
        entry_count: number of entries that the manifest lists, as for a packed archive.
        size: bytes of all files.
        byte_code: number of bytecode files that Python has written since; no manifest knows their
            contents.
        connected: whether `postinstall.py` has connected the folder to an interpreter.
    """

    path: Path
    head: Mapping[str, Any]
    install_target: str
    findings: tuple[Finding, ...]
    entry_count: int
    size: int
    byte_code: int
    connected: bool

    @property
    def is_whole(self) -> bool:
        """Whether everything is as it was packed."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON-compatible values."""
        return {
            "path": str(self.path),
            "ok": self.is_whole,
            "name": self.head.get("name"),
            "version": self.head.get("version"),
            "content_digest": self.head["content_digest"],
            "entry_count": self.entry_count,
            "size": self.size,
            "byte_code_files": self.byte_code,
            "connected": self.connected,
            "findings": [finding.to_dict() for finding in self.findings],
        }


@telling_system_errors()
def verify(
    path: Path,
    *,
    external_links: bool = False,
    unpack_into: Path | None = None,
    report: Reporter = silent,
) -> Verification:
    """Compare every entry of an archive or an unpacked folder with its manifest.

    Parameters:
        external_links: whether links may lead out of it, as those of `create_archive` may.
        unpack_into: a folder that everything is unpacked into while it is read.
        report: reports the bytes read, of the archive or of a folder's files.

    Raises:
        ArchiveProblem: it cannot be read, is damaged or refused, or is none of ours.
        OutputProblem: it cannot be unpacked.
    """
    if unpack_into is None:
        contents = Contents.from_path(path, report=report)
    else:
        unpacker = Unpacker(folder=unpack_into)
        contents = Contents.from_path(path, passing=unpacker.take, report=report)
    comparison = _Comparison(contents, external_links=external_links)
    findings = [*comparison.findings()]
    if contents.damage is not None:
        findings.append(Finding(what="damaged", path=path.name, detail=contents.damage))
    if not contents.is_folder:
        findings += _compared_with_facts(contents)
    return Verification(
        path=path,
        head=contents.listing.head,
        install_target=contents.install_target,
        findings=tuple(findings),
        entry_count=contents.entry_count,
        size=contents.size,
        byte_code=comparison.byte_code,
        connected=comparison.connection.is_there,
    )


class _Comparison:
    def __init__(self, contents: Contents, *, external_links: bool) -> None:
        self.contents = contents
        self.listing = contents.listing
        self.external_links = external_links
        self.connection = Connection.of(contents)
        self.byte_code = 0

    def findings(self) -> Iterator[Finding]:
        if not self.listing.whole:
            detail = "differs from the text that pack-venv wrote"
            yield Finding(what="manifest", path=manifest.ARCNAME, detail=detail)
        members = {
            name: held
            for name, held in self.contents.members.items()
            if name not in self.connection.names
        }
        top = self.contents.top
        if top is not None and not self.contents.is_folder:
            yield from self._of_mode(self.contents.install_target, top.member.mode, 0o755)
        changed = [finding for name, held in members.items() for finding in self._of(name, held)]
        yield from changed
        yield from self._missing()
        yield from self._leaving()
        for name in self.contents.outside:
            yield Finding(what="added", path=f"../{name}", detail="is outside the install target")
        for sentence in self.connection.problems():
            yield Finding(what="connection", path="pyvenv.cfg", detail=sentence)
        if not changed:
            yield from self._digest()

    def _of(self, name: str, held: Held) -> Iterator[Finding]:
        member, listing = held.member, self.listing
        if name == manifest.ARCNAME:
            yield from self._of_mode(name, member.mode, 0o644)
        elif name in listing.files and member.kind == "file":
            yield from self._of_file(name, held, listing.files[name])
        elif name in listing.links and member.kind == "link":
            if member.linkname != listing.links[name]:
                detail = f"points to {member.linkname!r} instead of {listing.links[name]!r}"
                yield Finding(what="link", path=name, detail=detail)
        elif name in listing.directories and member.kind == "directory":
            yield from self._of_mode(name, member.mode, listing.directories[name])
        elif name in {*listing.files, *listing.links, *listing.directories}:
            detail = f"is now a {member.kind}, which it was not when packed"
            yield Finding(what="changed", path=name, detail=detail)
        elif self._is_byte_code(name, held):
            self.byte_code += member.kind == "file"
        else:
            yield Finding(what="added", path=name, detail=f"is a {member.kind} that was not packed")

    def _of_file(self, name: str, held: Held, listed: ListedFile) -> Iterator[Finding]:
        if (held.sha256, held.member.size) != (listed.sha256, listed.size):
            detail = (
                f"has {held.member.size} bytes with SHA-256 {held.sha256} instead of {listed.size}"
                f" with {listed.sha256}"
            )
            yield Finding(what="changed", path=name, detail=detail)
        yield from self._of_mode(name, held.member.mode, listed.mode)

    def _of_mode(self, name: str, mode: int, packed: int) -> Iterator[Finding]:
        """Compare modes; a folder may lack write permission, and bits cleared by a umask."""
        same = mode == packed
        if self.contents.is_folder:
            same = not mode & ~packed and not packed & ~mode & 0o500
        if not same:
            detail = f"has mode {mode:o} instead of {packed:o}"
            yield Finding(what="mode", path=name, detail=detail)

    def _missing(self) -> Iterator[Finding]:
        listing = self.listing
        for name in [*listing.directories, *listing.links, *listing.files]:
            if name not in self.contents.members and name not in self.connection.names:
                yield Finding(what="missing", path=name, detail="is missing")

    def _leaving(self) -> Iterator[Finding]:
        for name, held in self.contents.members.items():
            text = held.member.linkname
            ours = name in self.connection.names or self.external_links
            fixed_path = self.listing.head.get("interpreter_path")
            ours = ours or (fixed_path is not None and text == fixed_path and _starts(name))
            ours = ours or self._leads_to_layer(name, text)
            if held.member.kind == "link" and not ours and leaves(name, text):
                detail = f"is a link that points outside the environment, to {text!r}"
                yield Finding(what="leaves", path=name, detail=detail)

    def _leads_to_layer(self, name: str, text: str) -> bool:
        """Whether a link leads into one of the folders that the manifest names as layers."""
        layers = self.listing.head.get("neighbours")
        known = layers.get("linked") if isinstance(layers, dict) else None
        target = posixpath.normpath(posixpath.join("/#", name, "..", text))
        folders = [posixpath.normpath(f"/#/{each}") for each in known or ()]
        return any(f"{target}/".startswith(f"{folder}/") for folder in folders)

    def _is_byte_code(self, name: str, held: Held) -> bool:
        """Whether Python wrote this into an unpacked folder, for a source that was packed."""
        folder, base = posixpath.split(name)
        if not self.contents.is_folder:
            return False
        if held.member.kind == "directory":
            return base == "__pycache__" and folder in {*self.listing.directories, ""}
        match = _CACHED.fullmatch(base)
        above, cache = posixpath.split(folder)
        if held.member.kind != "file" or cache != "__pycache__" or match is None:
            return False
        source = posixpath.join(above, f"{match[1]}.py")
        return source in self.listing.files or source in self.connection.names

    def _digest(self) -> Iterator[Finding]:
        told = self.listing.head["content_digest"]
        computed = self.listing.content_digest()
        if computed != told:
            detail = f"records the content digest {told}, but its entries have {computed}"
            yield Finding(what="digest", path=manifest.ARCNAME, detail=detail)


def _starts(name: str) -> bool:
    """Whether a name is that of the environment's interpreter."""
    return re.fullmatch(r"bin/python\d+\.\d+t?", name) is not None


def _compared_with_facts(contents: Contents) -> Iterator[Finding]:
    """Compare an archive with the `.json` next to it, if there is one."""
    path = contents.path.with_name(f"{contents.path.name}.json")
    try:
        facts = read_json(path)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        yield Finding(what="facts", path=path.name, detail=f"cannot be read: {reason}")
        return
    with open_file(contents.path) as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
        size = stream.tell()
    head = {key: value for key, value in contents.listing.head.items() if key != "content_digest"}
    found = {
        "archive": contents.path.name,
        "sha256": sha256,
        "size": size,
        "entry_count": contents.entry_count,
        "unpacked_size": contents.size,
        "content_digest": contents.listing.head["content_digest"],
        "manifest": head,
    }
    for key, value in found.items():
        told = facts.get(key) if isinstance(facts, dict) else None
        if told != value:
            detail = f"records {told!r} as {key}, but the archive has {value!r}"
            if key == "manifest":
                detail = "describes a different archive"
            yield Finding(what="facts", path=path.name, detail=detail)


@telling_system_errors()
def check_is_there(path: Path) -> None:
    """Refuse a path that does not exist.

    Raises:
        ArchiveProblem: there is neither an archive nor a folder.
    """
    if not path.exists():
        raise ArchiveProblem(f"{path} does not exist: expected an archive or a folder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacker:
    """Unpacks an archive into a folder while it is read and compared.

    The readers have refused whatever would escape from it: names that lead out, and names below
    links.
    """

    folder: Path

    def take(self, member: Member, chunks: Chunks) -> Chunks:
        """Write a member, and yield its bytes.

        Raises:
            OutputProblem: it cannot be written.
        """
        path = self.folder / member.name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if member.kind == "directory":
                path.mkdir(exist_ok=True)
            elif member.kind == "link":
                path.symlink_to(member.linkname)
            elif member.kind == "file":
                yield from _written(path, member.mode, chunks)
        except OSError as error:
            raise OutputProblem(f"{path} cannot be unpacked: {error.strerror}") from error


def _written(path: Path, mode: int, chunks: Chunks) -> Chunks:
    with path.open("xb") as stream:
        for chunk in chunks:
            stream.write(chunk)
            yield chunk
    path.chmod(mode)
