"""A terminal shows activity from the start, even before there is anything to count."""

from __future__ import annotations

import io
import logging
import sys
import time
from typing import TYPE_CHECKING

from hatch_pack_venv.api.progress import from_the_start
from hatch_pack_venv.model.results import silent

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import pytest

    from hatch_pack_venv.model.results import Progress


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        """Return `True`."""
        return True


def report(total: int) -> AbstractContextManager[Progress]:
    return silent(total)


def test_seconds_are_shown_until_the_bar_appears(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line appears within a second, makes room for notes, and is gone before the bar starts."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    logger = logging.getLogger("hatch_pack_venv")
    with from_the_start(report) as reporting:
        end = time.monotonic() + 1
        while "Reading: 0." not in terminal.getvalue():
            assert time.monotonic() < end
            time.sleep(0.01)
        before = len(terminal.getvalue())
        logger.warning("a note")
        assert "\r\033[K" in terminal.getvalue()[before:]
        with reporting(1):
            shown = terminal.getvalue()
            assert shown.endswith("\r\033[K")
            time.sleep(0.3)
            assert terminal.getvalue() == shown
    assert not logger.filters


def test_nothing_is_shown_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is shown if standard error is not a terminal, or if no progress is reported."""
    for stream, reporter in ((io.StringIO(), report), (Terminal(), silent)):
        monkeypatch.setattr(sys, "stderr", stream)
        with from_the_start(reporter) as reporting:
            assert reporting is reporter
            time.sleep(0.3)
        assert stream.getvalue() == ""
