"""Writing a plan: the only step that reads large files, each once."""

from __future__ import annotations

import hashlib
import io
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from ..binary.patch import PatchedReader
from ..model import manifest
from ..model.entries import DirectoryEntry, FileEntry, PatchedFile, SymlinkEntry
from ..model.errors import SourceProblem
from ..plan.links import without_links
from .leaks import LeakScanner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..model.build_paths import Finding
    from ..model.entries import Entry
    from ..model.plan import PackPlan
    from ..model.results import Progress
    from .sinks import Sink


_BINARY: Final = getattr(os, "O_BINARY", 0)  # Windows alone has files of text


def whole(entry: FileEntry) -> bytes:
    """Return what a file holds; it is read in one step, without a file object.

    Raises:
        SourceProblem: it cannot be read, or is not what the plan says.
    """
    if isinstance(entry.content, bytes):
        return entry.content
    if isinstance(entry.content, PatchedFile):
        with opened(entry) as stream:
            return stream.read()
    size = entry.size
    try:
        descriptor = os.open(entry.content, os.O_RDONLY | _BINARY)
        try:
            before = os.fstat(descriptor)
            data = os.read(descriptor, size + 1)  # one more than there should be
            while 0 < len(data) < size and (more := os.read(descriptor, size + 1 - len(data))):
                data += more
            same = before.st_mtime_ns == os.fstat(descriptor).st_mtime_ns
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unreadable(entry, error) from error
    if len(data) != size or not same:
        raise changed(entry)
    return data


@contextmanager
def opened(entry: FileEntry) -> Iterator[BinaryIO]:
    """Give a stream of what a file holds, patches applied.

    Raises:
        SourceProblem: it cannot be read, or was written to in the meantime.
    """
    if isinstance(entry.content, bytes):
        yield io.BytesIO(entry.content)
        return
    try:
        stream = io.FileIO(_source(entry))
    except OSError as error:
        raise unreadable(entry, error) from error
    with stream:
        before = _state(stream.fileno())
        if before[0] != entry.size:
            raise changed(entry)
        if isinstance(entry.content, PatchedFile):
            yield cast("BinaryIO", PatchedReader(stream, entry.content.patches))
        else:
            yield cast("BinaryIO", stream)
        if _state(stream.fileno()) != before:
            raise changed(entry)


def changed(entry: FileEntry) -> SourceProblem:
    """Say that a file is not what the plan says any more."""
    return SourceProblem(
        f"{_source(entry)} changed while it was packed: pack again when nothing writes to the"
        " environment"
    )


def unreadable(entry: FileEntry, error: OSError) -> SourceProblem:
    """Say why a file cannot be read."""
    return SourceProblem(
        f"{_source(entry)} cannot be read: {error.strerror or error}; nothing was written"
    )


def _source(entry: FileEntry) -> str:
    match entry.content:
        case PatchedFile(path=path):
            return path
        case bytes():
            return entry.arcname
        case path:
            return path


def _state(descriptor: int) -> tuple[int, int]:
    """Return what changes when a file is written to."""
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns


_AT_ONCE: Final = 1 << 20
"""Bytes up to which a file is read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What went into a sink.

    Parameters:
        digest: the content digest.
        entry_count: entries written, the manifest and the install target among them.
        size: bytes of all files, unpacked.
        findings: files that name places of the build machine.
    """

    digest: str
    entry_count: int
    size: int
    findings: tuple[Finding, ...] = ()


def write(plan: PackPlan, sink: Sink, progress: Progress) -> Written:
    """Write a plan's entries and, from the hashes seen, its manifest.

    Raises:
        SourceProblem: a file cannot be read, or is not what the plan says.
        LinkError: links that the sink cannot hold and that cannot be copied.
        LeakError: files that need places of the build machine to run.
    """
    try:
        return _write_entries(plan, sink, progress)
    except BaseException:
        sink.discard()
        raise


def _write_entries(plan: PackPlan, sink: Sink, progress: Progress) -> Written:
    entries = plan.entries if sink.holds_links else without_links(plan.entries)
    files = _Files(sink, progress, LeakScanner(plan.leak_policy))
    if plan.install_target != ".":
        files.add(DirectoryEntry(arcname="", mtime=plan.manifest_time))
    for entry in entries:
        files.add(entry)
    digest = manifest.content_digest(plan.entries, files.sha256)
    head = {**plan.head, "content_digest": digest}
    links = [entry for entry in plan.entries if isinstance(entry, SymlinkEntry)]
    copied = [] if sink.holds_links else links
    content = manifest.render_manifest(head, entries, files.sha256, copied)
    files.add(FileEntry.from_bytes(manifest.ARCNAME, content, mtime=plan.manifest_time))
    files.look.check()
    sink.close()
    return Written(
        digest=digest,
        entry_count=files.count,
        size=files.size,
        findings=tuple(files.look.findings),
    )


class _Files:
    """Passes entries on to a sink; hashes and looks over what goes by."""

    def __init__(self, sink: Sink, progress: Progress, look: LeakScanner) -> None:
        self.sink = sink
        self.progress = progress
        self.look = look
        self._hashes: dict[str, bytes] = {}
        self.count = 0
        self.size = 0

    def add(self, entry: Entry) -> None:
        self.count += 1
        match entry:
            case FileEntry():
                if self.sink.shares_files or entry.size > _AT_ONCE:
                    self._add_streaming(entry)
                else:
                    self._add_at_once(entry)
                self.size += entry.size
            case DirectoryEntry():
                self.sink.add_directory(entry)
            case SymlinkEntry():
                self.sink.add_link(entry)

    def sha256(self, arcname: str) -> str:
        """Return the hash of a file that was added, in hexadecimal digits."""
        return self._hashes[arcname].hex()

    def _add_at_once(self, entry: FileEntry) -> None:
        """Add a small file in as few steps as can be; most of an environment's are."""
        data = whole(entry)
        self.look.over(entry.arcname, data)
        self._hashes[entry.arcname] = hashlib.sha256(data).digest()
        self.sink.add_bytes(entry, data)
        self.progress(len(data))

    def _add_streaming(self, entry: FileEntry) -> None:
        look, digest = self.look.at(entry.arcname), hashlib.sha256()

        def take(data: bytes) -> None:
            digest.update(data)
            look.feed(data)
            self.progress(len(data))

        with opened(entry) as stream:
            reader = _Reader(stream, entry, take)
            self.sink.add_file(entry, cast("BinaryIO", reader))
            reader.finish()
        self._hashes[entry.arcname] = digest.digest()
        self.look.finish(look, partial(opened, entry))


class _Reader:
    """Reads exactly as many bytes as the plan says, showing them to others as they go by."""

    def __init__(self, stream: BinaryIO, entry: FileEntry, take: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._entry = entry
        self._take = take
        self._left = entry.size

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes."""
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._read(wanted)
        while len(data) < wanted:
            more = self._read(wanted - len(data))
            if not more:
                raise changed(self._entry)
            data += more
        self._left -= len(data)
        self._take(data)
        return data

    def fileno(self) -> int:
        """Return the descriptor of the file that is read as it is.

        Raises:
            OSError: there is none; the bytes come from elsewhere or are patched.
        """
        return self._stream.fileno()

    def finish(self) -> None:
        """Make sure that all of it has been read.

        Raises:
            SourceProblem: it has not.
        """
        if self._left:
            raise changed(self._entry)

    def _read(self, size: int) -> bytes:
        try:
            return self._stream.read(size) if size else b""
        except OSError as error:
            raise unreadable(self._entry, error) from error
