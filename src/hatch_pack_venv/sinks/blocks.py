"""Cutting a stream into blocks of one size."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Cutter:
    """Cuts what is written into blocks of one size, wherever the writes begin and end.

    Most writes are far smaller than a block, and only kept.

    Parameters:
        size: of every block but the last, in bytes.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._parts: list[bytes] = []
        self._held = 0

    def cut(self, data: bytes) -> Iterator[bytes]:
        """Return the blocks that are full now."""
        self._parts.append(data)
        self._held += len(data)
        return iter(()) if self._held < self._size else self._blocks()

    def rest(self) -> bytes:
        """Return what is left over, and start anew."""
        rest = b"".join(self._parts)
        self._parts, self._held = [], 0
        return rest

    def _blocks(self) -> Iterator[bytes]:
        whole = memoryview(self.rest())
        full = len(whole) - len(whole) % self._size
        self._parts, self._held = [bytes(whole[full:])], len(whole) - full
        for start in range(0, full, self._size):
            yield bytes(whole[start : start + self._size])
