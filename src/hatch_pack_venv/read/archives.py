"""Tar and zip files read back, member by member, in bounded memory.

Whatever could escape from the folder it is unpacked into is refused by name, and so is whatever two
tools could read differently: an archive is judged here before any tool unpacks it. Headers are
parsed here and not by `tarfile` and `zipfile`, which ignore much of what other tools rely on.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import stat
import struct
import sys
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol, cast

from ..model import manifest
from ..model.entries import Member, portable_name
from ..model.errors import ArchiveProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from _typeshed import WriteableBuffer

    from ..model.entries import Chunks, Kind


if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd
BLOCK: Final = 1 << 16


class FormatError(ValueError):
    """Bytes are not what they should be; the message says why."""


class _Onwards:
    """A stream that is only read forwards, and must not end early.

    Sizes that a header claims are limited, or a few hostile bytes could exhaust memory.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes; fewer at the end."""
        if size > BLOCK:
            raise FormatError(f"a header claims {size} bytes")
        data = self._stream.read(size)
        while len(data) < size and (more := self._stream.read(size - len(data))):
            data += more
        return data

    def exactly(self, size: int) -> bytes:
        """Read exactly `size` bytes."""
        data = self.read(size)
        if len(data) < size:
            message = "the end is missing"
            raise EOFError(message)
        return data

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield the next `size` bytes in pieces."""
        while size:
            data = self.exactly(min(BLOCK, size))
            size -= len(data)
            yield data


# tar: POSIX.1-1988 with the extended headers of POSIX.1-2001 (pax) or of GNU


_TAR_BLOCK: Final = 512
_TAR_FIELDS: Final = struct.Struct("100s 8s 8s 8s 12s 12s 8s c 100s 8s 32s 32s 8s 8s 155s 12x")
_USTAR: Final = b"ustar\x0000"
_GNU: Final = b"ustar  \0"
_OCTAL: Final = re.compile(rb" *([0-7]*)[ \0]*")
_LARGEST: Final = (1 << 63) - 1
_TAR_KINDS: Final[dict[bytes, Kind]] = {b"0": "file", b"2": "link", b"5": "directory"}
_NO_DIFFERENCE: Final = {"atime", "ctime", "comment", "gid", "gname", "mtime", "uid", "uname"}
_PAX_RECORD: Final = re.compile(rb"([1-9][0-9]{0,5}) ([^=]+)=")


@dataclass(frozen=True, slots=True, kw_only=True)
class _TarHeader:
    """A header block, with values overridden by the extended headers before it."""

    type: bytes
    name: str
    mode: int
    size: int
    linkname: str

    @classmethod
    def from_block(cls, block: bytes) -> _TarHeader:
        """Parse a block; its fields must mean the same to every tool."""
        fields = _TAR_FIELDS.unpack(block)
        name, mode, _, _, size, _, checksum, kind, linkname, magic, *_, prefix = fields
        if magic not in (_USTAR, _GNU):
            raise FormatError("a header is missing")
        blank = block[:148] + b" " * 8 + block[156:]
        if _number(checksum) != sum(blank):
            raise FormatError("a header's checksum is wrong")
        if magic == _GNU and prefix.strip(b"\0"):
            raise FormatError("a GNU header has unexpected fields")
        parts = [part.partition(b"\0")[0] for part in (prefix, name)]
        return cls(
            type=kind,
            name=_text(b"/".join(filter(None, parts))),
            mode=_number(mode) & 0o7777,
            size=_number(size),
            linkname=_text(linkname.partition(b"\0")[0]),
        )


def _number(field: bytes) -> int:
    """Return the number in a field: octal digits, or a large one in binary as GNU writes it."""
    match = _OCTAL.fullmatch(field)
    if match is not None:
        return int(match[1] or b"0", 8)
    number = int.from_bytes(field[1:], "big")
    if field[0] != 0x80 or number > _LARGEST:
        raise FormatError(f"a header contains the invalid number {field!r}")
    return number


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def tar_members(path: Path, stream: BinaryIO) -> Iterator[tuple[Member, Chunks]]:
    """Yield the members of an archive that has been decompressed.

    Raises:
        ArchiveProblem: it holds what no archive of ours holds: hard links, devices, sparse files,
            names that lead out of it, headers that tools read differently.
        FormatError, EOFError: it is damaged or cut off.
    """
    onwards = _Onwards(stream)
    while (block := onwards.exactly(_TAR_BLOCK)).strip(b"\0"):
        header = _whole_header(path, onwards, _TarHeader.from_block(block))
        member = _tar_member(path, header)
        if member.name:
            chunks = onwards.chunks(member.size)
            yield member, chunks
            for _ in chunks:
                pass
        onwards.exactly(-member.size % _TAR_BLOCK)
    padding = onwards.exactly(_TAR_BLOCK)  # some tools read on after a single block of zeros
    while padding:  # to the end, where compressors keep their checksums
        if padding.strip(b"\0"):
            raise FormatError("there is data after the end")
        padding = onwards.read(BLOCK)


