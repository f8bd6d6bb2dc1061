"""Command-line options: for packing commands, for reading commands, and for all commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..config.table import KEYS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from ..config.key import Group, Key, Option


_INSPECT = """\
Show what an archive or an unpacked folder is: name, Python, platform, what it needs, and its
distributions and kinds of files with their unpacked sizes, largest first. Nothing is unpacked.
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
        inspect, verify: the functions that run them.
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
        "paths",
        type=Path,
        nargs="+",
        metavar="ARCHIVE|DIRECTORY",
        help="an archive, or the directory it was unpacked into; several are taken one by one",
    )
    _add_output_options(command)
    return command


_GROUPS: Final[Mapping[Group, str]] = {
    "contents": "what is packed",
    "interpreter": "the interpreter",
    "format": "the archive",
    "layers": "layers",
}


def add_packing_options(command: argparse.ArgumentParser, *, archive: bool) -> None:
    """Add the options for what is packed and how, and the options common to all commands.

    Parameters:
        archive: whether the command writes an archive rather than a folder.
    """
    for group, title in _GROUPS.items():
        if group == "format" and not archive:
            continue
        listed = command.add_argument_group(title)
        for key in KEYS.values():
            if key.option is not None and key.option.group == group:
                _add_option(listed, key, key.option)
    _add_output_options(command)


def _add_option(group: argparse._ArgumentGroup, key: Key, option: Option) -> None:
    default = "" if option.default is None else f" (default: {option.default})"
    group.add_argument(
        *(option.flags or (f"--{key.name}",)),
        dest=key.field,
        action="append" if option.repeated else "store",
        type=int if option.metavar == "N" else str,
        metavar=option.metavar,
        help=f"{option.help}{default}",
    )


def given_keys(parsed: argparse.Namespace) -> dict[str, Any]:
    """Return the options given, in the form of a configuration table."""
    table = {}
    for key in KEYS.values():
        value = None if key.option is None else getattr(parsed, key.field, None)
        if key.option is not None and value is not None:
            table[key.name] = value if key.option.convert is None else key.option.convert(value)
    return table


def _add_output_options(command: argparse.ArgumentParser) -> None:
    """Add the options of every command: JSON, quiet, verbose."""
    command.add_argument("--json", action="store_true", help="print the results as JSON")
    volume = command.add_mutually_exclusive_group()
    volume.add_argument("-q", "--quiet", action="store_true", help="no progress, no notes")
    volume.add_argument("-v", "--verbose", action="store_true", help="tell more")
