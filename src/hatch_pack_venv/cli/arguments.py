"""The options of the commands: of those that pack, of those that read, and of all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..config.values import PRESETS
from ..model.formats import CompressionFormat

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


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
    _add_output_options(command)
    return command


def add_format_options(command: argparse.ArgumentParser) -> None:
    """Add what only an archive has: formats, their levels, the top folder."""
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
        help="of the format's own scale (default: gz 5, xz and zip 6, bz2 and zst 9)",
    )
    command.add_argument(
        "--install-target",
        metavar="NAME",
        help="the archive's top folder; '.' for none (default: the environment's name)",
    )


def add_packing_options(command: argparse.ArgumentParser) -> None:
    """Add what decides what is packed, into an archive or a folder, and how."""
    _add_interpreter_options(command)
    _add_content_options(command)
    _add_choosing_options(command)
    _add_layer_options(command)
    presets = ", ".join(PRESETS)
    for name, text in (
        ("--exclude-files", f"gitignore-style pattern of files that stay out, or {presets}"),
        ("--include-files", "gitignore-style pattern of files that any rule left out"),
    ):
        command.add_argument(name, action="append", metavar="PATTERN", help=f"{text}; repeatable")
    _add_output_options(command)


def _add_interpreter_options(command: argparse.ArgumentParser) -> None:
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


def _add_content_options(command: argparse.ArgumentParser) -> None:
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
        help="how many threads compress, copy or compile; the result does not depend on it"
        " (default: the CPUs this process may use)",
    )


def _add_choosing_options(command: argparse.ArgumentParser) -> None:
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
        " and with what its extras do: 'uvicorn[standard]'; repeatable",
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


def _add_layer_options(command: argparse.ArgumentParser) -> None:
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


def _add_output_options(command: argparse.ArgumentParser) -> None:
    """Add what every command has: JSON, quiet, verbose."""
    command.add_argument("--json", action="store_true", help="print the results as JSON")
    volume = command.add_mutually_exclusive_group()
    volume.add_argument("-q", "--quiet", action="store_true", help="no progress, no notes")
    volume.add_argument("-v", "--verbose", action="store_true", help="tell more")