def _whole_header(path: Path, onwards: _Onwards, header: _TarHeader) -> _TarHeader:
    """Return a member's header, updated from the extended ones before it.

    There may be one of pax, or one of GNU's each for name and link: tools differ on any others.
    """
    told: dict[str, str] = {}
    kinds = b""
    while header.type in (b"x", b"L", b"K"):
        if header.type in kinds or b"x" in kinds or (kinds and header.type == b"x"):
            raise ArchiveProblem(
                f"{path} is refused: an entry is named by two headers, which tools interpret"
                " differently"
            )
        kinds += header.type
        data = onwards.exactly(header.size)
        onwards.exactly(-header.size % _TAR_BLOCK)
        if header.type == b"x":
            told = _pax_records(data)
        else:
            told["path" if header.type == b"L" else "linkpath"] = _text(data.removesuffix(b"\0"))
        header = _TarHeader.from_block(onwards.exactly(_TAR_BLOCK))
    size = told.get("size", str(header.size))
    if not re.fullmatch("[0-9]{1,19}", size) or int(size) > _LARGEST:
        raise FormatError(f"an extended header contains the invalid size {size[:40]!r}")
    return replace(
        header,
        name=told.get("path", header.name),
        linkname=told.get("linkpath", header.linkname),
        size=int(size),
    )


def _pax_records(data: bytes) -> dict[str, str]:
    """Return the records of an extended header: `LENGTH KEY=VALUE` lines, each key once."""
    found: dict[str, str] = {}
    position = 0
    while position < len(data):
        match = _PAX_RECORD.match(data, position)
        end = position + int(match[1]) if match else 0
        if match is None or match.end() >= end or data[end - 1 : end] != b"\n":
            raise FormatError("an extended header is malformed")
        key, value = _text(match[2]), _text(data[match.end() : end - 1])
        known = key in {"path", "linkpath", "size", *_NO_DIFFERENCE}
        if key in found or not (known or (key, value) == ("hdrcharset", "BINARY")):
            raise FormatError(f"an extended header has the unknown or repeated key {key!r}")
        found[key] = value
        position = end
    return found


def _tar_member(path: Path, header: _TarHeader) -> Member:
    kind = _TAR_KINDS.get(header.type)
    if kind is None:
        what = "a hard link" if header.type == b"1" else "not a file, folder or symbolic link"
        raise ArchiveProblem(f"{path} is refused: its entry {header.name!r} is {what}")
    if (kind == "file" and header.name.endswith("/")) or (kind != "file" and header.size):
        raise ArchiveProblem(
            f"{path} is refused: its entry {header.name!r} is a {kind} to some tools, and not to"
            " others"
        )
    return Member(
        name=portable_name(path, header.name),
        kind=kind,
        mode=header.mode,
        size=header.size,
        linkname=header.linkname if kind == "link" else "",
    )


# zip, as APPNOTE.TXT describes it


_LOCAL: Final = struct.Struct("<4s 5H 3L 2H")
_CENTRAL: Final = struct.Struct("<4s 2B 5H 3L 5H 2L")
_END: Final = struct.Struct("<4s 4H 2L H")
_END_64: Final = struct.Struct("<4s Q 2H 2L 4Q")
_LOCATOR: Final = struct.Struct("<4s L Q L")
_MAX_16: Final = 0xFFFF
_MAX_32: Final = 0xFFFFFFFF
_STORED, _DEFLATED = 0, 8
_UNIX: Final = 3
_UTF_8: Final = 0x800
_MS_DOS_DIRECTORY: Final = 0x10
_LINK_LIMIT: Final = 4096  # bytes of a link's text, PATH_MAX


def zip_members(path: Path, stream: BinaryIO) -> Iterator[tuple[Member, Chunks]]:
    """Yield the members of a zip file that has no gaps from its first byte to its last.

    The header before a member must say the same as the directory at the end: some tools rely on the
    one, some on the other.
    """
    count, start, end = _zip_end(stream)
    stream.seek(start)
    directory = io.BytesIO(stream.read(end - start))
    position = expected = 0
    for _ in range(count):
        entry, position = _zip_entry(path, directory, position)
        member = _zip_member(path, stream, entry)
        if entry.offset != expected:
            raise FormatError("members overlap or have gaps between them")
        data = entry.offset + _check_local_header(path, stream, entry)
        if member.name:
            yield member, _zip_chunks(stream, entry, data) if member.kind == "file" else iter(())
        expected = data + entry.compressed
    if position != end - start or expected != start:
        raise FormatError("its central directory is inconsistent")


