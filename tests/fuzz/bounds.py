"""Bounds on the time and memory that an input may take."""

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
"""CPU time for one input; the slowest undamaged ones take a hundredth of it."""
_WAITED: Final = 60.0  # elapsed time, for code that waits instead of computing
_ROOM: Final = 1 << 30  # bytes of address space beyond what is in use


class OutOfBoundsError(BaseException):
    """An input took too long or too much memory; `except Exception` does not catch it."""


def peak() -> int:
    """Return the peak memory of this process, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _taken() -> int:
    """Return the address space that this process has, in bytes."""
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[0]) * resource.getpagesize()


@contextmanager
def bounded(memory: int) -> Iterator[None]:
    """Run for a bounded time, in bounded memory.

    Parameters:
        memory: bytes by which the process may grow beyond its earlier peak.

    Raises:
        OutOfBoundsError: it took too long, or too much memory.
        MemoryError: it asked for gigabytes.
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
