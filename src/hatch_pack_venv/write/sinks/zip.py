"""Zip archives: files, folders and links, with Unix modes and times in UTC."""

from __future__ import annotations

import stat
import struct
import time
import zlib
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

from ...model.entries import mode_of
from .blocks import of_bytes, of_file, of_piece
from .deflate import BLOCK, WINDOW, block_depends_on, checksum, deflate_block, deflate_whole
from .thread_pool import AHEAD, OrderedPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...model.entries import DirectoryEntry, Entry, FileEntry, SymlinkEntry
    from ...model.formats import Compression
    from . import Content
    from .hashed_file import HashedOutput


STORED: Final = 0
DEFLATED: Final = 8
_UNIX: Final = 3
_VERSION: Final = 20
_VERSION_64: Final = 45
_UTF_8: Final = 0x800
_MS_DOS_DIRECTORY: Final = 0x10
_FIRST: Final = (1980, 1, 1, 0, 0, 0)
_BEYOND: Final = 1 << 33  # seconds: the year 2242; gmtime does not accept every number
_LAST: Final = (2107, 12, 31, 23, 59, 58)
_MAX_16: Final = 0xFFFF
_MAX_32: Final = 0xFFFFFFFF
LOCAL_SIZE: Final = 30


@dataclass(slots=True, kw_only=True)
class Member:
    """A file, folder or link in a zip; `size` may be set before the rest is known.

    Parameters:
        mode: its Unix mode, including the file type bits.
        offset: of its local header.
    """

    name: bytes
    mode: int
    time: tuple[int, int]
    size: int = 0
    method: int = STORED
    checksum: int = 0
    compressed: int = 0
    offset: int = 0

    @property
    def is_large(self) -> bool:
        """Whether a size may need more than 32 bits; deflate adds less than 0.1 %."""
        return self.size + self.size // 1000 >= _MAX_32

    @property
    def flags(self) -> int:
        """The general purpose bits: they mark the name as UTF-8 where that makes a difference."""
        if self.name.isascii():
            return 0
        try:
            self.name.decode("utf-8")
        except UnicodeDecodeError:
            return 0
        return _UTF_8


def local_header(member: Member) -> bytes:
    """Return the header before a member's data."""
    sizes = (member.compressed, member.size)
    extra = b""
    if member.is_large:
        extra = struct.pack("<HHQQ", 1, 16, member.size, member.compressed)
        sizes = (_MAX_32, _MAX_32)
    return (
        struct.pack(
            "<4s5H3L2H",
            b"PK\3\4",
            _VERSION_64 if member.is_large else _VERSION,
            member.flags,
            member.method,
            *member.time,
            member.checksum,
            *sizes,
            len(member.name),
            len(extra),
        )
        + member.name
        + extra
    )


def central_header(member: Member) -> bytes:
    """Return a member's record in the central directory."""
    numbers = (member.size, member.compressed, member.offset)
    large = [number for number in numbers if number >= _MAX_32]
    extra = struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""
    size, compressed, offset = (min(number, _MAX_32) for number in numbers)
    needed = _VERSION_64 if large or member.is_large else _VERSION
    directory = _MS_DOS_DIRECTORY if member.name.endswith(b"/") else 0
    return (
        struct.pack(
            "<4s2B5H3L5H2L",
            b"PK\1\2",
            needed,
            _UNIX,
            needed,
            member.flags,
            member.method,
            *member.time,
            member.checksum,
            compressed,
            size,
            len(member.name),
            len(extra),
            0,  # comment
            0,  # disk
            0,  # internal attributes
            member.mode << 16 | directory,
            offset,
        )
        + member.name
        + extra
    )


def end_records(count: int, size: int, offset: int) -> bytes:
    """Return the records that end the file.

    Parameters:
        count: number of members.
        size, offset: of the central directory.
    """
    records = b""
    if count >= _MAX_16 or size >= _MAX_32 or offset >= _MAX_32:
        numbers = (_VERSION_64, _VERSION_64, 0, 0, count, count, size, offset)
        records += struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, *numbers)
        records += struct.pack("<4sLQL", b"PK\6\7", 0, offset + size, 1)
    short = min(count, _MAX_16)
    sizes = (min(size, _MAX_32), min(offset, _MAX_32))
    return records + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, short, short, *sizes, 0)


@lru_cache(maxsize=1024)  # the files of a wheel share one time or a few
def dos_time(seconds: int) -> tuple[int, int]:
    """Return the time and date in zip's format: UTC, even seconds, from 1980 to 2107."""
    moment = tuple(time.gmtime(min(seconds, _BEYOND))[:6])
    year, month, day, hour, minute, second = max(_FIRST, min(_LAST, moment))
    return hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day


_BATCH: Final = 1 << 20
"""Bytes of small files that a thread compresses per job, and that the cache keeps in one file: a
job and a cache file for each of them would cost more.
"""
_BATCH_LENGTH: Final = 256
_BATCHES_START: Final = (1 << 32) // 64
"""A batch always starts at a name whose checksum is below this, as it is for one name in 64: if
earlier files are added or removed, all later batches stay the same.
"""
_WHOLE: Final = 32 << 20
"""Bytes up to which a member is compressed at once, which takes twice as much memory."""
_UNIT: Final = 8 << 20
"""Bytes that add one to the weight of a large job."""


@dataclass(frozen=True, slots=True)
class _Small:
    """A member that is compressed at once, and the fingerprint of its content."""

    member: Member
    content: bytes
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class _Part:
    """Compressed data of a whole member, or of one of its blocks."""

    member: Member
    data: bytes | memoryview
    first: bool = True
    last: bool = True


