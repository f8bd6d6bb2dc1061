"""Squashfs images made by hand: anything unlike ours from mksquashfs is one error."""

from __future__ import annotations

import struct
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from support.squashfs import NONE, STORED, Maker, Tree

from hatch_pack_venv.model.errors import ArchiveProblem
from hatch_pack_venv.read.contents import read_members

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TREE: Tree = {"bin": {"run": b"#!/bin/sh\n"}, "empty": b"", "l": "bin/run", "z": {}}


def read(folder: Path, image: bytes) -> dict[str, tuple[str, int, bytes]]:
    path = folder / "app"
    path.write_bytes(image)
    found: dict[str, tuple[str, int, bytes]] = {}
    for member, chunks in read_members(path, lambda _count: None):
        found[member.name] = (
            member.kind,
            member.mode,
            b"".join(chunks) or member.linkname.encode(),
        )
    return found


def test_an_image_made_by_hand_is_read(tmp_path: Path) -> None:
    """The maker writes what Linux reads, so the other tests are about their change alone."""
    assert read(tmp_path, Maker().image(TREE)) == {
        "bin": ("directory", 0o755, b""),
        "bin/run": ("file", 0o644, b"#!/bin/sh\n"),
        "empty": ("file", 0o644, b""),
        "l": ("link", 0o777, b"bin/run"),
        "z": ("directory", 0o755, b""),
    }


def large_file(size: int, count: int = 1, xattr: int = NONE) -> tuple[int, bytes]:
    return 9, struct.pack("<3Q4L", 96, size, 0, count, NONE, 0, xattr)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ((6, b""), "is not a file, folder or symbolic link"),
        ((4, b""), "is not a file, folder or symbolic link"),
        ((10, b""), "is not a file, folder or symbolic link"),
        (large_file(0, count=2), "it contains hard links or extended attributes"),
        (large_file(0, xattr=0), "it contains hard links or extended attributes"),
        (large_file(1 << 63), "it contains hard links or extended attributes"),
        (large_file(1 << 62), "damaged or truncated"),
        ((3, struct.pack("<2L", 2, 1) + b"x"), "it contains hard links or extended attributes"),
        ((3, struct.pack("<2L", 1, 1 << 30)), "it contains hard links or extended attributes"),
        ((3, struct.pack("<2L", 1, 0)), "a link to a name that no file can have"),
        ((2, struct.pack("<5L", 96, NONE, 0, 9, 0)), "an invalid size or position"),
        ((2, struct.pack("<5L", 96, NONE, 0, 9, STORED | 1 << 18)), "an invalid size or position"),
        ((2, struct.pack("<5L", 5, NONE, 0, 9, STORED | 9)), "an invalid size or position"),
        ((2, struct.pack("<5L", 96, NONE, 0, 9, STORED | 8)), "has the wrong length"),
        ((2, struct.pack("<5L", 1 << 30, NONE, 0, 9, STORED | 9)), "the end is missing"),
        ((2, struct.pack("<4L", 96, 0, 0, 9)), "in a fragment that does not exist"),
    ],
)
def test_what_none_of_ours_holds_is_refused(tmp_path: Path, value: Any, why: str) -> None:
    """Devices, extended attributes, hard links and files with invalid positions are refused."""
    with pytest.raises(ArchiveProblem, match=why):
        read(tmp_path, Maker().image({"a": b"something", "b": value}))


@pytest.mark.parametrize("name", ["..", ".", "a/b", "a\0b", "/etc"])
def test_names_that_are_none_are_refused(tmp_path: Path, name: str) -> None:
    """They are refused before anything uses them as a path."""
    with pytest.raises(ArchiveProblem, match=r"a folder lists .*, which is invalid or out of"):
        read(tmp_path, Maker().image({name: b"x"}))


def twice(rows: list[Any]) -> list[Any]:
    return [*rows, rows[-1]] if len(rows) > 1 else rows


def backwards(rows: list[Any]) -> list[Any]:
    return rows[::-1]


