"""Links in the plan: kept, made relative, dropped with their target, or replaced by copies."""

from __future__ import annotations

import itertools
import posixpath
from dataclasses import replace
from typing import TYPE_CHECKING, TypeGuard

from ..model.entries import DirectoryEntry, FileEntry, SymlinkEntry, TargetKind, UnsupportedEntry
from ..model.errors import LinkError
from .order import in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from ..model.entries import Entry, LinkTarget, ScannedEntry
    from ..model.environment import Environment
    from ..model.plan import DecisionLog, InterpreterMode


def next_hop(link: SymlinkEntry) -> str | None:
    """Return the arcname that a link's text names, `.` for the root, or `None` if uncertain.

    If the text leaves the environment, or goes up from what may be another link, only the link's
    target decides.
    """
    parts = [part for part in link.linkname.split("/") if part not in ("", posixpath.curdir)]
    downwards = list(itertools.dropwhile(lambda part: part == posixpath.pardir, parts))
    if link.linkname.startswith("/") or posixpath.pardir in downwards:
        return None
    hop = posixpath.normpath(posixpath.join(posixpath.dirname(link.arcname), link.linkname))
    return None if hop.split("/")[0] == posixpath.pardir else hop


def without_dangling(
    entries: Mapping[str, Entry], prefix: Path, log: DecisionLog
) -> tuple[dict[str, Entry], list[str]]:
    """Drop links inside the environment whose target was left out, with a note on each.

    If only an intermediate link was left out, the link skips it.

    Parameters:
        entries: the packed entries, by arcname.
        prefix: the environment's real path.
    """
    result = dict(entries)
    notes: list[str] = []
    for name, entry in entries.items():
        if not isinstance(entry, SymlinkEntry) or entry.target is None:
            continue
        if entry.target.kind is not TargetKind.INTERNAL:
            continue
        target, hop = entry.target.path.relative_to(prefix).as_posix(), next_hop(entry)
        if target != posixpath.curdir and target not in entries:
            del result[name]
            log.leave_out(name, "a link whose target is left out")
            notes.append(f"the link {name} was left out with its target {target}")
        elif hop not in (None, posixpath.curdir) and hop not in entries:
            folder = posixpath.dirname(name) or posixpath.curdir
            linkname = posixpath.relpath(target, folder)
            result[name] = replace(entry, linkname=linkname)
            log.change(name, f"the link leads to {linkname} instead of {entry.linkname}")
    return result, notes


def may_be_missing(link: SymlinkEntry, target: LinkTarget, environment: Environment) -> bool:
    """Return whether the missing target of a link may exist on the target machine.

    That is so for a relative link into the environment or a neighbour, and for a link of the
    interpreter.
    """
    if target.kind is not TargetKind.DANGLING:
        return False
    near = target.path.is_relative_to(environment.prefix.parent)
    is_relative = not link.linkname.startswith("/")
    return (near and is_relative) or environment.is_of_interpreter(link.arcname)


def is_interpreter_alias(
    entry: ScannedEntry, environment: Environment
) -> TypeGuard[SymlinkEntry | FileEntry]:
    """Return whether an entry leads to the base interpreter or is a copy of it, under any name."""
    if isinstance(entry, SymlinkEntry):
        return entry.target is not None and entry.target.path == environment.interpreter.executable
    return isinstance(entry, FileEntry) and entry.arcname in environment.interpreter_copies


def interpreter_alias(
    entry: ScannedEntry, environment: Environment, mode: InterpreterMode
) -> SymlinkEntry | None:
    """Return a link to the archive's interpreter, or to where the target's will be.

    It replaces an entry that leads to the base interpreter or is a copy of it; `None` for others.
    """
    if mode == "linked" or not is_interpreter_alias(entry, environment):
        return None
    name = f"{environment.scripts}/{environment.interpreter.executable_name}"
    return SymlinkEntry(
        arcname=entry.arcname,
        linkname=posixpath.relpath(name, posixpath.dirname(entry.arcname) or "."),
        optional=mode != "bundled",  # what the target provides cannot be copied
        mtime=entry.mtime,
    )


def stays_a_link(entry: ScannedEntry, *, leaving: bool) -> bool:
    """Return whether an entry is a link whose target is not packed in its place.

    Parameters:
        leaving: whether links may leave the environment.
    """
    return isinstance(entry, SymlinkEntry) and (leaving or leads_to_layer(entry))


def leads_to_layer(link: SymlinkEntry) -> bool:
    """Return whether a link leads into a layer and stays a link."""
    return bool(paths_in_layers([link]))


def paths_in_layers(entries: Iterable[Entry]) -> list[Path]:
    """Return the real paths in layers that links lead to."""
    return [
        entry.target.path
        for entry in entries
        if isinstance(entry, SymlinkEntry)
        and entry.target is not None
        and entry.target.kind is TargetKind.LAYER
    ]


def without_links(entries: Iterable[Entry]) -> list[Entry]:
    """Replace links with copies of the files and folders they lead to.

    Links that are only a convenience (`lib64`) are left out.

    Raises:
        LinkError: if links form a loop or lead nowhere; lists all of them.
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
        """Yield the entries at `source` as copies at `arcname`, following links."""
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
                f"the link {link.arcname} leads to a folder that contains it ({link.linkname}), so"
                " a copy would never end: remove it or exclude it"
            )
            return
        yield DirectoryEntry(arcname=arcname, mtime=entry.mtime if entry else link.mtime)
        for child in self.children.get(source, []):
            name = f"{arcname}/{posixpath.basename(child)}"
            yield from self._copies_of(child, name, link, (*above, source))

    def _follow(self, folder: str, linkname: str) -> str | None:
        """Return the arcname a link's text resolves to, following links, or `None` if nowhere."""
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