class ZipSink:
    """Writes deflated members; a link holds its text and has a link's mode, as with `zip -y`.

    Members are compressed in threads, small ones several at a time, large ones block by block, and
    written in the order they were added.

    Parameters:
        output: receives the archive's bytes.
        install_target: the top-level folder, or `"."` for none.
    """

    shares_files = False

    def __init__(self, output: HashedOutput, compression: Compression, install_target: str) -> None:
        self._output = output
        self._level = compression.level
        self._remembered = compression.remembered
        self.holds_links = compression.holds_links
        self._top = "" if install_target == "." else f"{install_target}/"
        threads = compression.threads
        self._pool = OrderedPool[list[_Part]](threads, self._take, ahead=AHEAD)
        self._batch: list[_Small] = []
        self._batch_size = 0
        self._directory: list[bytes] = []

    def add_directory(self, entry: DirectoryEntry) -> None:
        """Add a folder."""
        name = (self._top + entry.arcname).rstrip("/")
        self._add_small(_Small(_member(entry, f"{name}/", stat.S_IFDIR), b"", of_bytes(b"")))

    def add_link(self, entry: SymlinkEntry) -> None:
        """Add a link, whose text is its content."""
        text = entry.linkname.encode("utf-8", "surrogateescape")
        member = _member(entry, self._top + entry.arcname, stat.S_IFLNK)
        member.size = len(text)
        self._add_small(_Small(member, text, of_bytes(text)))

    def add_bytes(self, entry: FileEntry, data: bytes, digest: bytes) -> None:
        """Add a file whose content has been read."""
        self._add_small(_Small(self._file_member(entry), data, of_file(digest)))

    def add_file(self, entry: FileEntry, stream: Content) -> None:
        """Add a file."""
        if entry.size > _WHOLE:
            self._add_large(self._file_member(entry), stream)
        else:
            data = stream.read()
            self.add_bytes(entry, data, stream.digest())

    def close(self, _digest: str) -> None:
        """Write the central directory."""
        self._end_batch()
        self._pool.close()
        start = self._output.size
        directory = b"".join(self._directory)
        self._output.write(directory)
        self._output.write(end_records(len(self._directory), len(directory), start))

    def discard(self) -> None:
        """Abort."""
        self._pool.cancel()

    def _file_member(self, entry: FileEntry) -> Member:
        member = _member(entry, self._top + entry.arcname, stat.S_IFREG)
        member.size = entry.size
        return member

    def _add_small(self, small: _Small) -> None:
        if zlib.crc32(small.member.name[len(self._top.encode()) :]) < _BATCHES_START:
            self._end_batch()
        self._batch.append(small)
        self._batch_size += len(small.content)
        if self._batch_size >= _BATCH or len(self._batch) == _BATCH_LENGTH:
            self._end_batch()

    def _end_batch(self) -> None:
        if self._batch:
            weight = 1 + self._batch_size // _UNIT
            self._pool.put(partial(self._small, self._batch), weight=weight)
        self._batch, self._batch_size = [], 0

    def _add_large(self, member: Member, stream: Content) -> None:
        self._end_batch()
        member.method = DEFLATED
        dictionary = b""
        left = member.size
        while left:
            block = stream.read(BLOCK)
            first, left = left == member.size, left - len(block)
            # The last part is taken after the last block has been read, with the checksum complete.
            member.checksum = checksum(block, member.checksum)
            make = partial(deflate_block, block, dictionary, self._level, last=not left)
            told = (of_bytes(dictionary), of_piece(len(block), stream.digest()))
            how = block_depends_on(dictionary, self._level, last=not left)
            compressed = partial(self._remembered, make, told, how)
            self._pool.put(partial(_block, member, compressed, first=first, last=not left))
            dictionary = block[-WINDOW:]

    def _small(self, batch: list[_Small]) -> list[_Part]:
        """Compress small members."""
        contents = [small.content for small in batch]
        make = partial(_members, contents, self._level)
        how = f"deflated members {self._level} {list(map(len, contents))}"
        told = [small.fingerprint for small in batch]
        found = memoryview(self._remembered(make, told, how))
        result = []
        for small in batch:
            member = small.member
            member.checksum, size = _MEMBER.unpack_from(found)
            data = found[_MEMBER.size : _MEMBER.size + size]
            member.method = DEFLATED if size < member.size else STORED
            result.append(_Part(member, data))
            found = found[_MEMBER.size + size :]
        return result

    def _take(self, parts: list[_Part]) -> None:
        for part in parts:
            member = part.member
            if part.first:
                member.offset = self._output.size
            member.compressed += len(part.data)
            if part.first:
                self._output.write(local_header(member))
            self._output.write(part.data)
            if part.last:
                self._directory.append(central_header(member))
                if not part.first:
                    self._output.rewrite(member.offset, local_header(member))


def _member(entry: Entry, name: str, kind: int) -> Member:
    return Member(
        name=name.encode("utf-8", "surrogateescape"),
        mode=kind | mode_of(entry),
        time=dos_time(entry.mtime or 0),
    )


_MEMBER: Final = struct.Struct("<LL")
"""A member's checksum and compressed size, in front of its compressed data."""


def _block(
    member: Member, compressed: Callable[[], bytes], *, first: bool, last: bool
) -> list[_Part]:
    """Compress a block of a large member."""
    return [_Part(member, compressed(), first=first, last=last)]


def _members(contents: list[bytes], level: int) -> bytes:
    """Compress small members; those that do not get smaller are stored."""
    parts = []
    for content in contents:
        data = deflate_whole(content, level) if content else b""
        kept = data if len(data) < len(content) else content
        parts += [_MEMBER.pack(checksum(content), len(kept)), kept]
    return b"".join(parts)
