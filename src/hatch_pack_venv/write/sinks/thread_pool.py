"""Work in threads, with results returned in the order of submission."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


T = TypeVar("T")
Called = TypeVar("Called")
AHEAD: Final = 16
"""Jobs that may queue for compression threads while thousands of tiny files are read."""
_LOOKS_EVERY: Final = 0.1  # seconds


class Cancelled(Exception):
    """Ends work whose result is no longer needed; never shown to a user."""


class OrderedPool(Generic[T]):
    """Runs work in threads and passes on its results in order of submission.

    Neither the order nor the results depend on the number of threads or on timing. `put` blocks
    while too much work is pending, so that a fast reader never exhausts memory.

    Parameters:
        take: receives each result, in the thread that calls `put` and `drain`.
        ahead: number of jobs of weight 1 that may wait for a thread.
    """

    def __init__(self, threads: int, take: Callable[[T], None], *, ahead: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pack-venv")
        self._take = take
        self._limit = threads + ahead
        self._pending: deque[tuple[Future[T], int]] = deque()
        self._weight = 0
        self._stopped = threading.Event()

    def put(self, work: Callable[[], T], *, weight: int = 1) -> None:
        """Submit work, and pass on results that are ready.

        Parameters:
            weight: the number of jobs that this one counts as, according to the memory it holds.
        """
        try:
            self._pending.append((self._pool.submit(work), weight))
        except RuntimeError as error:  # a thread's stack takes megabytes
            raise MemoryError(str(error)) from error
        self._weight += weight
        while self._pending and (self._weight > self._limit or self._pending[0][0].done()):
            self._take_next()

    def drain(self) -> None:
        """Pass on all pending results."""
        while self._pending:
            self._take_next()

    def close(self) -> None:
        """Pass on all pending results, and stop the threads."""
        self.drain()
        self._pool.shutdown()

    def cancel(self) -> None:
        """Abandon all work, and wait until no thread is running."""
        self._stopped.set()
        self._pending.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _take_next(self) -> None:
        future, weight = self._pending.popleft()
        self._weight -= weight
        self._take(future.result())

    def check(self) -> None:
        """End long-running work early; called by the work itself.

        Raises:
            Cancelled: if the result is no longer needed.
        """
        if self._stopped.is_set():
            raise Cancelled

    def call(self, function: Callable[[], Called]) -> Called:
        """Call a long-running function that cannot check for cancellation; used by the work itself.

        The function runs in a thread that is abandoned when the pool is cancelled, and that does
        not keep the process from exiting: a call into a library cannot be stopped.

        Raises:
            Cancelled: if the result is no longer needed.
        """
        future: Future[Called] = Future()
        try:
            threading.Thread(target=_run, args=(function, future), daemon=True).start()
        except RuntimeError as error:
            raise MemoryError(str(error)) from error
        while not wait([future], _LOOKS_EVERY).done:
            self.check()
        return future.result()


def _run(function: Callable[[], T], future: Future[T]) -> None:
    try:
        future.set_result(function())
    except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
        future.set_exception(error)
