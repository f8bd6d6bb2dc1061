"""The argument parser: commands, and their options in groups."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .. import __version__
from ..config.table import KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..config.key import Group, Key, Option

    Command = Callable[[argparse.Namespace], None]


_DESCRIPTION: Final = """\
Pack a prepared virtual environment (made by venv, virtualenv, uv or Hatch) into a portable
archive: unpack it anywhere on a compatible machine, and it runs.
"""
_EPILOG: Final = """\
examples:
  pack-venv pack                             # .venv, or what pyproject.toml configures
  pack-venv pack .venv -o out/app.tar.zst    # the suffix selects the format
  pack-venv pack .venv --interpreter target  # the target provides the interpreter
  pack-venv pack --dry-run                   # report what would happen, write nothing
  pack-venv export .venv /srv/app
  pack-venv inspect PROJECT.tar.xz           # what is in it, and what takes up space
  pack-venv verify /srv/app                  # is it still what was packed?
  pack-venv sbom PROJECT.tar.xz              # its bill of materials

For the options of a command, use --help: pack-venv pack --help

Exit status: 0 done, 1 a problem (reported in a single message on standard error), 2 wrong usage,
130 interrupted (128 plus the number of the signal).
"""
_PACK: Final = """\
Pack an environment into an archive, with a .json next to it that records its size and hashes. The
environment is only read. On the target, unpack the archive with any tool and run what is in its
bin folder; with --interpreter target, run postinstall.py there first. In the folder of a project
that configures the hook or the target, its table applies as it does in `hatch build`, and options
override it.
"""
_EXPORT: Final = """\
Write what an archive would contain into a folder, which must be new, empty or an earlier export. In
the folder of a project that configures the hook or the target, its table applies as it does for
`pack`, and options override it. Nothing is run (`prove` applies only to archives).
"""
_INSPECT: Final = """\
Show what an archive or an unpacked folder is: name, Python, platform, what it needs, and its
distributions and kinds of files with their unpacked sizes, largest first. Nothing is unpacked.
"""
_VERIFY: Final = """\
Compare every file of an archive or an unpacked folder with the manifest that was packed with it:
changed, missing and added files, modes, links. Files that postinstall.py and Python itself write to
an unpacked folder do not count. An archive is also compared with the .json next to it. Nothing is
changed. Exit status: 0 if as packed, 1 if not or if unreadable.
"""
_SBOM: Final = """\
Print the bill of materials (CycloneDX 1.6) of an archive, of the directory it was unpacked into, or
of an environment as it would be packed with the given options. Nothing is written.
"""
_GROUPS: Final[Mapping[Group, str]] = {
    "contents": "what is packed",
    "interpreter": "the interpreter",
    "documents": "release documents and limits",
    "format": "the archive",
    "layers": "layers",
    "proof": "the proof",
}
_PREFIX: Final = "the environment's folder (default: .venv, or what the project configures)"
SHELLS: Final = ("bash", "zsh", "tcsh")


class _Help(argparse.RawDescriptionHelpFormatter):
    """Wraps descriptions at the terminal's width, and leaves indented examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n  " in text:
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


class _Parser(argparse.ArgumentParser):
    """Reports an unknown option with its own usage and the option that was probably meant."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse arguments; any that are left over are an error."""
        parsed, left = super().parse_known_args(args, namespace)
        if left:
            self.error(self._unknown(left[0].partition("=")[0]))
        return parsed, left

    def _unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"unexpected argument {word}"
        meant = difflib.get_close_matches(word, self._option_string_actions, n=1)
        return f"there is no option {word}{f'; did you mean {meant[0]}?' if meant else ''}"


def parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """Return the parser.

    Parameters:
        commands: the function that runs each command, by name.
    """
    whole = _Parser(
        prog="pack-venv", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=_Help
    )
    whole.add_argument("--version", action="version", version=f"pack-venv {__version__}")
    whole.add_argument(
        "--print-completion",
        action=_Completion,
        choices=SHELLS,
        metavar="SHELL",
        help=f"print a completion script for {', '.join(SHELLS)} (needs the package shtab)",
    )
    _add_volume(whole, of_all=True)
    listed = whole.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, add in (
        ("pack", _add_pack),
        ("export", _add_export),
        ("inspect", _add_inspect),
        ("verify", _add_verify),
        ("sbom", _add_sbom),
    ):
        add(listed).set_defaults(run=commands[name])
    return whole


