"""The leak scanner: searches everything packed for build paths while it is streamed.

It scans text files and, in ELF files, what the dynamic linker reads or loads: debug strings that
name a build folder do no harm. Whatever is known to break at run time is an error, anything else a
warning.
"""

from __future__ import annotations

import io
import os
import posixpath
import re
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias

from ..binary.elf import MAGIC, DamagedElfError, ElfHeaders
from ..model.build_paths import _BEFORE, ENVIRONMENT, Finding
from ..model.errors import LeakError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from ..model.build_paths import BuildPath, LeakPolicy


Opened: TypeAlias = "Callable[[], AbstractContextManager[BinaryIO]]"
_TEXT_HEAD: Final = 8000  # bytes without a NUL that make a file text; git's rule
_SMALL: Final = 1 << 16  # bytes; below this, searching is faster than determining the file's kind
_LONGEST_NAME: Final = 256  # bytes of a name below a build path, and a few more
_MOST_OFFSETS: Final = 10_000
_NOTHING: Final = re.compile(rb"(?!)")
_LONG_FORM: Final = re.compile(rb"#![ \t]*/bin/sh[ \t]*\r?\n'''exec' [^\n]*")
_DIRECT: Final = re.compile(rb"#![^\n]*")


class LeakScanner:
    """Scans one file after another; `findings` are in the same order."""

    def __init__(self, leak_policy: LeakPolicy) -> None:
        self.leak_policy = leak_policy
        self.pattern = leak_policy.pattern
        self.margin = (
            max((len(each.path) for each in leak_policy.build_paths), default=0) + _LONGEST_NAME
        )
        self.own_places = [
            each.path for each in leak_policy.build_paths if each.kind == ENVIRONMENT
        ]
        self.findings: list[Finding] = []

    def over(self, arcname: str, data: bytes) -> None:
        """Scan a file that is in memory as a whole; most contain no build path at all.

        A larger file may be of a kind that needs little or no searching.
        """
        if self.pattern is not None and (len(data) > _SMALL or self.pattern.search(data)):
            look = self.at(arcname)
            look.feed(data)
            self.finish(look, lambda: io.BytesIO(data))

    def at(self, arcname: str) -> FileScanner:
        """Start scanning a file that arrives in pieces."""
        return FileScanner(self, arcname)

    def finish(self, look: FileScanner, opened: Opened) -> None:
        """Finish scanning a file.

        Parameters:
            opened: reopens the file to read what the dynamic linker reads, which is scattered over
                an ELF file.
        """
        finding = look.finish(opened)
        if finding is not None:
            self.findings.append(finding)

    def check(self) -> None:
        """Raise an error if something is known to break.

        Raises:
            LeakError: if so; names the files, and what to do about each.
        """
        if self.leak_policy.fatal:
            problems = [finding.problem for finding in self.findings if finding.problem]
            if problems:
                raise LeakError("the packed environment would not run on the target", problems)


class FileScanner:
    """Scans one file, fed in pieces of any size."""

    def __init__(self, look: LeakScanner, arcname: str) -> None:
        self._look = look
        self._watch = look.leak_policy
        self._arcname = arcname
        self._kinds: set[str] = set()
        self._problem: str | None = None
        self._data = b""  # may end in the first part of a path that continues in the next piece
        self._from = 0  # offset in `_data` of the first unsearched byte
        self._head: bytes | None = None
        passed_by = arcname.endswith(".pyc") or arcname in look.leak_policy.ignored
        self._pattern = look.pattern or _NOTHING
        self._feed = self._begin if look.pattern is not None and not passed_by else _ignore
        self._is_elf = False
        self._offsets: list[int] = []  # of the environment's own path, in an ELF file
        self._read = 0

    def feed(self, data: bytes) -> None:
        """Scan the next piece."""
        self._feed(data)

    def _begin(self, data: bytes) -> None:
        if data.startswith(MAGIC):
            self._is_elf = True
            self._feed = self._feed_elf
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

    def _feed_elf(self, data: bytes) -> None:
        """Note where the environment's own path occurs; `finish` knows what is only debug data."""
        margin = self._look.margin
        seam = self._data + data[:margin]
        for piece, start in ((seam, self._read - len(self._data)), (data, self._read)):
            for place in self._look.own_places:
                if len(self._offsets) < _MOST_OFFSETS:
                    self._offsets += [start + offset for offset in _offsets_of(place, piece)]
        self._read += len(data)
        self._data = (seam if len(data) < margin else data)[-margin:]

    def _search(self, buffer: bytes, end: int) -> None:
        """Search for paths that start before `end`."""
        self._kinds |= {place.kind for place in self._paths_in(buffer, self._from, end)}

    def _look_at_head(self, head: bytes) -> None:
        for place in self._paths_in(head, 0, len(head)):
            if place.kind in self._watch.fatal or not self._watch.fatal:
                shown = head.splitlines()[-1].decode("utf-8", "replace")
                self._problem = (
                    f"{self._arcname} starts with {shown!r}, whose path will not exist on the"
                    " target: reinstall or exclude it"
                )

    def _paths_in(self, data: bytes, start: int, end: int) -> Iterator[BuildPath]:
        """Yield the build paths that start in a part of the data."""
        while (match := self._pattern.search(data, start)) and match.start() < end:
            place = self._watch.path_at(data, match.start())
            if place is not None:
                yield place
            start = match.start() + 1

    def finish(self, opened: Opened) -> Finding | None:
        """Return what was found in the whole file, or `None`."""
        if self._is_elf:
            with opened() as stream, suppress(DamagedElfError):
                self._look_at_elf(ElfHeaders.from_stream(stream))
        elif self._feed == self._feed_text:
            self._search(self._data, len(self._data))
        if not self._kinds:
            return None
        names = tuple(sorted(self._kinds))
        return Finding(arcname=self._arcname, names=names, problem=self._problem)

    def _look_at_elf(self, headers: ElfHeaders | None) -> None:
        if headers is None:
            return
        if any(map(headers.is_data, self._offsets)):
            self._kinds.add(ENVIRONMENT)
        folders = [folder for text in headers.search_paths for folder in text.text.split(":")]
        for path in [*folders, *headers.needed]:
            place = self._watch.path_at(os.fsencode(path), 0)
            if place is None:
                continue
            self._kinds.add(place.kind)
            if place.kind in self._watch.fatal or not self._watch.fatal:
                self._problem = (
                    f"{self._arcname} looks for libraries in {path}, which will not exist on the"
                    " target: build it with a search path relative to $ORIGIN, or exclude it"
                )


def _offsets_of(place: bytes, data: bytes) -> Iterator[int]:
    """Yield the offsets of a path, or of one below it; `find` takes half a pattern's time."""
    offset = data.find(place)
    while offset >= 0:
        end = offset + len(place)
        if data[end : end + 1] in (b"/", b"\0"):
            yield offset
        offset = data.find(place, end)


def _ignore(_: bytes) -> None:
    """Skip a piece."""
