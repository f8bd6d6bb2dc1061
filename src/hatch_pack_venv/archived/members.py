"""The members of an archive that is read: what each is, its name and link judged."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from ..errors import ArchiveProblem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Kind: TypeAlias = Literal["file", "directory", "link", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What stands in an archive or a folder under one name.

    Parameters:
        name: relative, with `/` between its parts and nothing to normalise in it.
        mode: the permission bits.
        size: of a file, in bytes.
        linkname: a link's text.
    """

    name: str
    kind: Kind
    mode: int
    size: int = 0
    linkname: str = ""


Chunks: TypeAlias = "Iterator[bytes]"
"""A file's bytes; what is not taken is passed over."""

_WINDOWS_ABSOLUTE: Final = re.compile(r"\\|[A-Za-z]:[\\/]")


def portable_name(archive: Path, name: str) -> str:
    """Return a member's name without what does not matter in it (`./`, `//`, a last `/`).

    Raises:
        ArchiveProblem: it is absolute or leads upwards, on any platform.
    """
    either = name.replace("\\", "/")
    if name.startswith("/") or _WINDOWS_ABSOLUTE.match(name) or ".." in either.split("/"):
        raise ArchiveProblem(
            f"{archive} is refused: its entry {name!r} would be written outside of the folder it"
            " is unpacked into"
        )
    if "\0" in name:
        raise ArchiveProblem(f"{archive} is refused: its entry {name!r} has no possible name")
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def leaves(name: str, linkname: str) -> bool:
    """Whether a link's text leads out of the archive.

    A `..` behind another part counts as leading out: where that part is a link, what it means is
    only known when it is followed.
    """
    parts = [part for part in linkname.split("/") if part not in ("", ".")]
    upwards = len(parts) - len([*_without_leading_parents(parts)])
    depth = name.count("/")
    inner = ".." in parts[upwards:]
    return posixpath.isabs(linkname) or inner or upwards > depth


def _without_leading_parents(parts: list[str]) -> list[str]:
    for index, part in enumerate(parts):
        if part != "..":
            return parts[index:]
    return []


class Names:
    """The names seen so far, each once and none below anything but a folder.

    Parameters:
        archive: for messages.
    """

    def __init__(self, archive: Path) -> None:
        self.last = ""
        self._archive = archive
        self._seen: set[str] = set()
        self._folders: set[str] = set()
        self._others: set[str] = set()

    def add(self, name: str, kind: str, linkname: str) -> None:
        """Take the next member.

        Raises:
            ArchiveProblem: the name was there before, as this or as another kind, or its folder
                is a file or a link; a link's text is empty.
        """
        parents = [name[:index] for index, letter in enumerate(name) if letter == "/"]
        below = next((parent for parent in parents if parent in self._others), None)
        if below is not None:
            raise self._refusal(name, f"lies below {below!r}, which is no folder")
        if name in self._seen or (kind != "directory" and name in self._folders):
            raise self._refusal(name, "is there twice")
        if kind == "link" and not linkname:
            raise self._refusal(name, "is a link to nothing")
        self._seen.add(name)
        self._folders.update(parents)
        (self._folders if kind == "directory" else self._others).add(name)
        self.last = name

    def _refusal(self, name: str, why: str) -> ArchiveProblem:
        return ArchiveProblem(f"{self._archive} is refused: its entry {name!r} {why}")
