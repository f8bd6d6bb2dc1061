"""Where a stream is cut into blocks: at files, so that a change moves few of the cuts after it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from ...plan.order import is_native

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...model.entries import FileEntry

Block: TypeAlias = list[bytes]
"""The bytes of a block, in any number of parts."""
MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large blocks are, in bytes.

    Parameters:
        least: unless a block ends where machine code or the project's own files start or end, or
            before a file that does not fit into any.
        most: of all.
        last: at most, of those that no long work follows, so that all threads finish together.
    """

    least: int
    most: int
    last: int | None = None


class Cutter:
    """Cuts a stream of files into blocks; the same stream is always cut in the same way.

    Each block ends, between its least and its largest size, at the file whose name has the smallest
    checksum. If a file before it grows or goes, that is still the one, most likely, and all later
    blocks are what they were: cuts at fixed distances would all fall into other files. What does
    not fit into a block has blocks of its own, at fixed distances from its start.

    Parameters:
        own: arcnames of the files that change with each release.
    """

    def __init__(self, sizes: Sizes, own: frozenset[str]) -> None:
        self._sizes = sizes
        self._own = own
        self._section: tuple[bool, bool] | None = None
        self._parts: Block = []
        self._held = 0
        self._cuts: list[tuple[int, int]] = []

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
            self._cuts.append((checksum, len(self._parts)))
        return []

    def write(self, data: bytes) -> list[Block]:
        """Add data; return the blocks that are now full."""
        self._parts.append(data)
        self._held += len(data)
        return list(self._full()) if self._held > self._sizes.most else []

    def rest(self, *, ends: bool = True) -> list[Block]:
        """Return what is left, and start over.

        Parameters:
            ends: whether no long work follows.
        """
        parts, held = self._parts, self._held
        self._start()
        if not held:
            return []
        if not ends or self._sizes.last is None or held <= self._sizes.last:
            return [parts]
        number = -(-held // self._sizes.last)
        return [[each] for each in _chunks(parts, -(-held // number))]

    def _full(self) -> Iterator[Block]:
        while self._held > self._sizes.most:
            parts = self._parts
            end = min(self._cuts, default=(0, 0))[1] or self._split()
            self._start()
            self._parts = parts[end:]
            self._held = sum(map(len, self._parts))
            yield parts[:end]

    def _split(self) -> int:
        """Make the last part two, where a block has its largest size; return their number."""
        data = self._parts[-1]
        over = self._held - self._sizes.most
        self._parts[-1:] = [data[: len(data) - over], data[len(data) - over :]]
        return len(self._parts) - 1

    def _start(self) -> None:
        self._parts, self._held, self._cuts = [], 0, []


def pieces(block: Block) -> Block:
    """Return a block in pieces of one MiB, wherever its parts start and end."""
    return list(_chunks(block, MIB))


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
