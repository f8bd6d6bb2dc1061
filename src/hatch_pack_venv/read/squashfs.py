"""Squashfs images read back, without mounting or unpacking them: version 4.0, compressed with zstd.

The layout is that of Linux's `fs/squashfs/squashfs_fs.h`, which
https://dr-emann.github.io/squashfs/ explains. A folder or file that has a second name is refused,
as is whatever else none of our images holds: so reading always ends.
"""

from __future__ import annotations

import os
import struct
import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO, Final

from ..model.entries import Member, portable_name
from ..model.errors import ArchiveProblem
from .archives import BLOCK, FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..model.entries import Chunks, Kind


if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd
MAGIC: Final = b"hsqs"
_SUPERBLOCK: Final = struct.Struct("<4s 4L 6H 8Q")
_VERSION: Final = (4, 0)
_ZSTD: Final = 6
_BLOCK_LOGS: Final = range(12, 21)
_NONE_64: Final = (1 << 64) - 1
_NONE_32: Final = (1 << 32) - 1
_PADDED: Final = 4096  # loop devices need whole pages
_METADATA: Final = 8192
_STORED_METADATA: Final = 1 << 15
_STORED: Final = 1 << 24
_INODE: Final = struct.Struct("<4H 2L")
_DIRECTORY: Final = struct.Struct("<2L 2H L")
_LARGE_DIRECTORY: Final = struct.Struct("<4L 2H L")
_FILE: Final = struct.Struct("<4L")
_LARGE_FILE: Final = struct.Struct("<3Q 4L")
_LINK: Final = struct.Struct("<2L")
_LISTED: Final = struct.Struct("<3L")
_ENTRY: Final = struct.Struct("<HhHH")
_ENTRIES: Final = 256  # at most, after one header of a listing
_FRAGMENT: Final = struct.Struct("<Q 2L")
_WINDOW: Final[dict[int, int]] = {zstd.DecompressionParameter.window_log_max: _BLOCK_LOGS[-1]}
_TYPES: Final[dict[int, Kind]] = {1: "directory", 2: "file", 3: "link", 8: "directory", 9: "file"}


def squashfs_members(path: Path, stream: BinaryIO) -> Iterator[tuple[Member, Chunks]]:
    """Yield the members of an image: folders and links first, then files as they are stored.

    Raises:
        ArchiveProblem: it holds what no archive of ours holds: hard links, devices.
        FormatError, EOFError: it is damaged or cut off, or holds extended attributes.
    """
    image = _Image(stream)
    files = []
    for name, inode in _walk(path, image):
        if inode.type == "file":
            files.append((image.position(inode), name, inode.reference))
        else:
            yield _member(path, name, inode), iter(())
    for _, name, reference in sorted(files):
        inode = image.inode(reference)
        yield _member(path, name, inode), image.chunks(inode)


