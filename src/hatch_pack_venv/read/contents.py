"""What an archive or an unpacked folder really holds: names, hashes, and the manifest's bytes.

Nothing is written, and only regular files are read.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import re
import stat
import struct
import sys
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self, TypeAlias, cast

from ..filesystem import size_of_files
from ..injected import run_file
from ..metadata.files import SIZE_LIMIT, open_file, parse_json
from ..model import manifest
from ..model.entries import DirectoryEntry, FileEntry, Member, Names, SymlinkEntry
from ..model.errors import ArchiveProblem, DamagedArchive
from ..model.results import silent
from .archives import BLOCK, DECOMPRESSORS, tar_members, zip_members
from .squashfs import MAGIC, squashfs_members
from .wrapped import FIRST, image_members, run_members

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..model.entries import Chunks, Entry, Kind
    from ..model.results import Reporter


if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_MAGIC_OF_TAR: Final = b"ustar"
_TAR_OFFSET: Final = 257

# What the standard library's readers raise for bytes that are not what they should be.
_DAMAGE: Final = (
    EOFError,
    OSError,
    RuntimeError,
    UnicodeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    zlib.error,
    zstd.ZstdError,
)
Advance: TypeAlias = "Callable[[int], object]"
"""Called with the number of bytes read: an archive's own, or those of a folder's files."""


def read_members(path: Path, advance: Advance) -> Iterator[tuple[Member, Chunks]]:
    """Read an archive or a folder, whichever is there.

    Parameters:
        advance: called with the number of bytes read.

    Raises:
        DamagedArchive: it is damaged or cut off.
        ArchiveProblem: it cannot be read, or holds what no archive of ours holds: names that lead
            out of it, one name twice, hard links, devices.
    """
    if path.is_dir():
        return _read_folder(path, advance)
    return _Archive(path, advance).members()


class _Archive:
    def __init__(self, path: Path, advance: Advance) -> None:
        self.path = path
        self.names = Names(path)
        self.advance = advance
        self.position = 0

    def members(self) -> Iterator[tuple[Member, Chunks]]:
        with _telling_damage(self.path, self.names), open_file(self.path) as stream:
            for member, chunks in _archive_members(self.path, stream):
                self.names.add(member.name, member.kind, member.linkname)
                guarded = self._guarded(chunks, stream)
                yield member, guarded
                for _ in guarded:
                    pass
            self.advance(os.fstat(stream.fileno()).st_size - self.position)

    def _guarded(self, chunks: Chunks, stream: BinaryIO) -> Chunks:
        with _telling_damage(self.path, self.names):
            for chunk in chunks:
                self._follow(stream)
                yield chunk

    def _follow(self, stream: BinaryIO) -> None:
        """Report how far the archive has been read; a zip file's end is read first."""
        count = stream.tell() - self.position
        if count > 0:
            self.advance(count)
            self.position += count


@contextmanager
def _telling_damage(path: Path, names: Names) -> Iterator[None]:
    """Turn what the readers raise into one sentence that says where the damage is."""
    try:
        yield
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise ArchiveProblem(f"{path} cannot be read: {error.strerror}") from error
        where = f" in or after {names.last}" if names.last else ""
        reason = str(error) or type(error).__name__
        raise DamagedArchive(f"{path} is damaged or truncated{where}: {reason}") from error


def _archive_members(path: Path, stream: BinaryIO) -> Iterator[tuple[Member, Chunks]]:
    start = stream.read(_TAR_OFFSET + len(_MAGIC_OF_TAR))
    stream.seek(0)
    for magic, decompress in DECOMPRESSORS:
        if start.startswith(magic):
            return tar_members(path, cast("BinaryIO", decompress(stream)))
    if start.startswith(_ZIP):
        return zip_members(path, stream)
    if start.startswith(run_file.MAGIC):
        return run_members(path, stream)
    if start.startswith(FIRST):
        return image_members(path, stream)
    if start.startswith(MAGIC):
        return squashfs_members(path, stream)
    if start[_TAR_OFFSET:] == _MAGIC_OF_TAR:
        return tar_members(path, stream)
    raise ArchiveProblem(
        f"{path} is not an archive that pack-venv writes: it is not in tar, gzip, bzip2, xz, zstd,"
        " zip or squashfs format, nor a run file or an image"
    )


