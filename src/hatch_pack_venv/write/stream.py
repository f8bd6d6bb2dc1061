"""Writing a plan: the only step that reads large files, and each of them only once."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from ..binary.patch import PatchedReader
from ..model import manifest
from ..model.entries import DirectoryEntry, FileEntry, PatchedFile, SymlinkEntry
from ..model.errors import SourceProblem
from ..plan.links import without_links
from .leaks import LeakScanner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..model.build_paths import Finding
    from ..model.entries import Entry
    from ..model.plan import PackPlan
    from ..model.results import Progress
    from .sinks import Sink


# Only Windows has a text mode; a file that has become a FIFO must not block.
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


def whole(entry: FileEntry) -> bytes:
    """Return a file's content, read in one step without a file object.

    Raises:
        SourceProblem: if it cannot be read, or differs from the plan.
    """
    if isinstance(entry.content, bytes):
        return entry.content
    if isinstance(entry.content, PatchedFile):
        with opened(entry) as stream:
            return stream.read()
    size = entry.size
    try:
        descriptor = os.open(entry.content, _FLAGS)
        try:
            before = os.fstat(descriptor)
            data = b""
            if stat.S_ISREG(before.st_mode):
                data = os.read(descriptor, size + 1)  # one byte more than expected
            while 0 < len(data) < size and (more := os.read(descriptor, size + 1 - len(data))):
                data += more
            same = before.st_mtime_ns == os.fstat(descriptor).st_mtime_ns
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unreadable(entry, error) from error
    if len(data) != size or not same or not stat.S_ISREG(before.st_mode):
        raise changed(entry)
    return data


@contextmanager
def opened(entry: FileEntry) -> Iterator[BinaryIO]:
    """Open a stream of a file's content, with patches applied.

    Raises:
        SourceProblem: if it cannot be read, or was written to in the meantime.
    """
    if isinstance(entry.content, bytes):
        yield io.BytesIO(entry.content)
        return
    try:
        stream = io.FileIO(_source(entry), opener=lambda path, _flags: os.open(path, _FLAGS))
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
    """Return the error for a file that no longer matches the plan."""
    return SourceProblem(
        f"{_source(entry)} changed while it was being packed: pack again when nothing is writing"
        " to the environment"
    )


def unreadable(entry: FileEntry, error: OSError) -> SourceProblem:
    """Return the error for a file that cannot be read."""
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
    """Return the attributes that change when a file is written to."""
    status = os.fstat(descriptor)
    return status.st_size if stat.S_ISREG(status.st_mode) else -1, status.st_mtime_ns


_AT_ONCE: Final = 1 << 20
"""Bytes up to which a file is read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written into a sink.

    Parameters:
        digest: the content digest.
        entry_count: number of entries, the same for every sink (`model/manifest`: `entry_count`).
        size: total unpacked size of all files, in bytes.
        findings: files that name build paths.
        beside: contents of the files to write next to the archive, by suffix.
    """

    digest: str
    entry_count: int
    size: int
    findings: tuple[Finding, ...] = ()
    beside: Mapping[str, bytes] = field(default_factory=dict)


def write(plan: PackPlan, sink: Sink, progress: Progress) -> Written:
    """Write a plan's entries and, from the hashes computed along the way, its manifest.

    Raises:
        SourceProblem: if a file cannot be read, or differs from the plan.
        LinkError: if the sink cannot hold some links and they cannot be copied.
        LeakError: if files need build paths to run.
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
    digest, documents, beside = _add_documents(plan, files)
    head = {**plan.head, "content_digest": digest}
    links = [entry for entry in plan.entries if isinstance(entry, SymlinkEntry)]
    copied = [] if sink.holds_links else links
    content = manifest.render_manifest(head, [*entries, *documents], files.sha256, copied)
    files.add(FileEntry.from_bytes(manifest.ARCNAME, content, mtime=plan.manifest_time))
    files.look.check()
    sink.close(digest)
    return Written(
        digest=digest,
        entry_count=manifest.entry_count([*plan.entries, *documents]),
        size=files.size,
        findings=tuple(files.look.findings),
        beside=beside,
    )


def _add_documents(plan: PackPlan, files: _Files) -> tuple[str, list[FileEntry], dict[str, bytes]]:
    """Render the documents, and add those that belong in the archive.

    Returns:
        The content digest, the documents' entries, and what to write next to the archive.
    """
    entries: list[FileEntry] = []
    beside: dict[str, bytes] = {}
    planned = [*manifest.told(plan.entries, files.sha256)]

    def digest() -> str:
        return manifest.digest_of(sorted([*planned, *manifest.told(entries, files.sha256)]))

    for document in plan.documents:
        content = document.render(digest, files.sha256)
        if document.suffix is not None:
            beside[document.suffix] = content
        if document.arcname is not None:
            entry = FileEntry.from_bytes(document.arcname, content, mtime=plan.manifest_time)
            files.add(entry)
            entries.append(entry)
    return digest(), entries, beside


class _Files:
    """Passes entries on to a sink, hashing and scanning their content."""

    def __init__(self, sink: Sink, progress: Progress, look: LeakScanner) -> None:
        self.sink = sink
        self.progress = progress
        self.look = look
        self._hashes: dict[str, bytes] = {}
        self.size = 0

    def add(self, entry: Entry) -> None:
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
        """Return the hash of a file added earlier, as hexadecimal digits."""
        return self._hashes[arcname].hex()

    def _add_at_once(self, entry: FileEntry) -> None:
        """Add a small file in as few steps as possible; most files of an environment are small."""
        data = whole(entry)
        self.look.over(entry.arcname, data)
        digest = hashlib.sha256(data).digest()
        self._hashes[entry.arcname] = digest
        self.sink.add_bytes(entry, data, digest)
        self.progress(len(data))

    def _add_streaming(self, entry: FileEntry) -> None:
        look = self.look.at(entry.arcname)

        def take(data: bytes) -> None:
            look.feed(data)
            self.progress(len(data))

        with opened(entry) as stream:
            reader = _Reader(stream, entry, take)
            self.sink.add_file(entry, reader)
            reader.finish()
        self._hashes[entry.arcname] = reader.digest()
        self.look.finish(look, partial(opened, entry))


class _Reader:
    """Reads exactly as many bytes as planned, hashing them and passing them to a callback."""

    def __init__(self, stream: BinaryIO, entry: FileEntry, take: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._entry = entry
        self._take = take
        self._left = entry.size
        self._hash = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """Read up to `size` bytes."""
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._read(wanted)
        while len(data) < wanted:
            more = self._read(wanted - len(data))
            if not more:
                raise changed(self._entry)
            data += more
        self._left -= len(data)
        self._hash.update(data)
        self._take(data)
        return data

    def digest(self) -> bytes:
        """Return the SHA-256 of what has been read so far."""
        return self._hash.digest()

    def fileno(self) -> int:
        """Return the descriptor of the file, if it is read unchanged.

        Raises:
            OSError: if there is none, because the bytes come from elsewhere or are patched.
        """
        return self._stream.fileno()

    def finish(self) -> None:
        """Make sure that everything has been read.

        Raises:
            SourceProblem: if it has not.
        """
        if self._left:
            raise changed(self._entry)

    def _read(self, size: int) -> bytes:
        try:
            return self._stream.read(size) if size else b""
        except OSError as error:
            raise unreadable(self._entry, error) from error
