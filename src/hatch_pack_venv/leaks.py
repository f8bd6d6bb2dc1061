"""The last look: over all that is packed, while it streams by, for places of the build machine.

Looked at are text files and, of ELF files, what the dynamic linker reads: debug strings that name
a build folder do no harm. What is known to break at run time is an error, all else a warning.
"""

from __future__ import annotations

import io
import os
import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias

from .binaries.dynamic_section import MAGIC, DynamicSection
from .errors import LeakError
from .places import BASE, ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from .places import Place

Opened: TypeAlias = "Callable[[], AbstractContextManager[BinaryIO]]"

_TEXT_HEAD: Final = 8000  # bytes without a NUL in which a file is text; git's rule
_BEFORE: Final = 3  # bytes before a path that tell whether it begins there
_SMALL: Final = 1 << 16  # bytes that are searched faster than the file's kind is looked up
_LONGEST_NAME: Final = 256  # bytes of a name below a place, and a few more

# What no path begins after, unless it is a compiler's option or an escaped control character.
_JOINED: Final = re.compile(rb"[\w.~})$*%+\-\x80-\xff]\Z")
_SEPARATED: Final = re.compile(rb"(?:(?<![\w-])-[ILBFR]|\\[abfnrtv])\Z")
_GOES_ON: Final = re.compile(rb"[\w+\-\x80-\xff]|\.\w")
_NAME_BELOW: Final = re.compile(rb"/+([^/\s\"'\\:;,)>\]}]+)")

