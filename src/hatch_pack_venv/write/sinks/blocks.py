"""Where a stream is cut into blocks: at files, so that a change moves few of the cuts after it.

Fingerprints identify what a block holds, and the block cache hashes them instead of its bytes:
different contents have different fingerprints. Files are hashed for the manifest anyway, and no
byte of them is hashed again.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from ...plan.order import is_native

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...model.entries import FileEntry

MIB: Final = 1 << 20


def of_bytes(data: bytes) -> bytes:
    """Return the fingerprint of a few bytes: the bytes themselves."""
    return b"=" + data


def of_file(digest: bytes, head: bytes = b"") -> bytes:
    """Return the fingerprint of a whole file, from its SHA-256, and of what precedes it."""
    return b"#" + digest + head


def of_piece(size: int, digest: bytes) -> bytes:
    """Return the fingerprint of a piece of a file, from the file's SHA-256 up to its end."""
    return b"%d#" % size + digest


@dataclass(slots=True)
class Block:
    """The bytes of a block, in any number of parts, and the fingerprints that identify them."""

    parts: list[bytes] = field(default_factory=list)
    fingerprints: list[bytes] = field(default_factory=list)

    def add(self, data: bytes, fingerprint: bytes | None) -> None:
        """Append a part."""
        self.parts.append(data)
        self.fingerprints.append(of_bytes(data) if fingerprint is None else fingerprint)

    def split(self, number: int) -> Block:
        """Keep the first parts, and return the others."""
        rest = Block(self.parts[number:], self.fingerprints[number:])
        del self.parts[number:], self.fingerprints[number:]
        return rest

    def halve_last(self, size: int) -> None:
        """Split the last part in two.

        Parameters:
            size: of the first of the two.
        """
        data, fingerprint = self.parts.pop(), self.fingerprints.pop()
        self.add(data[:size], b"<%d " % size + fingerprint)
        self.add(data[size:], b">%d " % size + fingerprint)

    def chunks(self, size: int) -> Iterator[Block]:
        """Yield blocks of one part each, all of the same size except the last.

        The fingerprints name the parts that each overlaps, where it starts in the first of them,
        and its size.
        """
        ends = [*accumulate(map(len, self.parts))]
        for number, chunk in enumerate(_chunks(self.parts, size)):
            start = number * size
            first, last = bisect_right(ends, start), bisect_left(ends, start + len(chunk))
            within = start - (ends[first - 1] if first else 0)
            place = b"%d of %d" % (within, len(chunk))
            yield Block([chunk], [place, *self.fingerprints[first : last + 1]])

    @property
    def size(self) -> int:
        """The number of bytes that it holds."""
        return sum(map(len, self.parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large blocks are, in bytes.

    Parameters:
        least: unless a block ends where machine code or the project's own files start or end, or
            before a file that does not fit into any block.
        most: of any block.
        last: at most, if no long work follows the block, so that all threads finish together.
    """

    least: int
    most: int
    last: int | None = None


class Cutter:
    """Cuts a stream of files into blocks; the same stream is always cut in the same way.

    Each block ends, between its least and its largest size, at the file whose name has the smallest
    checksum. If an earlier file grows or is removed, the block most likely still ends there, and
    all later blocks stay the same: cuts at fixed distances would all fall into other files. A file
    that does not fit into a block gets blocks of its own, cut at fixed distances from its start.

    Parameters:
        own: arcnames of the files that change with each release.
    """

    def __init__(self, sizes: Sizes, own: frozenset[str]) -> None:
        self._sizes = sizes
        self._own = own
        self._section: tuple[bool, bool] | None = None
        self._start(Block())

    def enter(self, entry: FileEntry) -> list[Block]:
        """Announce the file that follows; return the blocks that end before it."""
        section = (entry.arcname in self._own, is_native(entry))
        if section != self._section:
            more = self._section is None or (not section[0] and self._section[1])
            self._section = section
            return self.rest(ends=not more)
        if entry.size >= self._sizes.most:
            return self.rest(ends=False)
        if self._held >= self._sizes.least:
            checksum = zlib.crc32(entry.arcname.encode("utf-8", "surrogateescape"))
            self._cuts.append((checksum, len(self._block.parts)))
        return []

    def write(self, data: bytes, fingerprint: bytes | None = None) -> list[Block]:
        """Add data; return the blocks that are now full."""
        self._block.add(data, fingerprint)
        self._held += len(data)
        return list(self._full()) if self._held > self._sizes.most else []

    def rest(self, *, ends: bool = True) -> list[Block]:
        """Return what is left, and start over.

        Parameters:
            ends: whether no long work follows.
        """
        block, held = self._block, self._held
        self._start(Block())
        if not held:
            return []
        if not ends or self._sizes.last is None or held <= self._sizes.last:
            return [block]
        number = -(-held // self._sizes.last)
        return [*block.chunks(-(-held // number))]

    def _full(self) -> Iterator[Block]:
        while self._held > self._sizes.most:
            block = self._block
            end = min(self._cuts, default=(0, 0))[1]
            if not end:  # within the last part, at the largest size of a block
                block.halve_last(len(block.parts[-1]) - (self._held - self._sizes.most))
                end = len(block.parts) - 1
            self._start(block.split(end))
            yield block

    def _start(self, block: Block) -> None:
        self._block, self._held = block, block.size
        self._cuts: list[tuple[int, int]] = []


def pieces(parts: Iterable[bytes]) -> list[bytes]:
    """Return data in pieces of one MiB, wherever its parts start and end."""
    return list(_chunks(parts, MIB))


def _chunks(parts: Iterable[bytes], size: int) -> Iterator[bytes]:
    chunker = Chunker(size)
    for part in parts:
        yield from chunker.cut(part)
    rest = chunker.rest()
    if rest:
        yield rest


class Chunker:
    """Splits written data into blocks of one size, wherever the writes start and end.

    Most writes are far smaller than a block and are just buffered.

    Parameters:
        size: of every block but the last, in bytes.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._parts: list[bytes] = []
        self._held = 0

    def cut(self, data: bytes) -> Iterator[bytes]:
        """Add data and return the blocks that are now full."""
        self._parts.append(data)
        self._held += len(data)
        return iter(()) if self._held < self._size else self._blocks()

    def rest(self) -> bytes:
        """Return the remaining bytes, and start over."""
        rest = b"".join(self._parts)
        self._parts, self._held = [], 0
        return rest

    def _blocks(self) -> Iterator[bytes]:
        whole = memoryview(self.rest())
        full = len(whole) - len(whole) % self._size
        self._parts, self._held = [bytes(whole[full:])], len(whole) - full
        for start in range(0, full, self._size):
            yield bytes(whole[start : start + self._size])