_Commands = Any  # argparse._SubParsersAction, which is generic for type checkers only


def _add_pack(commands: _Commands) -> argparse.ArgumentParser:
    usage = "pack-venv pack [PREFIX] [-o OUTPUT] [--dry-run] [options]"
    command = _command(commands, "pack", "write an archive", _PACK, usage)
    what = command.add_argument_group("what")
    what.add_argument("prefix", type=Path, metavar="PREFIX", nargs="?", help=_PREFIX)
    _add_no_project(what)
    _add_packing_options(command, archive=True)
    output = command.add_argument_group("output")
    output.add_argument(
        "-o",
        "--output",
        metavar="OUTPUT",
        help="the archive's path, with or without the suffix of a format, or a directory, which"
        " exists or ends in / (default: as the project configures, or else in the current"
        " directory, with the environment's name, or its project folder's for .venv)",
    )
    output.add_argument(
        "--force",
        action="store_true",
        help="replace a file at the archive's path even if pack-venv did not write it",
    )
    output.add_argument(
        "--dry-run",
        action="store_true",
        help="write nothing; report what would be packed, what would be rewritten and why, what"
        " would be left out, and what cannot be packed (with -v, every file)",
    )
    _add_output_options(output)
    return command


def _add_export(commands: _Commands) -> argparse.ArgumentParser:
    usage = "pack-venv export PREFIX DIRECTORY [options]"
    command = _command(commands, "export", "write a folder instead of an archive", _EXPORT, usage)
    what = command.add_argument_group("what")
    what.add_argument("prefix", type=Path, metavar="PREFIX", help="the environment's folder")
    what.add_argument("directory", type=Path, metavar="DIRECTORY", help="the folder to create")
    _add_no_project(what)
    _add_packing_options(command, archive=False)
    output = command.add_argument_group("output")
    output.add_argument(
        "--link-mode",
        choices=["copy", "hardlink"],
        default="copy",
        help="copy: separate files, which share blocks with the environment's where the file"
        " system supports it; hardlink: the environment's own files where nothing in them changes,"
        " so that editing one edits both (default: copy)",
    )
    _add_output_options(output)
    return command


def _add_inspect(commands: _Commands) -> argparse.ArgumentParser:
    command = _command(commands, "inspect", "show what an archive is and contains", _INSPECT)
    _add_paths(command)
    shown = command.add_mutually_exclusive_group()
    shown.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="write a page that shows what takes up space, by distribution and kind of file; it"
        " is a single file that loads nothing else",
    )
    shown.add_argument(
        "--licenses",
        action="store_true",
        help="show the licence of each component instead, and which have no licence text",
    )
    _add_output_options(command)
    return command


def _add_sbom(commands: _Commands) -> argparse.ArgumentParser:
    usage = "pack-venv sbom PREFIX|ARCHIVE|DIRECTORY [--spdx] [options]"
    command = _command(commands, "sbom", "print a bill of materials", _SBOM, usage)
    what = command.add_argument_group("what")
    what.add_argument(
        "path",
        type=Path,
        metavar="PREFIX|ARCHIVE|DIRECTORY",
        help="an environment's folder, an archive, or the directory it was unpacked into",
    )
    _add_packing_options(command, archive=False)
    output = command.add_argument_group("output")
    output.add_argument("--spdx", action="store_true", help="as SPDX 2.3 JSON instead of CycloneDX")
    _add_output_options(output)
    return command


