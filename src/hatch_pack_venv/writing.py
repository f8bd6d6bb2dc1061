"""Writing a plan: the only step that reads large files, each once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias, cast

from . import manifest
from .content import changed, opened, unreadable, whole
from .copies import without_links
from .entries import DirectoryEntry, FileEntry, SymlinkEntry
from .leaks import LastLook

if TYPE_CHECKING:
    from collections.abc import Callable

    from .entries import Entry
    from .leaks import Finding
    from .plan import PackPlan
    from .sinks import Sink

Progress: TypeAlias = "Callable[[int], None]"
"""Called with the number of bytes just read."""

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
        return _write(plan, sink, progress)
    except BaseException:
        sink.discard()
        raise


def _write(plan: PackPlan, sink: Sink, progress: Progress) -> Written:
    entries = plan.entries if sink.holds_links else without_links(plan.entries)
    files = _Files(sink, progress, LastLook(plan.watch))
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

    def __init__(self, sink: Sink, progress: Progress, look: LastLook) -> None:
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
