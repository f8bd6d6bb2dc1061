"""The command `pack-venv`: one of the two modules that print."""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from . import __version__
from .archives import silent
from .arguments import add_choosing_options, add_output_options, add_reading_commands
from .display import Style, inspection_lines, result_line, told_findings, verification_lines
from .display_preview import preview_lines
from .environment import Environment
from .errors import ArchiveProblem, PackVenvError, PlanError
from .formats import CompressionFormat
from .inspection import inspect
from .options import PackOptions
from .packing import environment_name, export, pack, preview_pack
from .presets import PRESETS
from .progress import terminal_progress
from .signals import terminable
from .verify import check_is_there, verify

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .archives import Reporter

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

Exit status: 0 done, 1 a problem (told in one message on standard error), 2 wrong usage.
"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parsed = _parser().parse_args(arguments)
    _set_up_logging(parsed.quiet, parsed.verbose)
    try:
        with terminable():
            parsed.run(parsed)
    except PackVenvError as error:
        sys.exit(f"pack-venv: error: {error}")
    except KeyboardInterrupt:
        sys.exit("pack-venv: error: interrupted, nothing was written")
    except (
        BrokenPipeError
    ):  # the reader of our output has seen enough: `pack-venv inspect X | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def _pack(parsed: argparse.Namespace) -> None:
    options = _options(parsed)
    if parsed.dry_run:
        _preview(parsed, options)
        return
    base = parsed.output or environment_name(Environment.from_prefix(parsed.prefix).given)
    results: list[dict[str, Any]] = [
        {
            "path": str(result.path),
            "format": result.format.suffix.removeprefix("."),
            **result.to_dict(),
        }
        for result in pack(parsed.prefix, base, options, report=_report(parsed))
    ]
    _print(results, map(result_line, results), parsed)


def _preview(parsed: argparse.Namespace, options: PackOptions) -> None:
    found = preview_pack(parsed.prefix, options, report=_report(parsed, "Compiling"))
    _print(found.to_dict(), preview_lines(found, _style(), every=parsed.verbose), parsed)
    if found.refused:
        raise PlanError(f"{parsed.prefix} cannot be packed", found.refused)


def _export(parsed: argparse.Namespace) -> None:
    options = _options(parsed)
    result = export(parsed.prefix, parsed.directory, options, report=_report(parsed))
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
    check_is_there(parsed.path)
    found = inspect(parsed.path, report=_report(parsed, "Reading"))
    _print(found.to_dict(), inspection_lines(found, _style()), parsed)


def _verify(parsed: argparse.Namespace) -> None:
    check_is_there(parsed.path)
    report = _report(parsed, "Verifying")
    result = verify(parsed.path, external_links=parsed.external_links, report=report)
    _print(result.to_dict(), verification_lines(result, _style()), parsed)
    if not result.is_whole:
        raise ArchiveProblem(told_findings(result))


def _print(result: Any, lines: Iterable[str], parsed: argparse.Namespace) -> None:
    """Print a result, as JSON or in lines."""
    for line in [json.dumps(result, indent=1)] if parsed.json else lines:
        print(line)
    sys.stdout.flush()


def _style() -> Style:
    return Style.of_stream(sys.stdout, os.environ)


def _report(parsed: argparse.Namespace, doing: str = "Packing") -> Reporter:
    shows = not (parsed.quiet or parsed.json)
    return partial(terminal_progress, doing=doing) if shows else silent


def _options(parsed: argparse.Namespace) -> PackOptions:
    given = {
        key: getattr(parsed, key.replace("-", "_"))
        for key in _OPTION_KEYS
        if getattr(parsed, key.replace("-", "_"), None) is not None
    }
    if parsed.vendor_libraries is not None:
        given["vendor-libraries"] = _vendoring(parsed.vendor_libraries)
    if parsed.wheel is not None:
        given["wheels"] = parsed.wheel
    return PackOptions.from_mapping(given, "the command line", ())


def _vendoring(words: list[str]) -> bool | list[str]:
    """Return what the configuration key of the same name would say."""
    return words[0] == "true" if words in (["true"], ["false"]) else words


