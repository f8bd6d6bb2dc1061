"""Copies in place of links, for what cannot hold links."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import TYPE_CHECKING

from .entries import DirectoryEntry, Entry, SymlinkEntry, UnsupportedEntry
from .errors import LinkError
from .normalise import in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def without_links(entries: Iterable[Entry]) -> list[Entry]:
    """Put the files and folders that links lead to in their places.

    Links that are only a convenience (`lib64`) are left out.

    Raises:
        LinkError: links that lead in a loop or nowhere, all of them.
    """
    return _Copier(entries).copied()


class _Copier:
    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = {entry.arcname: entry for entry in entries}
        self.children: dict[str, list[str]] = {}
        for name in self.entries:
            self.children.setdefault(posixpath.dirname(name), []).append(name)
        self.problems: list[str] = []

    def copied(self) -> list[Entry]:
        result: list[Entry] = []
        for entry in self.entries.values():
            if not isinstance(entry, SymlinkEntry):
                result.append(entry)
            elif not entry.optional:
                result += self._copies_of_link(entry, entry.arcname, ())
        if self.problems:
            raise LinkError("the links cannot be replaced by copies", self.problems)
        return in_order(result)

    def _copies_of_link(
        self, link: SymlinkEntry, arcname: str, above: tuple[str, ...]
    ) -> Iterator[Entry]:
        if link.copies:
            old = len(link.arcname)
            for entry in link.copies:
                if isinstance(entry, UnsupportedEntry):
                    self.problems.append(f"{entry.arcname} {entry.reason}: remove it or exclude it")
                else:
                    yield replace(entry, arcname=arcname + entry.arcname[old:])
            return
        target = self._follow(posixpath.dirname(link.arcname), link.linkname)
        if target is None:
            self.problems.append(f"the link {link.arcname} leads nowhere: remove it or exclude it")
        else:
            yield from self._copies_of(target, arcname, link, above)

    def _copies_of(
        self, source: str, arcname: str, link: SymlinkEntry, above: tuple[str, ...]
    ) -> Iterator[Entry]:
        """Yield what lies at `source` as it will lie at `arcname`, links followed."""
        entry = self.entries.get(source)
        if isinstance(entry, SymlinkEntry):
            if not entry.optional:
                yield from self._copies_of_link(entry, arcname, above)
            return
        if entry is not None and not isinstance(entry, DirectoryEntry):
            yield replace(entry, arcname=arcname)
            return
        if source in above or f"{link.arcname}/".startswith(f"{source}/" if source else ""):
            self.problems.append(
                f"the link {link.arcname} leads to a folder it lies in ({link.linkname}), a copy"
                " would never end: remove it or exclude it"
            )
            return
        yield DirectoryEntry(arcname=arcname, mtime=entry.mtime if entry else link.mtime)
        for child in self.children.get(source, []):
            name = f"{arcname}/{posixpath.basename(child)}"
            yield from self._copies_of(child, name, link, (*above, source))

    def _follow(self, folder: str, linkname: str) -> str | None:
        """Return the arcname that a link text leads to, through other links; `None` for nowhere."""
        todo = linkname.split("/")[::-1]
        here = folder
        for _ in range(10_000):
            if not todo:
                return here
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                here = posixpath.dirname(here)
                continue
            name = f"{here}/{part}" if here else part
            entry = self.entries.get(name)
            if isinstance(entry, SymlinkEntry) and not entry.copies:
                todo += entry.linkname.split("/")[::-1]
            elif entry is None:
                return None
            else:
                here = name
        return None
