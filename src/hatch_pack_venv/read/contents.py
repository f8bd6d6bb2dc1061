"""What an archive or an unpacked folder really holds: names, hashes, and its manifest's bytes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from ..model import manifest
from ..model.entries import DirectoryEntry, FileEntry, SymlinkEntry
from ..model.errors import ArchiveProblem, DamagedArchive
from ..model.results import silent
from .archives import bytes_to_read, read_members

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ..model.entries import Entry
    from ..model.results import Reporter
    from .archives import Chunks, Member


SIZE_LIMIT: Final = 1 << 28  # bytes; a million files take about 200 MB
_KINDS: Final = {"format_version": int, "content_digest": str, "python": dict, "platform": dict}
_LISTS: Final = {
    "directories": (),
    "links": ("path", "target"),
    "copied_links": ("path", "target"),
    "files": ("path", "sha256", "mode"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """A file as the manifest has it; `mode` is its permission bits."""

    sha256: str
    size: int
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A manifest.

    Parameters:
        head: what it says before it lists the files.
        links: the texts of links, by name.
        copied_links: the same of links that this format put copies in the place of.
        files: by name; the manifest itself is not among them.
        whole: whether the text is, bit by bit, what was once written.
    """

    head: Mapping[str, Any]
    directories: frozenset[str]
    links: Mapping[str, str]
    copied_links: Mapping[str, str]
    files: Mapping[str, ListedFile]
    whole: bool

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read a manifest's text.

        Raises:
            ArchiveProblem: it is none, or of a later format.
        """
        try:
            data = json.loads(content)
        except (ValueError, RecursionError):
            raise ArchiveProblem("it is not JSON") from None
        if not isinstance(data, dict) or not _is_of_our_shape(data):
            raise ArchiveProblem("it does not list what a manifest lists")
        if data["format_version"] != manifest.FORMAT_VERSION:
            version = data["format_version"]
            raise ArchiveProblem(f"it has the format version {version}: use a newer pack-venv")
        digest = data.pop("manifest_sha256", None)
        whole = digest == manifest.own_digest(data)
        whole = whole and content == manifest.render({**data, "manifest_sha256": digest})
        return cls(
            head={key: value for key, value in data.items() if key not in _LISTS},
            directories=frozenset(data["directories"]),
            links={link["path"]: link["target"] for link in data["links"]},
            copied_links={link["path"]: link["target"] for link in data["copied_links"]},
            files={file["path"]: _listed_file(file) for file in data["files"]},
            whole=whole,
        )

    def content_digest(self) -> str:
        """Compute the content digest again."""
        return manifest.content_digest(self._planned(), lambda name: self.files[name].sha256)

    def _planned(self) -> list[Entry]:
        """Return the entries as they were before a format turned links into copies."""
        entries: list[Entry] = [
            SymlinkEntry(arcname=name, linkname=text)
            for name, text in {**self.links, **self.copied_links}.items()
        ]
        entries += [DirectoryEntry(arcname=name) for name in self.directories]
        entries += [
            FileEntry(arcname=name, content=b"", size=file.size, executable=file.mode == 0o755)
            for name, file in self.files.items()
        ]
        return [
            entry
            for entry in entries
            if isinstance(entry, SymlinkEntry) or not self._is_copy(entry.arcname)
        ]

    def _is_copy(self, name: str) -> bool:
        while name:
            if name in self.copied_links:
                return True
            name = name.rpartition("/")[0]
        return False


def _is_of_our_shape(data: dict[str, Any]) -> bool:
    kinds = all(isinstance(data.get(key), kind) for key, kind in _KINDS.items())
    return kinds and all(
        isinstance(data.get(key), list) and all(_is_row(row, fields) for row in data[key])
        for key, fields in _LISTS.items()
    )


def _is_row(row: Any, fields: tuple[str, ...]) -> bool:
    if not fields:
        return isinstance(row, str)
    if not isinstance(row, dict) or not all(isinstance(row.get(field), str) for field in fields):
        return False
    return "mode" not in fields or (isinstance(row.get("size"), int) and row["mode"].isdigit())


def _listed_file(row: Mapping[str, Any]) -> ListedFile:
    try:
        mode = int(row["mode"], 8)
    except ValueError:
        mode = -1
    return ListedFile(sha256=row["sha256"], size=row["size"], mode=mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A member that was read; `sha256` is that of a file's bytes."""

    member: Member
    sha256: str = ""


