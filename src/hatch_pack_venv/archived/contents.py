"""What an archive or an unpacked folder really holds: names, hashes, and its manifest's bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from .. import manifest
from ..archives import silent
from ..errors import ArchiveProblem, DamagedArchive
from .listing import SIZE_LIMIT, Listing
from .reading import bytes_to_read, read_members

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..archives import Reporter
    from .members import Chunks, Member


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