def _read_folder(path: Path, advance: Advance) -> Iterator[tuple[Member, Chunks]]:
    """Yield the contents of a folder, parents first; no recursion, however deep it is."""
    try:
        listings = [_listing(path, "")]
        while listings:
            found = next(listings[-1], None)
            if found is None:
                listings.pop()
                continue
            name, child = found
            member = _folder_member(name, child, child.stat(follow_symlinks=False))
            is_file = member.kind == "file"
            yield member, _file_chunks(Path(child.path), advance) if is_file else iter(())
            if member.kind == "directory":
                listings.append(_listing(path, name))
    except OSError as error:
        raise ArchiveProblem(f"{error.filename} cannot be read: {error.strerror}") from error


def _listing(root: Path, folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    above = f"{folder}/" if folder else ""
    children = sorted(os.scandir(root / folder), key=attrgetter("name"))
    return iter([(above + child.name, child) for child in children])


def _folder_member(name: str, child: os.DirEntry[str], status: os.stat_result) -> Member:
    kinds: dict[int, Kind] = {
        stat.S_IFREG: "file",
        stat.S_IFDIR: "directory",
        stat.S_IFLNK: "link",
    }
    kind = kinds.get(stat.S_IFMT(status.st_mode), "other")
    return Member(
        name=name,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        size=status.st_size if kind == "file" else 0,
        linkname=os.readlink(child.path) if kind == "link" else "",
    )


def _file_chunks(path: Path, advance: Advance) -> Iterator[bytes]:
    with open_file(path) as stream:
        while data := stream.read(BLOCK):
            advance(len(data))
            yield data


_LISTS: Final = ("directories", "directory_modes", "links", "copied_links", "files")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_MODE: Final = re.compile(r"[0-7]{1,4}")
_LARGEST: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """A file as the manifest lists it; `mode` holds its permission bits."""

    sha256: str
    size: int
    mode: int


_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")


def _check_text(content: bytes | bytearray, data: Any) -> None:
    """Check for lone surrogates, which JSON can express.

    Those that represent bytes that are not UTF-8 (PEP 383) belong to names, and are allowed.

    Raises:
        UnicodeEncodeError: there are others.
    """
    if _SURROGATE.search(content):
        json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A manifest.

    Parameters:
        head: what it says before it lists the files.
        directories: the permission bits of folders, by name.
        links: the texts of links, by name.
        copied_links: the same for links that this format replaced with copies.
        files: by name; the manifest itself is not among them.
        whole: whether the text is, byte for byte, what was once written.
    """

    head: Mapping[str, Any]
    directories: Mapping[str, int]
    links: Mapping[str, str]
    copied_links: Mapping[str, str]
    files: Mapping[str, ListedFile]
    whole: bool

    @classmethod
    def from_bytes(cls, content: bytes | bytearray) -> Self:
        """Parse a manifest's text.

        Raises:
            ArchiveProblem: it is not a manifest, or of another format version.
        """
        try:
            data = parse_json(content)
            _check_text(content, data)
        except UnicodeEncodeError:
            raise ArchiveProblem("it contains text that no name can have") from None
        except ValueError:
            raise ArchiveProblem("it is not JSON") from None
        modes = data.get("directory_modes", {}) if isinstance(data, dict) else {}
        if (
            not manifest.has_shape(data)
            or not all(map(_is_file, data["files"]))
            or not all(map(_is_mode, modes.values()))
        ):
            raise ArchiveProblem("it does not have the structure of a manifest")
        if data["format_version"] != manifest.FORMAT_VERSION:
            version = data["format_version"]
            raise ArchiveProblem(f"it has format version {version}: use a newer pack-venv")
        digest = data.pop("manifest_sha256", None)
        digest = digest if isinstance(digest, str) else None
        whole = digest == manifest.own_digest(data)
        whole = whole and content == manifest.render({**data, "manifest_sha256": digest})
        return cls(
            head={key: value for key, value in data.items() if key not in _LISTS},
            directories={name: int(modes.get(name, "755"), 8) for name in data["directories"]},
            links={link["path"]: link["target"] for link in data["links"]},
            copied_links={link["path"]: link["target"] for link in data["copied_links"]},
            files={file["path"]: _listed_file(file) for file in data["files"]},
            whole=whole,
        )

    def content_digest(self) -> str:
        """Recompute the content digest."""
        return manifest.content_digest(self._planned(), lambda name: self.files[name].sha256)

    @property
    def entry_count(self) -> int:
        """The number of entries, including the manifest; the same in every format."""
        return manifest.entry_count(self._planned())

    def _planned(self) -> list[Entry]:
        """Return the entries as they were before a format turned links into copies."""
        entries: list[Entry] = [
            SymlinkEntry(arcname=name, linkname=text)
            for name, text in {**self.links, **self.copied_links}.items()
        ]
        entries += [
            DirectoryEntry(arcname=name, mode=mode) for name, mode in self.directories.items()
        ]
        entries += [
            FileEntry(arcname=name, content=b"", size=file.size, mode=file.mode)
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


def _is_file(row: Any) -> bool:
    if not isinstance(row, dict):
        return False
    size, sha256, mode = row.get("size"), row.get("sha256"), row.get("mode")
    return (
        isinstance(row.get("path"), str)
        and type(size) is int
        and 0 <= size <= _LARGEST
        and isinstance(sha256, str)
        and _SHA256.fullmatch(sha256) is not None
        and _is_mode(mode)
    )


def _is_mode(value: Any) -> bool:
    return isinstance(value, str) and _MODE.fullmatch(value) is not None


def _listed_file(row: Mapping[str, Any]) -> ListedFile:
    return ListedFile(sha256=row["sha256"], size=row["size"], mode=int(row["mode"], 8))


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
        top: the install target itself, if the archive has an entry for it.
        outside: names of members outside the install target.
        damage: what was wrong with the archive after its manifest.
        kept: bytes of the files that were asked for.
    """

    path: Path
    is_folder: bool
    listing: Listing
    install_target: str = "."
    top: Held | None = None
    members: dict[str, Held] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)
    damage: str | None = None
    kept: dict[str, bytes | bytearray] = field(default_factory=dict)

    @classmethod
    def from_path(
        cls,
        path: Path,
        *,
        hashing: bool = True,
        keep: Callable[[str], bool] = lambda _name: False,
        passing: Callable[[Member, Chunks], Chunks] = lambda _member, chunks: chunks,
        report: Reporter = silent,
    ) -> Self:
        """Read an archive or a folder once, from its first byte to its last.

        Parameters:
            hashing: whether the files' hashes are wanted.
            keep: whether a file's bytes are wanted; called with each name.
            passing: called with each member; passes its bytes on, if hashes are wanted.
            report: reports the bytes read, of the archive or of a folder's files.

        Raises:
            ArchiveProblem: it cannot be read, is damaged or refused, or is none of ours.
        """
        reader = _Reader(path, hashing=hashing, keep=keep)
        damage = None
        try:
            with report(size_of_files(path)) as advance:
                for member, chunks in read_members(path, advance):
                    reader.take(member, passing(member, chunks))
        except DamagedArchive as error:
            # A compressor's checksum is at the end: what was read may show which file is damaged.
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
            top=reader.seen.get(reader.top.rstrip("/")),
            members=reader.below(reader.top),
            outside=[name for name in reader.seen if not f"{name}/".startswith(reader.top)],
            damage=damage,
            kept={name.removeprefix(reader.top): data for name, data in reader.kept.items()},
        )

    @property
    def entry_count(self) -> int:
        """The number of entries that the manifest lists, plus itself, as counted for packing."""
        return self.listing.entry_count

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(held.member.size for held in self.members.values())