_NOTHING: Final = re.compile(rb"(?!)")
_LONG_FORM: Final = re.compile(rb"#![ \t]*/bin/sh[ \t]*\r?\n'''exec' [^\n]*")
_DIRECT: Final = re.compile(rb"#![^\n]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What the last look looks for.

    Parameters:
        places: the longest first.
        scripts: arcname of the scripts folder, whose files are run by what their head names.
        fatal: the kinds of places that are known to be missing on the target; a file that cannot
            run without them stops the packing.
        ignored: arcnames of files to pass by.
    """

    places: tuple[Place, ...] = ()
    scripts: str = "bin"
    fatal: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()

    @classmethod
    def for_mode(
        cls,
        interpreter: str,
        places: tuple[Place, ...],
        scripts: str,
        interpreter_files: Iterable[str] = (),
    ) -> Watch:
        """Tell what is known to be missing on the target.

        Parameters:
            interpreter: `bundled`, `target`, `promised`, `neighbour` or `linked`. The seed API,
                of the last, has no way to leave a file out: nothing it finds is an error.
            interpreter_files: arcnames of what postinstall.py replaces if it was not bundled, and
                of what tells of them.
        """
        missing = {
            "bundled": {ENVIRONMENT, BASE},
            "target": {ENVIRONMENT},
            "promised": {ENVIRONMENT},
            "neighbour": {ENVIRONMENT, BASE},
        }
        return cls(
            places=places,
            scripts=scripts,
            fatal=frozenset(missing.get(interpreter, ())),
            ignored=frozenset(interpreter_files if interpreter in ("linked", "promised") else ()),
        )

    @property
    def pattern(self) -> re.Pattern[bytes] | None:
        """What finds the beginnings of all paths, in one search; `None` without places.

        Python looks for what the paths begin with in common, mostly a slash, as fast as the memory
        is read: 440 MB took 0.14 s, and 0.35 s with a search for each of two paths.
        """
        paths = [place.path for place in self.places]
        shortest = [
            path
            for path in paths
            if not any(path != other and path.startswith(other) for other in paths)
        ]
        return re.compile(b"|".join(map(re.escape, shortest))) if shortest else None

    def place_at(self, data: bytes, start: int) -> Place | None:
        """Return the place that is named from an offset on."""
        before = data[max(start - _BEFORE, 0) : start]
        if _JOINED.search(before) and not _SEPARATED.search(before):
            return None
        for place in self.places:
            end = start + len(place.path)
            if data.startswith(place.path, start) and not _GOES_ON.match(data, end):
                below = _NAME_BELOW.match(data, end)
                if place.names is None or (below and below[1] in place.names):
                    return place
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A packed file that names places of the build machine.

    Parameters:
        names: what they are; never the paths themselves.
        problem: why the file will not run on the target, and what to do, if that is known.
    """

    arcname: str
    names: tuple[str, ...]
    problem: str | None = None

    def __str__(self) -> str:
        """Say it in one line."""
        return self.problem or f"{self.arcname} names {' and '.join(self.names)}"

    def to_dict(self) -> dict[str, object]:
        """Return what may stand beside the archive."""
        return {"path": self.arcname, "names": list(self.names)}


class LastLook:
    """Looks over one file after the other; `findings` in their order."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.pattern = watch.pattern
        self.margin = max((len(each.path) for each in watch.places), default=0) + _LONGEST_NAME
        self.findings: list[Finding] = []

    def over(self, arcname: str, data: bytes) -> None:
        """Look over a file that is at hand as a whole; most hold no path at all.

        A larger one may be of a kind of which little or nothing has to be searched.
        """
        if self.pattern is not None and (len(data) > _SMALL or self.pattern.search(data)):
            look = self.at(arcname)
            look.feed(data)
            self.finish(look, lambda: io.BytesIO(data))

    def at(self, arcname: str) -> FileLook:
        """Begin with a file whose bytes come in pieces."""
        return FileLook(self, arcname)

    def finish(self, look: FileLook, opened: Opened) -> None:
        """End with a file.

        Parameters:
            opened: opens it once more, to read the dynamic section of an ELF file, which has its
                parts in many places.
        """
        finding = look.finish(opened)
        if finding is not None:
            self.findings.append(finding)

    def check(self) -> None:
        """Stop if something is known to break.

        Raises:
            LeakError: names the files, and what to do about each.
        """
        if self.watch.fatal:
            problems = [finding.problem for finding in self.findings if finding.problem]
            if problems:
                raise LeakError("what is packed would not run on the target", problems)


class FileLook:
    """Takes the bytes of one file, in as many pieces as they come."""

    def __init__(self, look: LastLook, arcname: str) -> None:
        self._look = look
        self._watch = look.watch
        self._arcname = arcname
        self._kinds: set[str] = set()
        self._problem: str | None = None
        self._data = b""  # what may hold the beginning of a path that goes on in the next piece
        self._from = 0  # where in `_data` no path was looked for yet
        self._head: bytes | None = None
        passed_by = arcname.endswith(".pyc") or arcname in look.watch.ignored
        self._pattern = look.pattern or _NOTHING
        self._feed = self._begin if look.pattern is not None and not passed_by else _ignore
        self._is_elf = False

    def feed(self, data: bytes) -> None:
        """Look over the next piece."""
        self._feed(data)

    def _begin(self, data: bytes) -> None:
        if data.startswith(MAGIC):
            self._is_elf = True
            self._feed = _ignore
        elif b"\0" in data[:_TEXT_HEAD]:
            self._feed = _ignore
        else:
            self._feed = self._feed_text
            if posixpath.dirname(self._arcname) == self._watch.scripts:
                head = _LONG_FORM.match(data) or _DIRECT.match(data)
                self._head = head[0] if head else None
                if self._head:
                    self._look_at_head(self._head)
        self._feed(data)

    def _feed_text(self, data: bytes) -> None:
        buffer = self._data + data if self._data else data
        end = max(len(buffer) - self._look.margin, self._from)
        self._search(buffer, end)
        rest = max(end - _BEFORE, 0)
        self._data, self._from = buffer[rest:], end - rest

    def _search(self, buffer: bytes, end: int) -> None:
        """Look for paths that begin before `end`."""
        self._kinds |= {place.kind for place in self._places_in(buffer, self._from, end)}

    def _look_at_head(self, head: bytes) -> None:
        for place in self._places_in(head, 0, len(head)):
            if place.kind in self._watch.fatal or not self._watch.fatal:
                shown = head.splitlines()[-1].decode("utf-8", "replace")
                self._problem = (
                    f"{self._arcname} begins with {shown!r}, which will not exist on the target:"
                    " install it again or exclude it"
                )

    def _places_in(self, data: bytes, start: int, end: int) -> Iterator[Place]:
        """Yield the places whose paths begin in a part of the data."""
        while (match := self._pattern.search(data, start)) and match.start() < end:
            place = self._watch.place_at(data, match.start())
            if place is not None:
                yield place
            start = match.start() + 1

    def finish(self, opened: Opened) -> Finding | None:
        """Return what was found in the whole file."""
        if self._is_elf:
            with opened() as stream:
                self._look_at_elf(DynamicSection.from_stream(stream))
        elif self._feed == self._feed_text:
            self._search(self._data, len(self._data))
        if not self._kinds:
            return None
        names = tuple(sorted(self._kinds))
        return Finding(arcname=self._arcname, names=names, problem=self._problem)

    def _look_at_elf(self, section: DynamicSection | None) -> None:
        if section is None:
            return
        folders = [folder for text in section.search_paths for folder in text.text.split(":")]
        for path in [*folders, *section.needed]:
            place = self._watch.place_at(os.fsencode(path), 0)
            if place is None:
                continue
            self._kinds.add(place.kind)
            if place.kind in self._watch.fatal or not self._watch.fatal:
                self._problem = (
                    f"{self._arcname} looks for libraries in {path}, which will not exist on the"
                    " target: build it with a search path relative to $ORIGIN, or exclude it"
                )


def _ignore(_: bytes) -> None:
    """Pass by."""
