"""The manifest read back: what an archive says that it holds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from .. import manifest
from ..entries import DirectoryEntry, Entry, FileEntry, SymlinkEntry
from ..errors import ArchiveProblem

if TYPE_CHECKING:
    from collections.abc import Mapping

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