class _Reader:
    """Takes members; the manifest is the last file of that name at the top or one level below."""

    def __init__(self, path: Path, *, hashing: bool, keep: Callable[[str], bool]) -> None:
        self.path = path
        self.hashing = hashing
        self.keep = keep
        self.top: str | None = None
        self.seen: dict[str, Held] = {}
        self.kept: dict[str, bytes | bytearray] = {}
        self.left = manifest.SIZE_LIMIT

    def take(self, member: Member, chunks: Chunks) -> None:
        top = self._top_of_manifest(member)
        if top is not None:
            self._forget_manifest()
            self.top = top
        kept = bytearray() if top is not None or self.keep(member.name) else None
        limit = min(self.left, SIZE_LIMIT if top is None else manifest.SIZE_LIMIT)
        digest = hashlib.sha256()
        for chunk in chunks if self.hashing or kept is not None else ():
            digest.update(chunk)
            if kept is not None:
                kept += chunk
                if len(kept) > limit:
                    raise ArchiveProblem(
                        f"{self.path} is refused: its entry {member.name!r} has more than {limit}"
                        " bytes, the limit for such a file"
                    )
        if kept is not None:
            self.kept[member.name] = kept
            self.left -= len(kept)
        self.seen[member.name] = Held(member=member, sha256=digest.hexdigest())

    def _forget_manifest(self) -> None:
        """Drop an earlier file that was taken for the manifest."""
        if self.top is not None:
            self.left += len(self.kept.pop(self.top + manifest.ARCNAME, b""))

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