@pytest.mark.parametrize("change", [twice, backwards])
def test_what_is_out_of_order_is_refused(
    tmp_path: Path, change: Callable[[list[Any]], list[Any]]
) -> None:
    """Linux relies on the order to find a name, while other readers go through all of them."""
    maker = Maker()
    maker.changed_rows = change
    with pytest.raises(ArchiveProblem, match=r"a folder lists .*, which is invalid or out of"):
        read(tmp_path, maker.image(TREE))


def test_one_inode_has_one_name(tmp_path: Path) -> None:
    """Neither a file nor a folder occurs twice, and a folder in itself causes no endless loop."""
    maker = Maker()
    maker.changed_rows = lambda rows: [*rows, (b"zz", *rows[0][1:])] if len(rows) > 1 else rows
    with pytest.raises(ArchiveProblem, match="its entry 'zz' is a hard link"):
        read(tmp_path, maker.image(TREE))
    maker = Maker()
    maker.changed_rows = lambda rows: rows or [(b"self", 1, 0)]
    with pytest.raises(ArchiveProblem, match="its entry 'z/self' is a hard link"):
        read(tmp_path, maker.image({"z": {}}))


def test_a_listing_and_an_inode_say_the_same(tmp_path: Path) -> None:
    """Tools use either the one or the other."""
    maker = Maker()
    maker.changed_rows = lambda rows: [(name, 1, offset) for name, _, offset in rows]
    with pytest.raises(ArchiveProblem, match="'a' is listed as a directory but is a file"):
        read(tmp_path, maker.image({"a": b"x"}))


@pytest.mark.parametrize(
    "change",
    [
        {"major": 3},
        {"minor": 1},
        {"compressor": 1},
        {"block": 1 << 16},
        {"log": 30, "block": 1 << 30},
        {"log": 3, "block": 8},
        {"xattrs": 200},
        {"used": 1 << 40},
        {"used": 96},
        {"root": 5 << 16},
        {"root": 8000},
        {"inode table": 1 << 40},
        {"listings": 0},
        {"listings": 96},
        {"id table": 96},
    ],
    ids=str,
)
def test_a_superblock_of_another_kind_is_told(tmp_path: Path, change: dict[str, int]) -> None:
    """Other versions, other compressors and misplaced tables are errors."""
    maker = Maker()
    maker.superblock = change
    with pytest.raises(ArchiveProblem, match=r"app is (damaged or truncated|refused)"):
        read(tmp_path, maker.image(TREE))


def test_something_behind_the_end_is_told(tmp_path: Path) -> None:
    """Only zeros that fill the last page may follow."""
    for tail in (b"x", bytes(4096)):
        maker = Maker()
        maker.tail = tail
        with pytest.raises(ArchiveProblem, match="there is data after the end"):
            read(tmp_path, maker.image(TREE))


def test_an_image_is_read_at_every_length(tmp_path: Path) -> None:
    """A truncated image is reported as such."""
    image = Maker().image(TREE)
    used = int.from_bytes(image[40:48], "little")
    for size in range(5, used, 7):
        with pytest.raises(ArchiveProblem, match=r"damaged or truncated|is not an archive"):
            read(tmp_path, image[:size])


def test_a_few_bytes_do_not_become_gigabytes(tmp_path: Path) -> None:
    """A block with more than it may hold is not decompressed to its end."""
    small = zstd.ZstdCompressor(options={int(zstd.CompressionParameter.window_log): 17})
    bombs = [zstd.compress(bytes(64 << 20)), small.compress(bytes(64 << 20)) + small.flush()]
    reasons = ["Frame requires too much memory", "a compressed block is corrupt"]
    for bomb, why in zip(bombs, reasons, strict=True):
        body = struct.pack("<5L", 96, NONE, 0, 1 << 17, len(bomb))
        tracemalloc.start()
        with pytest.raises(ArchiveProblem, match=why):
            read(tmp_path, Maker().image({"a": bomb, "b": (2, body)}))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
        tracemalloc.stop()
