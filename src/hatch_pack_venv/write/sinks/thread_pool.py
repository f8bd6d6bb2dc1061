"""Work in threads whose results come back in the order in which the work was given."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


T = TypeVar("T")
AHEAD: Final = 16
"""Pieces of work that wait for compressing threads, while thousands of tiny files are read."""


class Cancelled(Exception):
    """Ends work whose result nobody waits for any more; never seen by a user."""


class OrderedPool(Generic[T]):
    """Runs work in threads and hands its results on one after the other.

    Neither the order nor what is handed on depends on the number of threads or on timing. `put`
    waits while too much is under way, so that a fast reader never fills the memory.

    Parameters:
        take: gets each result, in the thread that calls `put` and `drain`.
        ahead: how many pieces of work of weight 1 may wait for a thread.
    """

    def __init__(self, threads: int, take: Callable[[T], None], *, ahead: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pack-venv")
        self._take = take
        self._limit = threads + ahead
        self._pending: deque[tuple[Future[T], int]] = deque()
        self._weight = 0
        self._stopped = threading.Event()

    def put(self, work: Callable[[], T], *, weight: int = 1) -> None:
        """Give work; results that are ready are taken on the way.

        Parameters:
            weight: for how many pieces this one counts, by the memory it holds.
        """
        self._pending.append((self._pool.submit(work), weight))
        self._weight += weight
        while self._pending and (self._weight > self._limit or self._pending[0][0].done()):
            self._take_next()

    def drain(self) -> None:
        """Take all results that are still to come."""
        while self._pending:
            self._take_next()

    def close(self) -> None:
        """Take all results that are still to come, and end the threads."""
        self.drain()
        self._pool.shutdown()

    def cancel(self) -> None:
        """Give up everything, and wait until no thread runs any more."""
        self._stopped.set()
        self._pending.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _take_next(self) -> None:
        future, weight = self._pending.popleft()
        self._weight -= weight
        self._take(future.result())

    def check(self) -> None:
        """End long work early; called by the work itself.

        Raises:
            Cancelled: nobody waits for the result.
        """
        if self._stopped.is_set():
            raise Cancelled
