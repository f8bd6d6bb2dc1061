"""Cutting a stream into blocks of one size."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Cutter:
    """Cuts what is written into blocks of one size, wherever the writes begin and end.

    Parameters:
        size: of every block but the last, in bytes.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._rest = bytearray()

    def cut(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Yield the blocks that are full now."""
        self._rest += data
        start = 0
        with memoryview(self._rest) as view:
            while len(view) - start >= self._size:
                yield bytes(view[start : start + self._size])
                start += self._size
        del self._rest[:start]

    def rest(self) -> bytes:
        """Return what is left over, and start anew."""
        rest = bytes(self._rest)
        self._rest.clear()
        return rest
