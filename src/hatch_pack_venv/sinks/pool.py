"""Work in threads whose results come back in the order in which the work was given."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Cancelled(Exception):
    """Ends work whose result nobody waits for any more; never seen by a user."""


class OrderedPool(Generic[T]):
    """Runs work in threads and hands its results on one after the other.

    Neither the order nor what is handed on depends on the number of threads or on timing. `put`
    waits while too much is under way, so that a fast reader never fills the memory.

    Parameters:
        take: gets each result, in the thread that calls `put` and `drain`.
        ahead: how many pieces of work may wait for a thread.
    """

    def __init__(self, threads: int, take: Callable[[T], None], *, ahead: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pack-venv")
        self._take = take
        self._limit = threads + ahead
        self._pending: deque[Future[T]] = deque()
        self._stopped = threading.Event()

    def put(self, work: Callable[[], T]) -> None:
        """Give work; results that are ready are taken on the way."""
        self._pending.append(self._pool.submit(work))
        while self._pending and (len(self._pending) > self._limit or self._pending[0].done()):
            self._take(self._pending.popleft().result())

    def drain(self) -> None:
        """Take all results that are still to come."""
        while self._pending:
            self._take(self._pending.popleft().result())

    def close(self) -> None:
        """Take all results that are still to come, and end the threads."""
        self.drain()
        self._pool.shutdown()

    def cancel(self) -> None:
        """Give up everything, and wait until no thread runs any more."""
        self._stopped.set()
        self._pending.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def check(self) -> None:
        """End long work early; called by the work itself.

        Raises:
            Cancelled: nobody waits for the result.
        """
        if self._stopped.is_set():
            raise Cancelled