@dataclass(kw_only=True)
class Contents:
    """All members by their names below the install target.

    Parameters:
        install_target: the top folder, `"."` for none.
        outside: names of members beside the install target.
        entry_count: members, the install target's own among them.
        damage: what was wrong with the archive after its manifest.
        kept: bytes of the files that were asked for.
    """

    path: Path
    is_folder: bool
    listing: Listing
    install_target: str = "."
    members: dict[str, Held] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)
    entry_count: int = 0
    damage: str | None = None
    kept: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def from_path(
        cls,
        path: Path,
        *,
        hashing: bool = True,
        keep: Callable[[str], bool] = lambda _name: False,
        report: Reporter = silent,
    ) -> Self:
        """Read an archive or a folder once, from its first byte to its last.

        Parameters:
            hashing: whether the files' hashes are wanted.
            keep: whether a file's bytes are wanted; called with each name.
            report: told of the bytes of the archive, or of a folder's files.

        Raises:
            ArchiveProblem: it cannot be read, is damaged, refused, or none of ours.
        """
        reader = _Reader(hashing=hashing, keep=keep)
        damage = None
        try:
            with report(bytes_to_read(path)) as advance:
                for member, chunks in read_members(path, advance):
                    reader.take(member, chunks)
        except DamagedArchive as error:
            # A compressor's check sum stands at the end: what was read may tell which file it is.
            if not reader.has_manifest:
                raise
            damage = str(error)
        if reader.top is None:
            raise ArchiveProblem(
                f"{path} has no manifest ({manifest.ARCNAME}): it was not made by pack-venv, or"
                " its end is missing"
            )
        try:
            listing = Listing.from_bytes(reader.kept[reader.top + manifest.ARCNAME])
        except ArchiveProblem as error:
            raise ArchiveProblem(
                f"the manifest of {path} ({manifest.ARCNAME}) is damaged: {error}"
            ) from None
        return cls(
            path=path,
            is_folder=path.is_dir(),
            listing=listing,
            install_target=reader.top.rstrip("/") or ".",
            members=reader.below(reader.top),
            outside=[name for name in reader.seen if not f"{name}/".startswith(reader.top)],
            damage=damage,
            entry_count=len(reader.seen),
            kept={name.removeprefix(reader.top): data for name, data in reader.kept.items()},
        )

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(held.member.size for held in self.members.values())


class _Reader:
    """Takes members; the manifest is the last that has its name at the top or one below it."""

    def __init__(self, *, hashing: bool, keep: Callable[[str], bool]) -> None:
        self.hashing = hashing
        self.keep = keep
        self.top: str | None = None
        self.seen: dict[str, Held] = {}
        self.kept: dict[str, bytes] = {}

    def take(self, member: Member, chunks: Chunks) -> None:
        top = self._top_of_manifest(member)
        if top is not None:
            self.top = top
        kept = bytearray() if top is not None or self.keep(member.name) else None
        digest = hashlib.sha256()
        size = 0
        for chunk in chunks if self.hashing or kept is not None else ():
            digest.update(chunk)
            size += len(chunk)
            if kept is not None and size <= SIZE_LIMIT:
                kept += chunk
        if kept is not None:
            self.kept[member.name] = bytes(kept)
        self.seen[member.name] = Held(member=member, sha256=digest.hexdigest())

    @property
    def has_manifest(self) -> bool:
        """Whether the manifest has been read."""
        return self.top is not None and self.top + manifest.ARCNAME in self.kept

    def _top_of_manifest(self, member: Member) -> str | None:
        if member.kind != "file" or not f"/{member.name}".endswith(f"/{manifest.ARCNAME}"):
            return None
        top = member.name.removesuffix(manifest.ARCNAME)
        return top if top.count("/") <= 1 else None

    def below(self, top: str) -> dict[str, Held]:
        """Return the members below a top folder, by the rest of their names."""
        return {
            name.removeprefix(top): held
            for name, held in self.seen.items()
            if name.startswith(top) and name != top.rstrip("/")
        }
