"""The command `pack-venv`: runs the commands, and turns an error into a single message."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from ..model.errors import EnvironmentProblem, OptionsError, PackVenvError
from ..write.atomic import terminable
from .arguments import parser
from .output import CommandFormatter, let_go_of_output, spoken
from .packing import export, pack
from .reading import inspect, sbom, verify

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


_NO_ROOM: Final = "failed to map segment"  # the loader's message for an extension module
_PROBLEM: Final = 1
_WRONG_USAGE: Final = 2
_COMMANDS: Final = {
    "pack": pack,
    "export": export,
    "inspect": inspect,
    "verify": verify,
    "sbom": sbom,
}
_LEVELS: Final = {"quiet": logging.ERROR, "verbose": logging.DEBUG, None: logging.WARNING}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit."""
    _prepare_streams()
    parsed: argparse.Namespace | None = None
    try:
        with terminable():
            parsed = parser(_COMMANDS).parse_args(arguments)
            _set_up_logging(parsed)
            _check_current_folder(parsed)
            parsed.run(parsed)
    except PackVenvError as error:
        print(f"pack-venv: error: {spoken(error.for_terminal, parsed)}", file=sys.stderr)
        sys.exit(_WRONG_USAGE if _is_wrong_usage(error) else _PROBLEM)
    except KeyboardInterrupt as error:
        said = str(error) or "interrupted, nothing was written"
        print(f"pack-venv: error: {said}", file=sys.stderr)
        sys.exit(128 + getattr(error, "number", signal.SIGINT))
    except (MemoryError, ImportError) as error:
        if isinstance(error, ImportError) and _NO_ROOM not in str(error):
            raise
        sys.exit(
            "pack-venv: error: there is not enough memory: free some, or lower --threads and"
            " --compression-level"
        )
    except BrokenPipeError:
        let_go_of_output()  # the reader has seen enough: `pack-venv inspect X | head`
    sys.exit(0)


def _is_wrong_usage(error: PackVenvError) -> bool:
    """Return whether an option itself is wrong rather than what it refers to."""
    return isinstance(error, OptionsError) and any(each.startswith("-") for each in error.problems)


def _prepare_streams() -> None:
    """Prepare the standard streams so that anything can be printed, even if one of them is closed.

    Otherwise, the next file opened would take the closed stream's number and receive the output.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.StringIO())
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _check_current_folder(parsed: argparse.Namespace) -> None:
    """Refuse relative paths if the current folder has been removed; absolute ones do not need it.

    Raises:
        EnvironmentProblem: if there is a relative path; names it.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        given = [parsed.output or ".", parsed.prefix or "."] if "output" in parsed else []
        given += [each for each in vars(parsed).values() if isinstance(each, Path)]
        given += getattr(parsed, "paths", ())
        relative = [str(each) for each in given if not os.path.isabs(each)]
        if relative:
            raise EnvironmentProblem(
                f"{relative[0]!r} cannot be found, because the current folder was removed: change"
                " to one that exists, or use absolute paths"
            ) from None
        os.chdir("/")


def _set_up_logging(parsed: argparse.Namespace) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(CommandFormatter(parsed))
    logging.basicConfig(level=_LEVELS[parsed.volume], handlers=[handler])
