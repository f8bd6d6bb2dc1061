"""Progress and notes for a terminal."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from ..model.errors import printable
from ..model.results import ProofReports, silent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from ..model.results import Progress, Reporter


logger = logging.getLogger("hatch_pack_venv")


class TerminalFormatter(logging.Formatter):
    """Formats log messages so that no name in them can control the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message as one line."""
        return printable(super().format(record))


@contextmanager
def logged_phase(done: str) -> Iterator[None]:
    """Log how long a part of the work took, in seconds."""
    start = time.monotonic()
    yield
    logger.info("%s in %.1f s", done, time.monotonic() - start)


_TICK: Final = 0.2  # seconds
_CLEARED: Final = "\r\033[K"


@contextmanager
def from_the_start(report: Reporter, doing: str = "Reading") -> Iterator[Reporter]:
    """Show activity on a terminal until progress is reported for the first time.

    Reading an environment and planning can take seconds before there is anything to count.

    Parameters:
        report: called by the yielded reporter, which first stops showing activity.
    """
    activity = _Activity(doing)
    if report is silent or not sys.stderr.isatty():
        yield report
        return

    def reporting(total: int) -> AbstractContextManager[Progress]:
        activity.end()
        return report(total)

    activity.start()
    try:
        yield reporting
    finally:
        activity.end()


class _Activity(logging.Filter):
    """A line with the seconds elapsed; messages logged meanwhile appear above it."""

    def __init__(self, doing: str) -> None:
        super().__init__()
        self._doing = doing
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Start to show the line."""
        logger.addFilter(self)
        self._thread.start()

    def end(self) -> None:
        """Clear the line, once."""
        if not self._ended.is_set():
            self._ended.set()
            self._thread.join()
            logger.removeFilter(self)
            sys.stderr.write(_CLEARED)
            sys.stderr.flush()

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        """Clear the line before a message is logged."""
        sys.stderr.write(_CLEARED)
        return True

    def _run(self) -> None:
        start = time.monotonic()
        while not self._ended.wait(_TICK):
            sys.stderr.write(f"{_CLEARED}{self._doing}: {time.monotonic() - start:.1f} s")
            sys.stderr.flush()


@contextmanager
def terminal_progress(
    total: int, doing: str = "Packing", *, unit: str = "B", unit_scale: bool = True
) -> Iterator[Progress]:
    """Show a progress bar in bytes; show nothing if standard error is not a terminal."""
    if not sys.stderr.isatty():
        with silent(total) as advance:
            yield advance
        return
    from tqdm import tqdm  # skipped by runs that show nothing

    class Bar(tqdm):  # type: ignore[type-arg] # generic in its stubs only
        """A bar with its own lock: tqdm's writes to TMPDIR and starts a process on 3.14."""

    Bar.set_lock(threading.RLock())
    columns, lines = _size()
    with Bar(
        total=total,
        desc=doing,
        unit=unit,
        unit_scale=unit_scale,
        file=sys.stderr,
        leave=False,
        ncols=columns,
        nrows=lines,
    ) as bar:

        def update(count: int) -> None:
            bar.update(count)

        yield update


def terminal_count(total: int, doing: str) -> AbstractContextManager[Progress]:
    """Show a progress bar that counts; show nothing if standard error is not a terminal."""
    return terminal_progress(total, doing, unit="it", unit_scale=False)


TERMINAL_PROOF: Final = ProofReports(
    unpacking=partial(terminal_progress, doing="Unpacking"),
    running=partial(terminal_count, doing="Proving"),
)


def _size() -> tuple[int | None, int | None]:
    """Return columns and lines for a terminal that reports 0, on which tqdm would show nothing."""
    try:
        known = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):
        known = True
    return (None, None) if known else (80, 24)