def _add_verify(commands: _Commands) -> argparse.ArgumentParser:
    text = "check whether an archive or a folder is as it was packed"
    command = _command(commands, "verify", text, _VERIFY)
    _add_paths(command)
    command.add_argument(
        "--external-links",
        action="store_true",
        help="accept links that lead out of it, which archives written by create_archive may"
        " contain",
    )
    command.add_argument(
        "--run",
        dest="runs",
        action="store_true",
        help="also unpack it into a clean room and repeat its release proof there: at least the"
        " interpreter and the project's modules and entry points",
    )
    command.add_argument(
        "--prove-room",
        choices=["hidden", "bare", "none"],
        help="with --run, the room; hidden: this machine without your home and caches; bare:"
        " nothing but the C library and a shell; none: nothing is hidden (default: the one it was"
        " released with)",
    )
    _add_output_options(command)
    return command


def _command(
    commands: _Commands, name: str, text: str, description: str, usage: str | None = None
) -> argparse.ArgumentParser:
    added: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=description, usage=usage, formatter_class=_Help
    )
    return added


def _add_paths(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="ARCHIVE|DIRECTORY",
        help="an archive, or the directory it was unpacked into; several may be given",
    )


def _add_no_project(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--no-project",
        action="store_true",
        help="do not read the configuration of the project in the current directory",
    )


def _add_packing_options(command: argparse.ArgumentParser, *, archive: bool) -> None:
    """Add the options for what is packed and how.

    Parameters:
        archive: whether the command writes an archive rather than a folder.
    """
    for group, title in _GROUPS.items():
        if group in ("format", "proof") and not archive:
            continue
        listed = command.add_argument_group(title)
        for key in KEYS.values():
            if key.option is not None and key.option.group == group:
                _add_option(listed, key, key.option)


def _add_option(group: argparse._ArgumentGroup, key: Key, option: Option) -> None:
    default = "" if option.default is None else f" (default: {option.default})"
    flags = option.flags or (f"--{key.name}",)
    text = f"{option.help}{default}"
    if not option.metavar:
        group.add_argument(
            *flags, dest=key.field, action="store_const", const=True, default=None, help=text
        )
        return
    group.add_argument(
        *flags,
        dest=key.field,
        action="append" if option.repeated else "store",
        type=int if option.metavar == "N" else str,
        metavar=option.metavar,
        help=text,
    )


def given_keys(parsed: argparse.Namespace) -> dict[str, Any]:
    """Return the given options as a configuration table."""
    table = {}
    for key in KEYS.values():
        value = None if key.option is None else getattr(parsed, key.field, None)
        if key.option is not None and value is not None:
            table[key.name] = value if key.option.convert is None else key.option.convert(value)
    return table


def _add_output_options(to: argparse._ActionsContainer) -> None:
    """Add the options that every command has: JSON, quiet, verbose."""
    to.add_argument("--json", action="store_true", help="print the results as JSON")
    _add_volume(to, of_all=False)


def _add_volume(to: argparse._ActionsContainer, *, of_all: bool) -> None:
    """Add -q and -v, which are accepted before and after the command.

    Parameters:
        of_all: whether they are the ones before it; the defaults of a command's own options would
            override those.
    """
    default = None if of_all else argparse.SUPPRESS
    for letter, name, text in (
        ("-q", "quiet", "no progress, no notes"),
        ("-v", "verbose", "report more: phases and their seconds, every file of a dry run"),
    ):
        to.add_argument(
            letter, f"--{name}", action=_Volume, dest="volume", default=default, const=name,
            nargs=0, help=text,
        )  # fmt: skip


class _Volume(argparse.Action):
    """Refuses -q together with -v."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,  # noqa: ARG002
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        """Store the option."""
        if getattr(namespace, self.dest, None) not in (None, self.const):
            parser.error("-q and -v are mutually exclusive")
        setattr(namespace, self.dest, self.const)


class _Completion(argparse.Action):
    """Prints a completion script, which shtab generates from the parser."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002
        values: str | Sequence[Any] | None,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        """Print it and exit."""
        try:
            import shtab
        except ModuleNotFoundError:
            parser.error("--print-completion needs shtab: pip install shtab")
        sys.stdout.write(shtab.complete(parser, str(values)))
        parser.exit()