_OPTION_KEYS: Final = (
    "interpreter",
    "editables",
    "format",
    "compression-level",
    "threads",
    "install-target",
    "exclude-files",
    "include-files",
    "record-files",
    "bytecode",
    "distributions",
    "keep",
    "check",
    "lock",
    "max-size",
    "interpreter-trim",
)


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
        metavar="BASE_NAME",
        help="the archive's path without its suffix (default: the environment's name, its project"
        " folder's for .venv, in the current folder)",
    )
    command.add_argument(
        "--dry-run",
        action="store_true",
        help="write nothing; tell what would go in, what would be rewritten and why, what stays"
        " out, and what cannot be packed (with -v every file)",
    )
    _add_format_options(command)
    _add_common_options(command)
    command.set_defaults(run=_pack)

    command = commands.add_parser(
        "export",
        help="write a folder instead of an archive",
        description="Write what an archive would hold into a folder, which must be new, empty or an"
        " earlier export.",
    )
    command.add_argument("prefix", type=Path, metavar="PREFIX", help="the environment's folder")
    command.add_argument("directory", type=Path, metavar="DIRECTORY", help="the folder to make")
    _add_common_options(command)
    command.set_defaults(run=_export)

    add_reading_commands(commands, inspect=_inspect, verify=_verify)
    return parser


def _add_format_options(command: argparse.ArgumentParser) -> None:
    names = [format.suffix.removeprefix(".") for format in CompressionFormat]
    command.add_argument(
        "--format",
        action="append",
        metavar="FORMAT",
        help=f"one of {', '.join(names)}; may be given several times (default: tar.xz, zip on"
        " Windows)",
    )
    command.add_argument(
        "--compression-level",
        type=int,
        metavar="N",
        help="of the format's own scale (default: gz and xz 6, zip 7, bz2 and zst 9)",
    )
    command.add_argument(
        "--install-target",
        metavar="NAME",
        help="the archive's top folder; '.' for none (default: the environment's name)",
    )


def _add_common_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--interpreter",
        metavar="WHOSE",
        help="bundled: the archive holds the interpreter; target: the target provides it and"
        " postinstall.py connects it; an absolute path: it is promised to be there on the target"
        " (default: bundled)",
    )
    command.add_argument(
        "--interpreter-trim",
        metavar="LEVEL",
        help="what a bundled interpreter leaves out; none: nothing but byte code; default: tests,"
        " IDLE, headers, static libraries and debug information; minimal: also tkinter, turtle,"
        " ensurepip, lib2to3, pydoc's topics, nis and ossaudiodev (default: default)",
    )
    command.add_argument(
        "--vendor-libraries",
        action="append",
        metavar="WHICH",
        help="true: a bundle brings the shared libraries that a system with nothing but glibc"
        " lacks; false: the target provides them; readline or gdbm: as true, with this library,"
        " which is under the GPL (repeatable; default: true)",
    )
    command.add_argument(
        "--editables",
        metavar="RULE",
        help="what becomes of editable installs; error: refuse them; copy: pack what is importable"
        " from their source folders; exclude: leave them out, if nothing packed requires them"
        " (default: error)",
    )
    command.add_argument(
        "--wheel",
        action="append",
        metavar="FILE",
        help="a wheel that replaces what the environment holds of its distribution; may be given"
        " several times",
    )
    command.add_argument(
        "--record-files",
        metavar="RULE",
        help="update: RECORD files are kept and made true; exclude: left out (default: update)",
    )
    command.add_argument(
        "--bytecode",
        metavar="KIND",
        help="none: the target compiles; checked-hash: compiled here, an import reads the source to"
        " see whether it was edited; unchecked-hash: compiled here, edited sources are not noticed"
        " (default: none)",
    )
    command.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="how many threads compress or copy; the result does not depend on it (default: the"
        " CPUs this process may use)",
    )
    add_choosing_options(command)
    presets = ", ".join(PRESETS)
    for name, text in (
        ("--exclude-files", f"gitignore-style pattern of files that stay out, or {presets}"),
        ("--include-files", "gitignore-style pattern of files that any rule left out"),
    ):
        command.add_argument(name, action="append", metavar="PATTERN", help=f"{text}; repeatable")
    add_output_options(command)


def _set_up_logging(quiet: bool, verbose: bool) -> None:  # noqa: FBT001
    level = logging.ERROR if quiet else logging.DEBUG if verbose else logging.WARNING
    logging.basicConfig(level=level, format="pack-venv: %(message)s", stream=sys.stderr)
