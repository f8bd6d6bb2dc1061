"""Arguments of the commands that read, and those that all commands have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

_INSPECT = """\
Show what an archive or an unpacked folder is: name, Python, platform, what it needs, and its
distributions with their unpacked sizes, largest first. Nothing is unpacked.
"""

_VERIFY = """\
Compare every file of an archive or an unpacked folder with the manifest that was packed with it:
changed, missing and added files, modes, links. What postinstall.py and Python itself write into an
unpacked folder counts as neither. An archive is also compared with the .json beside it. Nothing is
unpacked or changed. Exit status: 0 as packed, 1 not, or not readable.
"""


def add_reading_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    *,
    inspect: Callable[[argparse.Namespace], None],
    verify: Callable[[argparse.Namespace], None],
) -> None:
    """Add the commands that read an archive or a folder.

    Parameters:
        inspect, verify: what runs them.
    """
    command = _reading_command(commands, "inspect", "show what an archive is and holds", _INSPECT)
    command.set_defaults(run=inspect)
    command = _reading_command(
        commands, "verify", "find out whether an archive or a folder is as it was packed", _VERIFY
    )
    command.add_argument(
        "--external-links",
        action="store_true",
        help="accept links that lead out of it, as archives of create_archive may hold them",
    )
    command.set_defaults(run=verify)


def _reading_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    description: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=description)
    command.add_argument(
        "path", type=Path, metavar="ARCHIVE|DIRECTORY", help="an archive, or where it was unpacked"
    )
    add_output_options(command)
    return command


def add_choosing_options(command: argparse.ArgumentParser) -> None:
    """Add what decides which distributions go in, and what is checked about them."""
    command.add_argument(
        "--distributions",
        metavar="WHICH",
        help="all: the environment as it is; required: what --keep and --wheel name and all that"
        " they require, by the installed metadata (default: all)",
    )
    command.add_argument(
        "--keep",
        action="append",
        metavar="NAME",
        help="with --distributions required, a distribution that is packed with what it requires,"
        " extras as in uvicorn[standard]; repeatable",
    )
    command.add_argument(
        "--check",
        metavar="RULE",
        help="what becomes of requirements of --keep and --wheel that the environment does not"
        " meet; error, warn or off. Other distributions only warn (default: error)",
    )
    command.add_argument(
        "--lock",
        metavar="FILE",
        help="a pylock.toml (PEP 751) that the installed versions must match",
    )
    command.add_argument(
        "--max-size",
        metavar="SIZE",
        help="refuse to pack more than this, unpacked: 250MB, 1GiB, or a number of bytes",
    )


def add_layer_options(command: argparse.ArgumentParser) -> None:
    """Add what an environment shares with its neighbours."""
    command.add_argument(
        "--containing-dir",
        metavar="DIRECTORY",
        help="the folder that holds the environment and its neighbours, as one will on the target;"
        " links between them stay, as relative links",
    )
    command.add_argument(
        "--base-runtime",
        metavar="DIRECTORY",
        help="the neighbour that brings the interpreter; postinstall.py connects the environment"
        " to it",
    )
    command.add_argument(
        "--layer",
        "--layers",
        action="append",
        metavar="DIRECTORY",
        help="a neighbour whose packages come after the environment's own; repeatable, in order",
    )
    command.add_argument(
        "--dynlib-dir",
        "--dynlib-dirs",
        action="append",
        metavar="DIRECTORY",
        help="a folder of a neighbour with shared libraries that the environment's modules need,"
        " LAYER/share/venv/dynlib; repeatable",
    )


def add_output_options(command: argparse.ArgumentParser) -> None:
    """Add what every command has: JSON, quiet, verbose."""
    command.add_argument("--json", action="store_true", help="print the results as JSON")
    volume = command.add_mutually_exclusive_group()
    volume.add_argument("-q", "--quiet", action="store_true", help="no progress, no notes")
    volume.add_argument("-v", "--verbose", action="store_true", help="tell more")
