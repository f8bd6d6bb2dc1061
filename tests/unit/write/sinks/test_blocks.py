"""Where streams are cut: completely, within limits, and at the same files after a change."""

from __future__ import annotations

from hashlib import sha256
from statistics import mean
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from hypothesis import given
from hypothesis import strategies as st
from support.fakes import file

from hatch_pack_venv.model.formats import Compression, CompressionFormat
from hatch_pack_venv.model.image import BaseFile
from hatch_pack_venv.write.sinks.blocks import (
    Block,
    Cutter,
    Sizes,
    of_bytes,
    of_file,
    of_piece,
    pieces,
)
from hatch_pack_venv.write.sinks.oci import _Layer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hatch_pack_venv.model.entries import FileEntry

SIZES = Sizes(least=6_000, most=10_000)
HEADER = b"h" * 100


def blocks(files: Iterable[tuple[str, int]], sizes: Sizes = SIZES, *own: str) -> list[bytes]:
    """Cut files of some sizes, each after a header."""
    cutter = Cutter(sizes, frozenset(own))
    found = []
    for name, size in files:
        found += cutter.enter(file(name, bytes(size)))
        found += cutter.write(HEADER)
        content = name.encode() * (size // len(name) + 1)
        found += cutter.write(content[:size])
    return [b"".join(block.parts) for block in [*found, *cutter.rest()]]


def stream(files: Iterable[tuple[str, int]]) -> bytes:
    return b"".join(
        HEADER + (name.encode() * (size // len(name) + 1))[:size] for name, size in files
    )


NAMES = st.builds("{}{}".format, st.integers(0, 10**6), st.sampled_from([".py", ".so", ""]))
FILES = st.dictionaries(NAMES, st.integers(0, 25_000), max_size=40)


@given(files=FILES, last=st.sampled_from([None, 3_000]))
def test_blocks_are_the_stream(files: dict[str, int], last: int | None) -> None:
    """Nothing is lost, duplicated or moved, and no block exceeds its limit."""
    sizes = Sizes(least=SIZES.least, most=SIZES.most, last=last)
    found = blocks(files.items(), sizes)
    assert b"".join(found) == stream(files.items())
    assert all(0 < len(block) <= SIZES.most for block in found)


CONTENTS = st.lists(st.sampled_from([b"", b"a", b"ab", bytes(99), bytes(100), bytes(300)]))


@given(streams=st.lists(CONTENTS, min_size=2, max_size=2), last=st.sampled_from([None, 70]))
def test_fingerprints_tell_what_a_block_holds(streams: list[list[bytes]], last: int | None) -> None:
    """Blocks with equal ones have equal contents: files, pieces of them, and parts of parts."""
    seen: dict[tuple[bytes, ...], bytes] = {}
    for contents in streams:
        cutter = Cutter(Sizes(least=60, most=150, last=last), frozenset())
        found = []
        for number, content in enumerate(contents):
            found += cutter.enter(file(f"{number}.py", content))
            found += cutter.write(b"header")
            if len(content) < 200:
                found += cutter.write(content, of_file(sha256(content).digest()))
                continue
            for end in range(110, len(content), 110):
                piece = content[end - 110 : end]
                found += cutter.write(piece, of_piece(110, sha256(content[:end]).digest()))
        for block in [*found, *cutter.rest()]:
            data = b"".join(block.parts)
            assert seen.setdefault(tuple(block.fingerprints), data) == data


def test_a_change_is_told_of_the_chunks_that_it_is_in() -> None:
    """Chunks of a block are identified by the parts that they overlap."""

    def chunks(*parts: bytes) -> list[Block]:
        block = Block()
        for part in parts:
            block.add(part, None)
        return [*block.chunks(4)]

    before, after = chunks(b"abc", b"", b"defgh", b"ij"), chunks(b"abc", b"", b"defgh", b"xy")
    assert [b"".join(each.parts) for each in before] == [b"abcd", b"efgh", b"ij"]
    same = [
        one.fingerprints == other.fingerprints for one, other in zip(before, after, strict=True)
    ]
    assert same == [True, True, False]
    assert chunks(b"abcd", b"efgh")[1].fingerprints == [b"0 of 4", b"=efgh"]


def test_a_fingerprint_tells_the_same_bytes_of_every_file() -> None:
    """It is the same for files of an image's base and of the environment, whatever their size."""
    seen: dict[bytes, bytes] = {}
    written = []

    class Stream:
        def enter(self, entry: FileEntry) -> None:
            pass

        def write(self, data: bytes, fingerprint: bytes | None = None) -> None:
            written.append(fingerprint)
            assert seen.setdefault(fingerprint or of_bytes(data), data) == data

    output: Any = SimpleNamespace(size=0, write=lambda _data: None)
    layer = _Layer(output, Compression(format=CompressionFormat.UNCOMPRESSED, level=0, threads=1))
    layer._stream = cast("Any", Stream())
    for size in (100, 512, 20_000, 20_480):
        content = bytes(size)
        layer.add_base_file(BaseFile(name=f"etc/{size}", content=content), 0)
        layer.add_bytes(file(f"{size}", content), content, sha256(content).digest())
    assert sum(each is not None for each in written) == 8


def test_no_kind_of_fingerprint_is_taken_for_another() -> None:
    """No file's content can be made to look like the fingerprint of another file."""
    digest = sha256(b"content").digest()
    block = Block()
    for size in (1, 11):
        block.add(b"content", of_piece(size, digest))
        block.halve_last(1)
    found = [
        *block.fingerprints,
        of_file(digest),
        of_file(digest, b"head"),
        of_bytes(digest),
        of_bytes(of_file(digest)),
        of_piece(1, digest),
        of_piece(11, digest),
    ]
    assert len({*found}) == len(found) == 10
    first = [fingerprint[:1] for fingerprint in found]
    assert {*first} == {b"<", b">", b"#", b"=", b"1"}


def many(number: int = 400) -> list[tuple[str, int]]:
    return [(f"package/module{n}.py", n * 7919 % 1500) for n in range(number)]


def test_blocks_are_not_small() -> None:
    """Among small files of one kind, all blocks but the last have at least the minimum size."""
    *found, _ = blocks(many())
    assert len(found) > 20
    assert all(len(block) >= SIZES.least for block in found)


def test_a_change_moves_few_cuts() -> None:
    """Wherever files change, nearly all other blocks stay the same."""
    before = blocks(many())
    numbers = []
    for place in range(0, 400, 23):
        files = many()
        files[place : place + 2] = [("package/new.py", 700), ("package/more.py", 3)]
        numbers.append(len(set(blocks(files)) - set(before)))
    assert min(numbers) >= 1
    assert max(numbers) < len(before) / 4
    assert mean(numbers) < 3


def test_large_files_are_cut_at_fixed_distances_from_their_start() -> None:
    """What comes before one does not matter, whatever its size."""
    files = [("a.py", 10), ("large.bin", 55_000), ("z.py", 10)]
    other = [("a.py", 999), ("b.py", 4_000), *files[1:]]
    assert blocks(files)[1:] == blocks(other)[1:]


def test_machine_code_and_own_files_have_blocks_of_their_own() -> None:
    """What precedes the first file has its own block too, as does each kind."""
    cutter = Cutter(SIZES, frozenset({"own.so", "own.py"}))
    found = cutter.write(b"folders")
    for name in ("a.so", "b.so", "c.py", "d.py", "own.so", "own.py"):
        found += cutter.enter(file(name))
        found += cutter.write(name.encode())
    found += cutter.rest()
    joined = [b"".join(block.parts) for block in found]
    assert joined == [b"folders", b"a.sob.so", b"c.pyd.py", b"own.so", b"own.py"]


def test_what_no_long_work_follows_is_cut_small() -> None:
    """The last blocks are equal parts, so that all threads finish together; others are not cut."""
    sizes = Sizes(least=60_000, most=100_000, last=20_000)
    cutter = Cutter(sizes, frozenset({"own.py"}))
    cutter.enter(file("a.so"))
    cutter.write(bytes(50_000))
    assert [block.size for block in cutter.enter(file("b.py"))] == [50_000]
    cutter.write(bytes(50_000))
    assert [block.size for block in cutter.enter(file("own.py"))] == [16_667, 16_667, 16_666]


def test_pieces_do_not_tell_how_a_block_was_written() -> None:
    """They are of one size, whatever the parts were."""
    data = bytes(range(256)) * 9000
    assert pieces([data]) == pieces([data[:5], data[5:2_000_000], data[2_000_000:]])
    assert [len(piece) for piece in pieces([data])] == [1 << 20, 1 << 20, len(data) - (2 << 20)]