def _member(path: Path, name: str, inode: _Inode) -> Member:
    return Member(
        name=portable_name(path, name),
        kind=inode.type,
        mode=inode.mode,
        size=inode.size if inode.type == "file" else 0,
        linkname=inode.linkname,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inode:
    """An inode; the sizes of a file's blocks follow in the table, at `rest`.

    Parameters:
        reference: where it is: the start of its block in the table, and its offset there.
        start: where a folder's listing starts in its table, or a file's first block.
        fragment: the number of the fragment that holds a file's end, or `None`.
        offset: that of a listing in its block, or of a file's end in its fragment.
    """

    type: Kind
    mode: int
    reference: tuple[int, int]
    size: int = 0
    start: int = 0
    fragment: int | None = None
    offset: int = 0
    linkname: str = ""
    rest: tuple[int, int] = (0, 0)


def _walk(path: Path, image: _Image) -> Iterator[tuple[str, _Inode]]:
    """Yield names and inodes, folders before their contents; each inode once."""
    seen = {image.root.reference}
    listings = [("", image.listing(image.root))]
    while listings:
        above, listing = listings[-1]
        found = next(listing, None)
        if found is None:
            listings.pop()
            continue
        name, reference, number = f"{above}{found[0]}", found[1], found[2]
        if len(name) > BLOCK:
            raise FormatError("a name is too long")
        if reference in seen:
            raise ArchiveProblem(f"{path} is refused: its entry {name!r} is a hard link")
        seen.add(reference)
        if number not in _TYPES:
            raise ArchiveProblem(
                f"{path} is refused: its entry {name!r} is not a file, folder or symbolic link"
            )
        inode = image.inode(reference)
        if inode.type != _TYPES[number]:
            kind = _TYPES[number]
            raise FormatError(f"{name!r} is listed as a {kind} but is a {inode.type}")
        yield name, inode
        if inode.type == "directory":
            listings.append((f"{name}/", image.listing(inode)))


class _Image:
    """The tables of an image, and the blocks that they refer to."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        fields = _SUPERBLOCK.unpack(self._at(0, _SUPERBLOCK.size))
        magic, _, _, self._block_size, self._fragments, *rest = fields
        compressor, block_log, _, _, *version = rest[:6]
        root, used, ids, xattrs, inodes, listings, fragments, _ = rest[6:]
        if (magic, compressor, tuple(version)) != (MAGIC, _ZSTD, _VERSION):
            raise FormatError("it is not a version 4.0 image compressed with zstd")
        if block_log not in _BLOCK_LOGS or self._block_size != 1 << block_log:
            raise FormatError("its block size is invalid")
        if xattrs != _NONE_64:
            raise FormatError("it contains extended attributes")
        self._check_end(used)
        self._used = used
        self._inodes, self._listings, self._fragment_table = inodes, listings, fragments
        if not _SUPERBLOCK.size <= inodes <= listings <= ids <= used:
            raise FormatError("its tables are out of order")
        self.metadata = lru_cache(maxsize=64)(self._metadata)
        self.fragment = lru_cache(maxsize=4)(self._fragment)
        self.root = self.inode((root >> 16, root & 0xFFFF))
        if self.root.type != "directory":
            raise FormatError("its root is not a folder")

    def _check_end(self, used: int) -> None:
        size = self._stream.seek(0, os.SEEK_END)
        if size < used:
            message = "the end is missing"
            raise EOFError(message)
        if size - used >= _PADDED or self._at(used, size - used).strip(b"\0"):
            raise FormatError("there is data after the end")

    def _at(self, position: int, size: int) -> bytes:
        self._stream.seek(position)
        data = self._stream.read(size)
        if len(data) < size:
            message = "the end is missing"
            raise EOFError(message)
        return data

    # tables

    def _metadata(self, position: int) -> tuple[bytes, int]:
        """Return a block of a table, and where the next begins."""
        if position + 2 > self._used:
            raise FormatError("a table extends beyond the image")
        header = int.from_bytes(self._at(position, 2), "little")
        size = header & ~_STORED_METADATA
        if not 0 < size <= _METADATA:
            raise FormatError("a block of a table has an invalid size")
        data = self._at(position + 2, size)
        if not header & _STORED_METADATA:
            data = _unpacked(data, _METADATA)
        return data, position + 2 + size

    def read(self, table: int, place: tuple[int, int], size: int) -> tuple[bytes, tuple[int, int]]:
        """Read from a place in a table; return the bytes and the place after them.

        Parameters:
            place: a block's start, relative to the table's, and an offset in the block.
        """
        start, offset = place
        found = b""
        while len(found) < size:
            block, following = self.metadata(table + start)
            if offset > len(block):
                raise FormatError("a table refers beyond the end of a block")
            part = block[offset : offset + size - len(found)]
            found, offset = found + part, offset + len(part)
            if offset == len(block):
                if len(block) < _METADATA and len(found) < size:
                    raise FormatError("a table ends too early")
                start, offset = following - table, 0
        return found, (start, offset)

    def fields(
        self, layout: struct.Struct, table: int, place: tuple[int, int]
    ) -> tuple[tuple[int, ...], tuple[int, int]]:
        data, place = self.read(table, place, layout.size)
        return layout.unpack(data), place

    def inode(self, reference: tuple[int, int]) -> _Inode:
        """Read an inode."""
        (number, mode, *_), place = self.fields(_INODE, self._inodes, reference)
        if number not in _TYPES or mode > 0o7777:
            raise FormatError("an inode has an unsupported type or mode")
        inode = _Inode(type=_TYPES[number], mode=mode, reference=reference)
        match number:
            case 1:
                (start, _, size, offset, _), _ = self.fields(_DIRECTORY, self._inodes, place)
                return replace(inode, start=start, size=size, offset=offset)
            case 8:
                fields, _ = self.fields(_LARGE_DIRECTORY, self._inodes, place)
                _, size, start, _, _, offset, xattr = fields
                _check(xattr == _NONE_32)
                return replace(inode, start=start, size=size, offset=offset)
            case 3:
                (count, size), place = self.fields(_LINK, self._inodes, place)
                _check(count == 1 and size <= BLOCK)
                text = self.read(self._inodes, place, size)[0].decode("utf-8", "surrogateescape")
                return replace(inode, linkname=text)
            case 2:
                (start, fragment, offset, size), rest = self.fields(_FILE, self._inodes, place)
            case _:
                fields, rest = self.fields(_LARGE_FILE, self._inodes, place)
                start, size, _, count, fragment, offset, xattr = fields
                _check(count == 1 and xattr == _NONE_32 and size < 1 << 63)
        held = None if fragment == _NONE_32 else fragment
        return replace(inode, start=start, size=size, offset=offset, fragment=held, rest=rest)

    def listing(self, folder: _Inode) -> Iterator[tuple[str, tuple[int, int], int]]:
        """Yield what is in a folder: name, reference of the inode, type."""
        place = (folder.start, folder.offset)
        left = folder.size - 3  # Linux counts `.` and `..`
        last = b""
        while left > 0:
            (more, start, _), place = self.fields(_LISTED, self._listings, place)
            left -= _LISTED.size
            if more >= _ENTRIES:
                raise FormatError("a header in a folder's listing has too many entries")
            for _ in range(more + 1):
                (offset, _, number, length), place = self.fields(_ENTRY, self._listings, place)
                name, place = self.read(self._listings, place, length + 1)
                left -= _ENTRY.size + len(name)
                # Linux relies on their order: a name out of order exists only for some readers.
                if name <= last or name in (b".", b"..") or b"/" in name or b"\0" in name:
                    raise FormatError(f"a folder lists {name!r}, which is invalid or out of order")
                last = name
                yield name.decode("utf-8", "surrogateescape"), (start, offset), number
        if left:
            raise FormatError("a folder's listing does not match its size")

    # contents

    def position(self, inode: _Inode) -> tuple[int, int]:
        """Return where a file is stored, so that files are read in that order."""
        if inode.fragment is None:
            return inode.start, 0
        return self._place_of(inode.fragment)[0], inode.offset

    def chunks(self, inode: _Inode) -> Iterator[bytes]:
        """Yield a file's bytes."""
        position, place, left = inode.start, inode.rest, inode.size
        while left and (left >= self._block_size or inode.fragment is None):
            data, place = self.read(self._inodes, place, 4)
            stored = int.from_bytes(data, "little")
            found = self._block(position, stored, min(left, self._block_size))
            position += stored & ~_STORED
            left -= len(found)
            yield found
        if left and inode.fragment is not None:
            end = self.fragment(inode.fragment)[inode.offset : inode.offset + left]
            if len(end) < left:
                raise FormatError("the end of a file extends beyond its fragment")
            yield end

    def _place_of(self, number: int) -> tuple[int, int]:
        """Return where a fragment is, and its size with the bit that marks uncompressed ones."""
        if number >= self._fragments:
            raise FormatError("the end of a file is in a fragment that does not exist")
        start, size, _ = self.fields(_FRAGMENT, 0, self._fragment_entry(number))[0]
        return start, size

    def _fragment_entry(self, number: int) -> tuple[int, int]:
        block, offset = divmod(number * _FRAGMENT.size, _METADATA)
        return int.from_bytes(self._at(self._fragment_table + 8 * block, 8), "little"), offset

    def _fragment(self, number: int) -> bytes:
        return self._block(*self._place_of(number), None)

    def _block(self, position: int, stored: int, size: int | None) -> bytes:
        """Return a block of a file, or a fragment, which may be shorter."""
        length = stored & ~_STORED
        if not 0 < length <= self._block_size or position < _SUPERBLOCK.size:
            raise FormatError("a block of a file has an invalid size or position")
        data = self._at(position, length)
        if not stored & _STORED:
            data = _unpacked(data, self._block_size)
        if size is not None and len(data) != size:
            raise FormatError("a block of a file has the wrong length")
        return data


def _check(is_ours: bool) -> None:  # noqa: FBT001 - what is checked is the argument
    if not is_ours:
        raise FormatError("it contains hard links or extended attributes")


def _unpacked(data: bytes, limit: int) -> bytes:
    """Decompress data to at most `limit` bytes."""
    decompressor = zstd.ZstdDecompressor(options=_WINDOW)
    found: bytes = decompressor.decompress(data, limit + 1)
    if len(found) > limit or not decompressor.eof or decompressor.unused_data:
        raise FormatError("a compressed block is corrupt")
    return found
