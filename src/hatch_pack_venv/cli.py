"""The command `pack-venv`: one of the two modules that print."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from . import __version__
from .archives import silent
from .environment import Environment
from .errors import PackVenvError
from .formats import CompressionFormat
from .options import PackOptions
from .packing import environment_name, export, pack
from .progress import terminal_progress
from .signals import terminable

if TYPE_CHECKING:
    from collections.abc import Sequence

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
  pack-venv export .venv /srv/app

Exit status: 0 done, 1 a problem (told in one message on standard error), 2 wrong usage.
"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit."""
    parsed = _parser().parse_args(arguments)
    _set_up_logging(parsed.quiet, parsed.verbose)
    try:
        options = _options(parsed)
        report = silent if parsed.quiet or parsed.json else terminal_progress
        with terminable():
            results = parsed.run(parsed, options, report)
    except PackVenvError as error:
        sys.exit(f"pack-venv: error: {error}")
    except KeyboardInterrupt:
        sys.exit("pack-venv: error: interrupted, nothing was written")
    _print(results, as_json=parsed.json)
    sys.exit(0)


def _pack(parsed: argparse.Namespace, options: PackOptions, report: Reporter) -> list[Any]:
    base = parsed.output or environment_name(Environment.from_prefix(parsed.prefix).given)
    return [
        {
            "path": str(result.path),
            "format": result.format.suffix.removeprefix("."),
            **result.to_dict(),
        }
        for result in pack(parsed.prefix, base, options, report=report)
    ]


def _export(parsed: argparse.Namespace, options: PackOptions, report: Reporter) -> list[Any]:
    result = export(parsed.prefix, parsed.directory, options, report=report)
    return [
        {
            "path": str(result.path),
            "content_digest": result.content_digest,
            "entry_count": result.entry_count,
            "size": result.size,
        }
    ]


def _print(results: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(results, indent=1))
        return
    for result in results:
        parts = [f"{result['size'] / 1e6:.1f} MB", f"{result['entry_count']} entries"]
        if "sha256" in result:
            parts.append(f"sha256 {result['sha256']}")
        print(f"{result['path']}  {', '.join(parts)}")


def _options(parsed: argparse.Namespace) -> PackOptions:
    given = {
        key: getattr(parsed, key.replace("-", "_"))
        for key in _OPTION_KEYS
        if getattr(parsed, key.replace("-", "_"), None) is not None
    }
    if parsed.wheel is not None:
        given["wheels"] = parsed.wheel
    return PackOptions.from_mapping(given, "the command line", ())


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
        "pack", help="write an archive", description="Pack an environment into an archive."
    )
    command.add_argument("prefix", type=Path, metavar="PREFIX", help="the environment's folder")
    command.add_argument(
        "-o",
        "--output",
        metavar="BASE_NAME",
        help="the archive's path without its suffix (default: the environment's name, its project"
        " folder's for .venv, in the current folder)",
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
        " postinstall.py connects it (default: bundled)",
    )
    command.add_argument(
        "--editables",
        metavar="RULE",
        help="what becomes of editable installs; error: refuse them (default: error)",
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
        "--threads",
        type=int,
        metavar="N",
        help="how many threads compress or copy; the result does not depend on it (default: the"
        " CPUs this process may use)",
    )
    for name, text in (
        ("--exclude-files", "gitignore-style pattern of files that stay out"),
        ("--include-files", "gitignore-style pattern of files that any rule left out"),
    ):
        command.add_argument(name, action="append", metavar="PATTERN", help=f"{text}; repeatable")
    command.add_argument("--json", action="store_true", help="print the results as JSON")
    volume = command.add_mutually_exclusive_group()
    volume.add_argument("-q", "--quiet", action="store_true", help="no progress, no notes")
    volume.add_argument("-v", "--verbose", action="store_true", help="tell more")


def _set_up_logging(quiet: bool, verbose: bool) -> None:  # noqa: FBT001
    level = logging.ERROR if quiet else logging.DEBUG if verbose else logging.WARNING
    logging.basicConfig(level=level, format="pack-venv: %(message)s", stream=sys.stderr)