def _zip_end(stream: BinaryIO) -> tuple[int, int, int]:
    """Return the number of members, and where their directory begins and ends."""
    size = stream.seek(0, io.SEEK_END)
    tail = _at(stream, size - _END.size, _END.size)
    count, length, start = _END.unpack(tail)[4:7]
    end = size - _END.size
    if max(count, _MAX_16 if _MAX_32 in (length, start) else 0) == _MAX_16:
        records = _at(stream, end - _LOCATOR.size - _END_64.size, _END_64.size)
        end -= _LOCATOR.size + _END_64.size
        count, length, start = _END_64.unpack(records)[7:]
    right = _end_records(count, length, start) == _at(stream, end, size - end)
    if not right or start + length != end or length > manifest.SIZE_LIMIT:
        raise FormatError("its end of central directory record is inconsistent")
    return count, start, end


def _end_records(count: int, size: int, offset: int) -> bytes:
    """Return the records that end a file with a directory of this size at this offset."""
    records = b""
    if count >= _MAX_16 or size >= _MAX_32 or offset >= _MAX_32:
        records = _END_64.pack(b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
        records += _LOCATOR.pack(b"PK\6\7", 0, offset + size, 1)
    short = min(count, _MAX_16)
    return records + _END.pack(
        b"PK\5\6", 0, 0, short, short, min(size, _MAX_32), min(offset, _MAX_32), 0
    )


def _at(stream: BinaryIO, position: int, size: int) -> bytes:
    if position < 0:
        message = "the end is missing"
        raise EOFError(message)
    stream.seek(position)
    return _Onwards(stream).exactly(size)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ZipEntry:
    """A record of the directory."""

    name: bytes
    version: int
    flags: int
    method: int
    time: tuple[int, int]
    checksum: int
    compressed: int
    size: int
    attributes: int
    offset: int


def _zip_entry(path: Path, directory: BinaryIO, position: int) -> tuple[_ZipEntry, int]:
    """Read a record of the directory; return it and where the next begins."""
    fields = _CENTRAL.unpack(_at(directory, position, _CENTRAL.size))
    signature, made_by, system, version, flags, method, *rest = fields
    time, date, checksum, compressed, size, name_length, extra_length, *rest = rest
    comment, disk, internal, attributes, offset = rest
    name = _at(directory, position + _CENTRAL.size, name_length)
    extra = _at(directory, position + _CENTRAL.size + name_length, extra_length)
    following = position + _CENTRAL.size + name_length + extra_length
    size, compressed, offset = _large(extra, (size, compressed, offset))
    if flags & 1:
        raise ArchiveProblem(f"{path} is refused: its entry {_text(name)!r} is encrypted")
    plain = (signature, system, made_by) == (b"PK\1\2", _UNIX, version)
    plain = plain and not (comment or disk or internal) and version in (20, 45)
    plain = plain and flags == (0 if name.isascii() else _UTF_8)
    plain = plain and method in (_STORED, _DEFLATED) and (method or size == compressed)
    if not plain:
        raise FormatError(f"its entry {_text(name)!r} was not written by pack-venv")
    entry = _ZipEntry(
        name=name,
        version=version,
        flags=flags,
        method=method,
        time=(time, date),
        checksum=checksum,
        compressed=compressed,
        size=size,
        attributes=attributes,
        offset=offset,
    )
    return entry, following


def _large(extra: bytes, numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Return the numbers of a record, those that need 64 bits from its extra field."""
    large = [number for number in numbers if number == _MAX_32]
    if not large and not extra:
        return numbers
    layout = struct.Struct(f"<HH{len(large)}Q")
    if len(extra) != layout.size or extra[:4] != struct.pack("<HH", 1, 8 * len(large)):
        raise FormatError("an extra field was not written by pack-venv")
    found = iter(layout.unpack(extra)[2:])
    return tuple(next(found) if number == _MAX_32 else number for number in numbers)


def _check_local_header(path: Path, stream: BinaryIO, entry: _ZipEntry) -> int:
    """Compare the header before a member with the directory; return the header's length."""
    fields: tuple[Any, ...] = _LOCAL.unpack(_at(stream, entry.offset, _LOCAL.size))
    compressed, size, name_length, extra_length = map(int, fields[7:])
    name = _at(stream, entry.offset + _LOCAL.size, name_length)
    extra = _at(stream, entry.offset + _LOCAL.size + name_length, extra_length)
    size, compressed = _large(extra, (size, compressed))
    expected = (b"PK\3\4", entry.version, entry.flags, entry.method, *entry.time, entry.checksum)
    same = fields[:7] == expected and name == entry.name
    if not same or (size, compressed) != (entry.size, entry.compressed):
        raise ArchiveProblem(
            f"{path} is refused: the local header of its entry {_text(entry.name)!r} contradicts"
            " the central directory"
        )
    return _LOCAL.size + name_length + extra_length


def _zip_member(path: Path, stream: BinaryIO, entry: _ZipEntry) -> Member:
    name = _text(entry.name)
    portable = portable_name(path, name)
    kinds: dict[tuple[int, int, bool], Kind] = {
        (stat.S_IFREG, 0, False): "file",
        (stat.S_IFLNK, 0, False): "link",
        (stat.S_IFDIR, _MS_DOS_DIRECTORY, True): "directory",
    }
    mode = entry.attributes >> 16
    kind = kinds.get((stat.S_IFMT(mode), entry.attributes & _MAX_16, name.endswith("/")))
    if kind is None or (kind == "link" and entry.size > _LINK_LIMIT):
        raise ArchiveProblem(
            f"{path} is refused: its entry {name!r} is not a file, folder or valid symbolic link"
        )
    if kind == "directory" and (entry.size or entry.checksum or entry.compressed):
        raise ArchiveProblem(f"{path} is refused: its folder {name!r} contains data of its own")
    linkname = ""
    if kind == "link":
        start = entry.offset + _check_local_header(path, stream, entry)
        linkname = _text(b"".join(_zip_chunks(stream, entry, start)))
    size = 0 if kind == "link" else entry.size
    return Member(name=portable, kind=kind, mode=stat.S_IMODE(mode), size=size, linkname=linkname)


def _zip_chunks(stream: BinaryIO, entry: _ZipEntry, start: int) -> Iterator[bytes]:
    """Yield a member's bytes, whose number and checksum must be those in its headers."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == _DEFLATED else None
    size = checksum = 0
    stream.seek(start)
    for packed in _Onwards(stream).chunks(entry.compressed):
        for data in (packed,) if inflater is None else _inflated(inflater, packed):
            size += len(data)
            if size > entry.size:
                raise FormatError("a member is longer than its header says")
            checksum = zlib.crc32(data, checksum)
            yield data
    ended = inflater is None or (inflater.eof and not inflater.unused_data)
    if not ended or (size, checksum) != (entry.size, entry.checksum):
        raise FormatError("a member does not match its size or checksum")


def _inflated(inflater: zlib._Decompress, packed: bytes) -> Iterator[bytes]:
    """Inflate a part in pieces, so that a few bytes do not become gigabytes at once."""
    while packed:
        if inflater.eof:
            raise FormatError("there is data after the end of a member")
        if data := inflater.decompress(packed, BLOCK):
            yield data
        packed = inflater.unconsumed_tail


# compressed streams


_XZ_MEMORY: Final = 160 << 20
"""Bytes of memory that an xz decompressor may use: our largest dictionary has 64 MiB."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Decompressed(io.RawIOBase):
    """The contents of consecutive compressed streams; nothing else may follow them."""

    def __init__(self, stream: BinaryIO, make: Callable[[], _Decompressor]) -> None:
        self._stream = stream
        self._make = make
        self._decompressor = make()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        while True:
            data = b""
            if self._decompressor.eof:
                data = self._decompressor.unused_data or self._stream.read(BLOCK)
                if not data:
                    return 0
                self._decompressor = self._make()
            elif self._decompressor.needs_input:
                data = self._stream.read(BLOCK)
                if not data:
                    message = "the end is missing"
                    raise EOFError(message)
            found = self._decompressor.decompress(data, len(view))
            if found:
                view[: len(found)] = found
                return len(found)


def _decompressing(make: Callable[[], _Decompressor]) -> Callable[[BinaryIO], BinaryIO]:
    return lambda stream: cast("BinaryIO", io.BufferedReader(_Decompressed(stream, make), BLOCK))


DECOMPRESSORS: Final[tuple[tuple[bytes, Callable[[BinaryIO], object]], ...]] = (
    (
        b"\xfd7zXZ\0",
        _decompressing(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)),
    ),
    (b"\x1f\x8b", lambda stream: gzip.GzipFile(fileobj=stream)),
    (b"BZh", _decompressing(bz2.BZ2Decompressor)),
    (b"\x28\xb5\x2f\xfd", zstd.ZstdFile),
)
