"""The command `pack-venv`: one of the two modules that print."""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from .. import __version__
from ..api.progress import TerminalFormatter, result_line, terminal_progress
from ..config.options import PackOptions
from ..model.environment import environment_name
from ..model.errors import (
    ArchiveProblem,
    EnvironmentProblem,
    OptionsError,
    OutputProblem,
    PackVenvError,
    PlanError,
)
from ..model.formats import CompressionFormat
from ..model.results import silent
from ..write.atomic import terminable
from .arguments import add_packing_options, add_reading_commands, given_keys
from .render import (
    Style,
    describe_findings,
    for_terminal,
    inspection_lines,
    preview_lines,
    verification_lines,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..model.results import Reporter


_DESCRIPTION: Final = """\
Pack a prepared virtual environment (made by venv, virtualenv, uv or Hatch) into a portable
archive: unpack it anywhere on a compatible machine, and it runs.
"""
_EPILOG: Final = """\
examples:
  pack-venv pack .venv                       # ./PROJECT.tar.xz, interpreter included
  pack-venv pack .venv -o out/app --format tar.gz --format zip
  pack-venv pack .venv --interpreter target  # the target provides the interpreter
  pack-venv pack .venv --dry-run             # tell what would happen, write nothing
  pack-venv export .venv /srv/app
  pack-venv inspect PROJECT.tar.xz           # what is in it, and what takes the room
  pack-venv verify /srv/app                  # is it still what was packed?

Each command tells more with --help: pack-venv pack --help

Exit status: 0 done, 1 a problem (told in one message on standard error), 2 wrong usage, 130
interrupted (128 and the number of the signal that ended it).
"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit."""
    _prepare_streams()
    try:
        with terminable():
            parsed = _parser().parse_args(arguments)
            _set_up_logging(parsed.quiet, parsed.verbose)
            _check_current_folder(parsed)
            parsed.run(parsed)
    except PackVenvError as error:
        sys.exit(f"pack-venv: error: {error.for_terminal}")
    except KeyboardInterrupt as error:
        print("pack-venv: error: interrupted, nothing was written", file=sys.stderr)
        sys.exit(128 + getattr(error, "number", signal.SIGINT))
    except MemoryError:
        sys.exit(
            "pack-venv: error: there is not enough memory: free some, or use fewer --threads and a"
            " lower --compression-level"
        )
    except BrokenPipeError:
        _let_go_of_output()  # its reader has seen enough: `pack-venv inspect X | head`
    sys.exit(0)


def _prepare_streams() -> None:
    """Make the standard streams such that everything can be printed, also where one is closed.

    Whatever is opened next would take a closed one's number, and get what is printed.
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


def _let_go_of_output() -> None:
    """Send what is still to be written to standard output to nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check_current_folder(parsed: argparse.Namespace) -> None:
    """Refuse relative paths where the current folder was removed; absolute ones do without it.

    Raises:
        EnvironmentProblem: says which path it is.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        given = [parsed.output or "."] if "output" in parsed else []
        given += [each for each in vars(parsed).values() if isinstance(each, Path)]
        given += getattr(parsed, "paths", ())
        relative = [str(each) for each in given if not os.path.isabs(each)]
        if relative:
            raise EnvironmentProblem(
                f"{relative[0]!r} cannot be found, because the current folder was removed: change"
                " to one that exists, or name absolute paths"
            ) from None
        os.chdir("/")


def _pack(parsed: argparse.Namespace) -> None:
    options = _options(parsed)
    if parsed.dry_run:
        _preview(parsed, options)
        return
    from ..api.pack import pack

    base, options = _output(parsed, options)
    results: list[dict[str, Any]] = [
        {
            "path": str(result.path),
            "format": result.format.suffix.removeprefix("."),
            **result.to_dict(),
        }
        for result in pack(parsed.prefix, base, options, report=_report(parsed))
    ]
    _print(results, map(result_line, results), parsed)


def _output(parsed: argparse.Namespace, options: PackOptions) -> tuple[str, PackOptions]:
    """Return the archives' path without a suffix, and the options with the format that it names.

    Raises:
        OptionsError: if the path names a format and `--format` another.
    """
    name = environment_name(Path(os.path.abspath(parsed.prefix)))
    if parsed.output is None:
        return name, options
    if parsed.output.endswith(("/", os.sep)) or os.path.isdir(parsed.output):
        return os.path.join(parsed.output, name), options
    named = next((each for each in CompressionFormat if parsed.output.endswith(each.suffix)), None)
    if named is None:
        return parsed.output, options
    if options.formats not in ((), (named,)):
        asked = " and ".join(each.suffix.removeprefix(".") for each in options.formats)
        problem = f"-o {parsed.output} names {named.suffix} and --format {asked}: leave out one"
        raise OptionsError("the formats disagree", [problem])
    return parsed.output.removesuffix(named.suffix), replace(options, formats=(named,))


def _preview(parsed: argparse.Namespace, options: PackOptions) -> None:
    from ..api.pack import preview_pack

    found = preview_pack(parsed.prefix, options, report=_report(parsed, "Compiling"))
    _print(found.to_dict(), preview_lines(found, _style(), every=parsed.verbose), parsed)
    if found.refused:
        raise PlanError(f"{parsed.prefix} cannot be packed", found.refused)


def _export(parsed: argparse.Namespace) -> None:
    from ..api.pack import export

    options = _options(parsed)
    hard_links = parsed.link_mode == "hardlink"
    result = export(
        parsed.prefix, parsed.directory, options, hard_links=hard_links, report=_report(parsed)
    )
    results = [
        {
            "path": str(result.path),
            "content_digest": result.content_digest,
            "entry_count": result.entry_count,
            "size": result.size,
            "findings": [finding.to_dict() for finding in result.findings],
            "needs": list(result.needs),
        }
    ]
    _print(results, map(result_line, results), parsed)


def _inspect(parsed: argparse.Namespace) -> None:
    from ..read.inspect import inspect
    from ..read.verify import check_is_there

    for path in parsed.paths:
        check_is_there(path)
    report = _report(parsed, "Reading")
    found = [inspect(path, report=report) for path in parsed.paths]
    lines = _blocks(inspection_lines(each, _style()) for each in found)
    _print(_one_or_all([each.to_dict() for each in found]), lines, parsed)


def _verify(parsed: argparse.Namespace) -> None:
    from ..read.verify import check_is_there, verify

    for path in parsed.paths:
        check_is_there(path)
    report = _report(parsed, "Verifying")
    results = [
        verify(path, external_links=parsed.external_links, report=report) for path in parsed.paths
    ]
    lines = _blocks(verification_lines(each, _style()) for each in results)
    _print(_one_or_all([each.to_dict() for each in results]), lines, parsed)
    damaged = [describe_findings(each) for each in results if not each.is_whole]
    if damaged:
        raise ArchiveProblem("; ".join(damaged))


def _blocks(blocks: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield the lines of several results, with an empty line between them."""
    for number, lines in enumerate(blocks):
        yield from ("",) if number else ()
        yield from lines


def _one_or_all(results: list[dict[str, Any]]) -> dict[str, Any] | list[dict[str, Any]]:
    """Return what is printed as JSON: a list only where several archives were asked for."""
    return results[0] if len(results) == 1 else results


def _print(result: Any, lines: Iterable[str], parsed: argparse.Namespace) -> None:
    """Print a result, as JSON or in lines."""
    style = _style()
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
        _let_go_of_output()
        raise OutputProblem(
            f"the results cannot be printed: {error.strerror}; redirect standard output to where"
            " there is room"
        ) from error


def _style() -> Style:
    return Style.of_stream(sys.stdout, os.environ)


def _report(parsed: argparse.Namespace, doing: str = "Packing") -> Reporter:
    shows = not (parsed.quiet or parsed.json)
    return partial(terminal_progress, doing=doing) if shows else silent


def _options(parsed: argparse.Namespace) -> PackOptions:
    return PackOptions.from_mapping(given_keys(parsed), "the command line", ())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pack-venv",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pack-venv {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    command = commands.add_parser(
        "pack",
        help="write an archive",
        description="Pack an environment into an archive, with a .json beside it that tells its"
        " size and hashes. The environment is only read. On the target, unpack the archive with any"
        " tool and run what lies in its bin folder; with --interpreter target, run postinstall.py"
        " there first.",
    )
    command.add_argument("prefix", type=Path, metavar="PREFIX", help="the environment's folder")
    command.add_argument(
        "-o",
        "--output",
        metavar="OUTPUT",
        help="the archive's path, with the suffix of a format or without one, or an existing"
        " directory or one that ends in / (default: the environment's name, its project folder's"
        " for .venv, in the current directory)",
    )
    command.add_argument(
        "--dry-run",
        action="store_true",
        help="write nothing; tell what would go in, what would be rewritten and why, what stays"
        " out, and what cannot be packed (with -v every file)",
    )
    add_packing_options(command, archive=True)
    command.set_defaults(run=_pack)

    command = commands.add_parser(
        "export",
        help="write a folder instead of an archive",
        description="Write what an archive would hold into a folder, which must be new, empty or an"
        " earlier export.",
    )
    command.add_argument("prefix", type=Path, metavar="PREFIX", help="the environment's folder")
    command.add_argument("directory", type=Path, metavar="DIRECTORY", help="the folder to make")
    command.add_argument(
        "--link-mode",
        choices=["copy", "hardlink"],
        default="copy",
        help="copy: files of their own, which share blocks with the environment's where the file"
        " system can; hardlink: the environment's own files where nothing in them changes, so that"
        " an edit of one is an edit of both (default: copy)",
    )
    add_packing_options(command, archive=False)
    command.set_defaults(run=_export)

    add_reading_commands(commands, inspect=_inspect, verify=_verify)
    return parser


def _set_up_logging(quiet: bool, verbose: bool) -> None:  # noqa: FBT001
    level = logging.ERROR if quiet else logging.DEBUG if verbose else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TerminalFormatter("pack-venv: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
