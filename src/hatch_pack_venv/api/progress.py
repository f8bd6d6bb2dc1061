"""Progress and notes for a terminal."""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..model.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..model.results import Progress


logger = logging.getLogger("hatch_pack_venv")


class TerminalFormatter(logging.Formatter):
    """Formats what is logged so that no name in it acts on the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message in one line."""
        return printable(super().format(record))


@contextmanager
def logged_phase(done: str) -> Iterator[None]:
    """Log how long a part of the work took, in seconds."""
    start = time.monotonic()
    yield
    logger.info("%s in %.1f s", done, time.monotonic() - start)


@contextmanager
def terminal_progress(total: int, doing: str = "Packing") -> Iterator[Progress]:
    """Show a progress bar in bytes; show nothing if standard error is not a terminal."""
    from tqdm import tqdm  # skipped by runs that show nothing

    columns, lines = _size()
    with tqdm(
        total=total,
        desc=doing,
        unit="B",
        unit_scale=True,
        file=sys.stderr,
        disable=None,
        leave=False,
        ncols=columns,
        nrows=lines,
    ) as bar:

        def advance(count: int) -> None:
            bar.update(count)

        yield advance


def _size() -> tuple[int | None, int | None]:
    """Return columns and lines for a terminal that reports 0, where tqdm would show nothing."""
    try:
        known = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):
        known = True
    return (None, None) if known else (80, 24)
