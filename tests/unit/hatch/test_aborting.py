"""How a build is aborted: with one message, escaped names, and the exit status of a signal."""

from __future__ import annotations

import logging
import signal
from typing import Any

import pytest

from hatch_pack_venv.hatch.shared import aborting
from hatch_pack_venv.model.errors import PlanError

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


class App:
    """Ends as Hatch's own application does."""

    def abort(self, message: str, code: int = 1) -> None:
        raise SystemExit((message, code))


def ended(error: BaseException | None = None, number: int | None = None) -> Any:
    app: Any = App()

    def work() -> None:
        with aborting(app):
            if error is not None:
                raise error
            assert number is not None
            signal.raise_signal(number)

    with pytest.raises(SystemExit) as caught:
        work()
    return caught.value.code


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_aborts_the_build_with_its_status(number: signal.Signals) -> None:
    """There is one line instead of a traceback; afterwards, the previous handlers are back."""
    before = signal.getsignal(number)
    assert ended(number=number) == ("pack-venv: interrupted, nothing was written", 128 + number)
    assert signal.getsignal(number) == before


def test_names_in_problems_are_spelled_out() -> None:
    """A line for each problem, and no more."""
    message, code = ended(PlanError("no", ["a\x1b[31m\nb", "c"]))
    assert (message, code) == ("pack-venv: no:\n  - a\\x1b[31m\\nb\n  - c", 1)


def test_notes_are_shown_as_they_are(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Only names in them are escaped; logging set up by another hook sees none of them."""
    app: Any = App()
    logger = logging.getLogger("hatch_pack_venv")
    with aborting(app):
        logger.warning("note \x1b[2J")
    assert capsys.readouterr().err == "note \\x1b[2J\n"
    assert caplog.records == []
    logger.warning("after the build")
    assert caplog.messages == ["after the build"]
