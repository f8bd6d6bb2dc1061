"""Writing a plan: the only step that reads large files, each once."""

from __future__ import annotations

import hashlib
import io
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias, cast

from . import manifest
from .copies import without_links
from .entries import DirectoryEntry, FileEntry, PatchedFile, SymlinkEntry
from .errors import SourceProblem
from .leaks import LastLook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .entries import Entry, Patch
    from .leaks import Finding
    from .plan import PackPlan
    from .sinks import Sink

Progress: TypeAlias = "Callable[[int], None]"
"""Called with the number of bytes just read."""

_AT_ONCE: Final = 1 << 20
"""Bytes up to which a file is read at once."""
_BINARY: Final = getattr(os, "O_BINARY", 0)  # Windows alone has files of text


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
        return _write(plan, sink, progress)
    except BaseException:
        sink.discard()
        raise


def _write(plan: PackPlan, sink: Sink, progress: Progress) -> Written:
    entries = plan.entries if sink.holds_links else without_links(plan.entries)
    files = _HashedFiles(sink, progress, LastLook(plan.watch))
    if plan.install_target != ".":
        files.add(DirectoryEntry(arcname="", mtime=plan.manifest_time))
    for entry in entries:
        files.add(entry)
    digest = manifest.content_digest(plan.entries, files.hashes)
    head = {**plan.head, "content_digest": digest}
    links = [entry for entry in plan.entries if isinstance(entry, SymlinkEntry)]
    copied = [] if sink.holds_links else links
    content = manifest.render_manifest(head, entries, files.hashes, copied)
    files.add(FileEntry.from_bytes(manifest.ARCNAME, content, mtime=plan.manifest_time))
    files.look.check()
    sink.close()
    return Written(
        digest=digest,
        entry_count=files.count,
        size=files.size,
        findings=tuple(files.look.findings),
    )


class _HashedFiles:
    """Passes entries on to a sink, looks them over and keeps the hashes of what went by."""

    def __init__(self, sink: Sink, progress: Progress, look: LastLook) -> None:
        self.sink = sink
        self.progress = progress
        self.look = look
        self.hashes: dict[str, str] = {}
        self.count = 0
        self.size = 0

    def add(self, entry: Entry) -> None:
        self.count += 1
        match entry:
            case DirectoryEntry():
                self.sink.add_directory(entry)
            case SymlinkEntry():
                self.sink.add_link(entry)
            case FileEntry():
                shared = self.sink.shares_files or isinstance(entry.content, PatchedFile)
                if shared or entry.size > _AT_ONCE:
                    self._add_streaming(entry)
                else:
                    self._add_at_once(entry)
                self.size += entry.size

    def _add_at_once(self, entry: FileEntry) -> None:
        """Add a small file in as few steps as can be; most of an environment's are."""
        data = _whole(entry)
        look = self.look.at(entry.arcname)
        look.feed(data)
        self.look.finish(look, lambda: data)
        self.hashes[entry.arcname] = hashlib.sha256(data).hexdigest()
        self.sink.add_file(entry, io.BytesIO(data))
        self.progress(len(data))

    def _add_streaming(self, entry: FileEntry) -> None:
        look = self.look.at(entry.arcname)
        with _opened(entry) as stream:
            reader = HashingReader(stream, entry, self.progress, look.feed)
            self.sink.add_file(entry, cast("BinaryIO", reader))
            self.hashes[entry.arcname] = reader.finish()
        self.look.finish(look, partial(_streamed, entry))


class HashingReader:
    """Reads exactly as many bytes as the plan says, hashing them as they go by."""

    def __init__(
        self,
        stream: BinaryIO,
        entry: FileEntry,
        progress: Progress,
        look: Callable[[bytes], None],
    ) -> None:
        self._stream = stream
        self._entry = entry
        self._progress = progress
        self._look = look
        self._hash = hashlib.sha256()
        self._left = entry.size

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes."""
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._read(wanted)
        while len(data) < wanted:
            more = self._read(wanted - len(data))
            if not more:
                raise _changed(self._entry)
            data += more
        self._hash.update(data)
        self._look(data)
        self._left -= len(data)
        self._progress(len(data))
        return data

    def fileno(self) -> int:
        """Return the descriptor of the file that is read as it is.

        Raises:
            OSError: there is none; the bytes come from elsewhere or are patched.
        """
        return self._stream.fileno()

    def finish(self) -> str:
        """Return the SHA-256 of the whole file.

        Raises:
            SourceProblem: not all of it has been read.
        """
        if self._left:
            raise _changed(self._entry)
        return self._hash.hexdigest()

    def _read(self, size: int) -> bytes:
        try:
            return self._stream.read(size) if size else b""
        except OSError as error:
            raise _unreadable(self._entry, error) from error


@contextmanager
def _opened(entry: FileEntry) -> Iterator[BinaryIO]:
    if isinstance(entry.content, bytes):
        yield io.BytesIO(entry.content)
        return
    try:
        stream = io.FileIO(_source(entry))
    except OSError as error:
        raise _unreadable(entry, error) from error
    with stream:
        before = _state(stream.fileno())
        if before[0] != entry.size:
            raise _changed(entry)
        if isinstance(entry.content, PatchedFile):
            yield cast("BinaryIO", _PatchedReader(stream, entry.content.patches))
        else:
            yield cast("BinaryIO", stream)
        if _state(stream.fileno()) != before:
            raise _changed(entry)


def _whole(entry: FileEntry) -> bytes:
    """Return what a file holds, read without a file object."""
    if isinstance(entry.content, bytes):
        return entry.content
    try:
        descriptor = os.open(_source(entry), os.O_RDONLY | _BINARY)
        try:
            before = _state(descriptor)
            data = os.read(descriptor, entry.size) if entry.size else b""
            while len(data) < entry.size and (more := os.read(descriptor, entry.size - len(data))):
                data += more
            whole = len(data) == before[0] == entry.size and _state(descriptor) == before
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unreadable(entry, error) from error
    if not whole:
        raise _changed(entry)
    return data


def _state(descriptor: int) -> tuple[int, int]:
    """Return what changes when a file is written to."""
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns


def _streamed(entry: FileEntry) -> bytes:
    with _opened(entry) as stream:
        return stream.read()


class _PatchedReader:
    """Reads a file with some of its bytes replaced."""

    def __init__(self, stream: io.FileIO, patches: tuple[Patch, ...]) -> None:
        self._stream = stream
        self._patches = patches

    def read(self, size: int = -1) -> bytes:
        start = self._stream.tell()
        data = bytearray(self._stream.read(size))
        for patch in self._patches:
            begin = max(patch.offset, start)
            end = min(patch.offset + len(patch.replacement), start + len(data))
            if begin < end:
                data[begin - start : end - start] = patch.replacement[
                    begin - patch.offset : end - patch.offset
                ]
        return bytes(data)

    def fileno(self) -> int:
        raise io.UnsupportedOperation


def _source(entry: FileEntry) -> str:
    match entry.content:
        case PatchedFile(path=path):
            return path
        case bytes():
            return entry.arcname
        case path:
            return path


def _changed(entry: FileEntry) -> SourceProblem:
    return SourceProblem(
        f"{_source(entry)} changed while it was packed: pack again when nothing writes to the"
        " environment"
    )


def _unreadable(entry: FileEntry, error: OSError) -> SourceProblem:
    return SourceProblem(
        f"{_source(entry)} cannot be read: {error.strerror or error}; nothing was written"
    )
