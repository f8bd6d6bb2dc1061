"""Shared by all commands: where results and messages go, and how they are worded."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from ..api.progress import TERMINAL_PROOF, TerminalFormatter, terminal_progress
from ..config.wording import in_options
from ..model.errors import OutputProblem
from ..model.results import NO_REPORTS, silent
from .render import Style, for_terminal

if TYPE_CHECKING:
    import argparse
    import logging
    from collections.abc import Iterable, Iterator

    from ..model.results import ProofReports, Reporter


def spoken(message: str, parsed: argparse.Namespace | None) -> str:
    """Return a message that speaks of options, or of keys if a project's table was read."""
    return message if getattr(parsed, "table", None) is not None else in_options(message)


class CommandFormatter(TerminalFormatter):
    """Formats notes so that they speak of options if no table was read."""

    def __init__(self, parsed: argparse.Namespace) -> None:
        super().__init__("pack-venv: %(message)s")
        self._parsed = parsed

    def format(self, record: logging.LogRecord) -> str:
        """Return the message as one line."""
        return spoken(super().format(record), self._parsed)


def print_result(result: Any, lines: Iterable[str], parsed: argparse.Namespace) -> None:
    """Print a result as JSON or as lines.

    Raises:
        OutputProblem: if it cannot be printed.
    """
    style = stdout_style()
    try:
        if parsed.json:
            print(json.dumps(result, indent=1))
        else:
            for line in lines:
                print(for_terminal(line, style))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        let_go_of_output()
        raise OutputProblem(
            f"the results cannot be printed: {error.strerror}; redirect standard output to a place"
            " with free space"
        ) from error


def let_go_of_output() -> None:
    """Discard whatever is still to be written to standard output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def stdout_style() -> Style:
    """Return how lines may look on standard output."""
    return Style.of_stream(sys.stdout, os.environ)


def progress_of(parsed: argparse.Namespace, doing: str = "Packing") -> Reporter:
    """Return the progress reporter: a bar on a terminal, nothing with -q or --json."""
    shows = parsed.volume != "quiet" and not parsed.json
    return partial(terminal_progress, doing=doing) if shows else silent


def proof_reports_of(parsed: argparse.Namespace) -> ProofReports:
    """Return the progress reporters for a proof, under the same conditions."""
    shows = parsed.volume != "quiet" and not parsed.json
    return TERMINAL_PROOF if shows else NO_REPORTS


def blocks(several: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield the lines of several results, with an empty line between them."""
    for number, lines in enumerate(several):
        yield from ("",) if number else ()
        yield from lines


def one_or_all(results: list[dict[str, Any]]) -> dict[str, Any] | list[dict[str, Any]]:
    """Return what is printed as JSON: a list only if several archives were requested."""
    return results[0] if len(results) == 1 else results
