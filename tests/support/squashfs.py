"""Squashfs images made by hand, with any damage; nothing in them is compressed."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

NONE = 0xFFFFFFFF
STORED = 1 << 24
Tree = dict[str, Any]


class Maker:
    """Makes an image of a tree; tests change what it writes.

    A folder is a `dict`, a link a `str`, a file `bytes`; anything else is a pair of an inode's type
    and its bytes after the head.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.inodes = bytearray()
        self.listings = bytearray()
        self.superblock: dict[str, int] = {}
        self.changed_inode: Callable[[int, bytes], bytes] = lambda _kind, body: body
        self.changed_rows: Callable[[list[Any]], list[Any]] = lambda rows: rows
        self.tail = b""

    def inode(self, kind: int, body: bytes, mode: int = 0o644) -> int:
        offset = len(self.inodes)
        head = struct.pack("<4H2L", kind, mode, 0, 0, 0, 1)
        self.inodes += self.changed_inode(kind, head + body)
        return offset

    def folder(self, tree: Tree) -> int:
        rows = [(name.encode(), *self.entry(tree[name])) for name in sorted(tree)]
        rows = self.changed_rows(rows)
        start = len(self.listings)
        listing = struct.pack("<3L", len(rows) - 1, 0, 1) if rows else b""
        for name, kind, offset in rows:
            listing += struct.pack("<HhHH", offset, 0, kind, len(name) - 1) + name
        self.listings += listing
        return self.inode(1, struct.pack("<2L2HL", 0, 2, len(listing) + 3, start, 1), 0o755)

    def entry(self, value: Any) -> tuple[int, int]:
        match value:
            case dict():
                return 1, self.folder(value)
            case str():
                text = value.encode()
                return 3, self.inode(3, struct.pack("<2L", 1, len(text)) + text, 0o777)
            case bytes():
                start = 96 + len(self.data)
                self.data += value
                sizes = struct.pack("<L", STORED | len(value)) if value else b""
                body = struct.pack("<4L", start, NONE, 0, len(value)) + sizes
                return 2, self.inode(2, body)
            case kind, body:
                return kind, self.inode(kind, body)
        raise AssertionError(value)

    def image(self, tree: Tree) -> bytes:
        root = self.folder(tree)
        parts = [bytes(96), bytes(self.data)]
        inodes = sum(map(len, parts))
        parts.append(self.table(self.inodes))
        listings = sum(map(len, parts))
        parts.append(self.table(self.listings))
        ids = sum(map(len, parts))
        parts.append(self.table(bytes(4)) + struct.pack("<Q", ids))
        fields: dict[str, int] = {
            "magic": int.from_bytes(b"hsqs", "little"),
            "inodes": 1,
            "time": 0,
            "block": 1 << 17,
            "fragments": 0,
            "compressor": 6,
            "log": 17,
            "flags": 0,
            "ids": 1,
            "major": 4,
            "minor": 0,
            "root": root,
            "used": sum(map(len, parts)),
            "id table": ids + 6,
            "xattrs": (1 << 64) - 1,
            "inode table": inodes,
            "listings": listings,
            "fragment table": (1 << 64) - 1,
            "exports": (1 << 64) - 1,
        }
        parts[0] = struct.pack("<5L6H8Q", *{**fields, **self.superblock}.values())
        data = b"".join(parts)
        return data + bytes(-len(data) % 4096) + self.tail

    @staticmethod
    def table(data: bytes | bytearray) -> bytes:
        blocks = [bytes(data[at : at + 8192]) for at in range(0, len(data), 8192)]
        return b"".join(struct.pack("<H", 0x8000 | len(each) & 0x7FFF) + each for each in blocks)
