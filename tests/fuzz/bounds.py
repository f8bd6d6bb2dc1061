"""Bounds of time and memory around what is tried."""

from __future__ import annotations

import resource
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


SECONDS: Final = 3.0
"""Of the processor, for one input; the slowest of honest ones take a hundredth of that."""
_WAITED: Final = 60.0  # of the clock, for what waits and does not compute
_ROOM: Final = 1 << 30  # bytes of address space beyond what is there


class OutOfBoundsError(BaseException):
    """An input took too long or too much: nothing that catches `Exception` takes it."""


def peak() -> int:
    """Return the most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _taken() -> int:
    """Return the address space that this process has, in bytes."""
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[0]) * resource.getpagesize()


@contextmanager
def bounded(memory: int) -> Iterator[None]:
    """Run for a bounded time, in bounded memory.

    Parameters:
        memory: bytes by which the process may grow beyond the most that it has had.

    Raises:
        OutOfBoundsError: it took longer, or more.
        MemoryError: it wished for gigabytes.
    """
    before = peak()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_taken() + _ROOM, hard))
    handlers = [
        (number, signal.signal(number, _too_slow)) for number in (signal.SIGPROF, signal.SIGALRM)
    ]
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, _WAITED)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        for number, handler in handlers:
            signal.signal(number, handler)
    if peak() - before > memory:
        raise OutOfBoundsError(f"it took {(peak() - before) >> 20} MiB")


def _too_slow(number: int, _: FrameType | None) -> None:
    if threading.current_thread() is threading.main_thread():
        clock = "the processor" if number == signal.SIGPROF else "the clock"
        raise OutOfBoundsError(f"it took too long by {clock}")
