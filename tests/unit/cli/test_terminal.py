"""Text from files cannot control the terminal, and an error is one sentence."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.fakes import fake_interpreter

from hatch_pack_venv.__main__ import main as early_main
from hatch_pack_venv.api.progress import TerminalFormatter
from hatch_pack_venv.api.report import field_lines
from hatch_pack_venv.cli import main as command
from hatch_pack_venv.cli import output
from hatch_pack_venv.cli.arguments import parser
from hatch_pack_venv.cli.render import Style, for_terminal
from hatch_pack_venv.model.errors import OptionsError, PackVenvError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from pathlib import Path


ODD = {
    "\x1b[2Jx": "\\x1b[2Jx",
    "a\nb\r\0": "a\\nb\\r\\x00",
    "\x9b31m\x7f": "\\x9b31m\\x7f",
    "\u202egpj.exe\u2028": "\\u202egpj.exe\\u2028",
    "caf\udce9": "caf\\udce9",
    "caf\u00e9 \u65e5": "caf\u00e9 \u65e5",
}


@pytest.mark.parametrize("text", ODD)
def test_what_would_act_is_spelled_out(text: str) -> None:
    """Escape sequences, line breaks, C1 codes, direction marks and undecodable bytes."""
    assert printable(text) == ODD[text]
    assert PackVenvError(f"{text} is wrong").for_terminal == f"{ODD[text]} is wrong"
    several = OptionsError("wrong", [text, "other"])
    assert several.for_terminal == f"wrong:\n  - {ODD[text]}\n  - other"
    record = logging.LogRecord("x", logging.WARNING, "", 0, "%s", (text,), None)
    assert TerminalFormatter("note: %(message)s").format(record) == f"note: {ODD[text]}"


def test_only_our_own_colours_reach_a_terminal() -> None:
    """With colours, a name that holds another sequence is still spelled out."""
    style = Style(colours=True)
    line = f"{style.paint('x', 'red')} \x1b[2J\x1b]0;t\x07"
    assert for_terminal(line, style) == "\x1b[31mx\x1b[0m \\x1b[2J\\x1b]0;t\\x07"
    assert "\x1b" not in for_terminal(line, Style())


def run(*arguments: object) -> object:
    """Return the exit status, or the message if it is 1."""
    told = io.StringIO()
    with pytest.raises(SystemExit) as caught, contextlib.redirect_stderr(told):
        command.main([str(argument) for argument in arguments])
    sys.stderr.write(told.getvalue())
    if isinstance(caught.value.code, str):
        return caught.value.code
    return told.getvalue().rstrip("\n") if caught.value.code == 1 else caught.value.code


def test_names_in_errors_are_spelled_out(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FIFO with an odd name cannot be packed; the message escapes the name."""
    os.mkfifo(prefix / "f\x1b[31m\n")
    monkeypatch.setattr("hatch_pack_venv.scan.probe.ask_interpreter", fake_interpreter)
    code = run("pack", prefix, "--interpreter", "target", "-o", prefix.parent / "out")
    assert isinstance(code, str)
    assert "f\\x1b[31m\\n" in code
    assert "\x1b" not in code


class FullDisk(io.StringIO):
    """Standard output on a full disk."""

    def flush(self) -> None:
        """Fail as `/dev/full` does."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_results_that_cannot_be_printed_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one sentence instead of a traceback, and no second attempt to write at exit."""
    let_go: list[int] = []
    monkeypatch.setattr(output, "let_go_of_output", lambda: let_go.append(1))
    monkeypatch.setattr(sys, "stdout", FullDisk())
    with pytest.raises(PackVenvError, match="cannot be printed: No space left on device"):
        output.print_result({}, ["x"], parser(command._COMMANDS).parse_args(["inspect", "x"]))
    assert let_go


