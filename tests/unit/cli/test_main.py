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
    """Arguments that argparse rejects, and values that an option does not accept, exit with 2."""
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
    """The command that does not have it reports it, and exits with 2."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"usage: {usage}")
    assert message in said


@pytest.mark.parametrize("command", ["pack", "export"])
def test_help_tells_defaults(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help exits with 0 and shows the options' defaults."""
    assert run(command, "--help") == 0
    assert "(default: bundled)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_nothing_to_read_is_told(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A path that does not exist gives a one-sentence error."""
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
    """A terminal gets colours unless it is dumb or NO_COLOR is set; files and pipes do not."""
    assert Style.of_stream(stream, variables).colours is colours
