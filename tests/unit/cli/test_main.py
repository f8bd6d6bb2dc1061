"""The command line: usage, help and colours."""

from __future__ import annotations

import io
import sys

import pytest

from hatch_pack_venv.cli.main import main
from hatch_pack_venv.cli.render import Style


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    code = caught.value.code
    if isinstance(code, str):
        print(code, file=sys.stderr)
        return 1
    return int(code or 0)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["pack", "x", "--nope"],
        ["unpack", "x"],
        ["pack", "-q", "-v"],
        ["pack", "x", "--format", "rar"],
        ["pack", "x", "--compression-level", "99"],
        ["pack", "x", "-o", "a.zip", "--format", "tar"],
        ["verify", "x", "--prove-room", "bare"],
        ["inspect", "x", "--html", "page.html", "--licenses"],
    ],
)
def test_wrong_usage_is_exit_2(arguments: list[str]) -> None:
    """What argparse refuses, and values that an option does not have, are exit 2."""
    assert run(*arguments) == 2


@pytest.mark.parametrize(
    ("arguments", "usage", "message"),
    [
        (["pack", "--formt", "zip"], "pack-venv pack", "no option --formt; did you mean --format?"),
        (["export", "a", "b", "c"], "pack-venv export", "unexpected argument c"),
        (["-v", "pack", "--jsno"], "pack-venv pack", "did you mean --json?"),
    ],
)
def test_an_unknown_option_is_told_with_the_one_that_was_meant(
    arguments: list[str], usage: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command that does not have it; wrong usage is exit status 2."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"usage: {usage}")
    assert message in said


@pytest.mark.parametrize("command", ["pack", "export"])
def test_help_tells_defaults(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help is exit 0 and tells what an option is where it is not given."""
    assert run(command, "--help") == 0
    assert "(default: bundled)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_nothing_to_read_is_told(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A path where nothing is gives one sentence."""
    assert run(command, "/nowhere/a.tar.xz") == 1
    told = capsys.readouterr().err
    assert told == (
        "pack-venv: error: /nowhere/a.tar.xz does not exist: expected an archive or a folder\n"
    )


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "variables", "colours"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colours_are_for_terminals(
    stream: io.StringIO, variables: dict[str, str], colours: bool
) -> None:
    """A terminal that wants them gets colours; a file, a pipe and NO_COLOR do not."""
    assert Style.of_stream(stream, variables).colours is colours