def test_json_stays_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON output is not escaped for the terminal."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    parsed = parser(command._COMMANDS).parse_args(["inspect", "x", "--json"])
    output.print_result({"path": "a\x1b\n"}, [], parsed)
    assert json.loads(out.getvalue()) == {"path": "a\x1b\n"}


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt()])
def test_no_memory_and_ctrl_c_are_one_line(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither ends with a traceback; an interrupt is 130."""

    def fail(_parsed: Any) -> None:
        raise error

    monkeypatch.setitem(command._COMMANDS, "inspect", fail)
    with contextlib.redirect_stderr(io.StringIO()) as told:
        code = run("inspect", "x")
    if isinstance(error, MemoryError):
        assert isinstance(code, str)
        assert "not enough memory" in code
    else:
        assert code == 130
        assert told.getvalue() == "pack-venv: error: interrupted, nothing was written\n"


class Interrupting:
    """Interrupts the import of the command."""

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: object = None
    ) -> ModuleSpec | None:
        """Raise when the command is looked up."""
        if name == "hatch_pack_venv.cli.main":
            raise KeyboardInterrupt
        return None


def test_ctrl_c_while_the_command_is_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tenth of a second that imports take is covered, too."""
    monkeypatch.delitem(sys.modules, "hatch_pack_venv.cli.main")
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    with pytest.raises(SystemExit) as caught:
        early_main()
    assert caught.value.code == 130
    assert capsys.readouterr().err == "pack-venv: error: interrupted, nothing was written\n"


def test_a_removed_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that needs it is refused in one sentence; absolute paths still work."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for arguments in (
        ["verify", "a.tar"],
        ["pack", "env"],
        ["pack", "/env"],
        ["export", "/e", "x"],
    ):
        code = run(*arguments)
        assert isinstance(code, str)
        assert "because the current folder was removed" in code
    assert run("verify", tmp_path / "no.tar") == (
        f"pack-venv: error: {tmp_path}/no.tar does not exist: expected an archive or a folder"
    )


@pytest.mark.parametrize(
    ("stream", "variables", "colours"),
    [
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
        (io.StringIO(), {"FORCE_COLOR": ""}, False),
        (io.StringIO(), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colours_can_be_forced(
    stream: io.StringIO, variables: dict[str, str], colours: bool
) -> None:
    """FORCE_COLOR turns them on without a terminal; NO_COLOR overrides it."""
    assert Style.of_stream(stream, variables).colours is colours


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each names the commands and their options."""
    with pytest.raises(SystemExit) as caught:
        command.main(["--print-completion", shell])
    assert not caught.value.code
    script = capsys.readouterr().out
    assert "interpreter-trim" in script
    assert "verify" in script


def test_completion_without_shtab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the package to install."""
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as caught:
        command.main(["--print-completion", "bash"])
    assert caught.value.code == 2
    assert "pip install shtab" in capsys.readouterr().err


def test_quiet_and_verbose_stand_anywhere() -> None:
    """Before the command and after it."""
    for words in (["-v", "inspect", "x"], ["inspect", "x", "-v"], ["inspect", "-v", "x"]):
        assert parser(command._COMMANDS).parse_args(words).volume == "verbose"
    assert parser(command._COMMANDS).parse_args(["-q", "inspect", "x"]).volume == "quiet"
    assert parser(command._COMMANDS).parse_args(["inspect", "x"]).volume is None


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("words", [[], ["pack"], ["export"], ["inspect"], ["verify"]])
def test_help_is_wrapped_at_the_terminals_width(
    columns: int,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No text is wider; lines to type are not wrapped, and argparse formats the usage itself."""
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit):
        command.main([*words, "--help"])
    lines = capsys.readouterr().out.splitlines()
    lines = lines[lines.index("") :]
    texts = [line for line in lines if not line.startswith("  pack-venv ")]
    if not words:
        texts = texts[: texts.index("examples:")]
    assert max(map(len, texts)) <= columns
    assert any(len(line) > columns - 25 for line in lines)


def test_result_lines_fit() -> None:
    """Texts are aligned, and wrapped at the width."""
    for width in (40, 80, 120):
        fields = [("needs", "glibc 2.35 or later " * 10), ("size", "1 MB")]
        lines = list(field_lines(fields, width))
        assert max(map(len, lines)) <= width
        assert {line[:11] for line in lines} == {"  needs    ", " " * 11, "  size     "}
