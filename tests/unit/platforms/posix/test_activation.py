"""The activation scripts as entries, and the names that prompts show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.fakes import environment, file, plan

from hatch_pack_venv.model.environment import prompt_of
from hatch_pack_venv.platforms.posix.activation import activation_scripts, first_edit
from hatch_pack_venv.platforms.posix.runtime import bundled_config


def texts(scripts: str) -> dict[str, str]:
    """Return the scripts' texts, by name."""
    return {
        entry.arcname: entry.content.decode()
        for entry in activation_scripts(scripts)
        if isinstance(entry.content, bytes)
    }


def test_batch_files_come_where_windows_runs_them() -> None:
    """`Scripts` gets the two batch files, with the line ends cmd.exe needs; `bin` has none."""
    assert not [name for name in texts("bin") if name.endswith(".bat")]
    batch = {n: text for n, text in texts("Scripts").items() if n.endswith(".bat")}
    assert list(batch) == ["Scripts/activate.bat", "Scripts/deactivate.bat"]
    for text in batch.values():
        assert re.fullmatch(r"(?:@[^\r\n]*\r\n|:\w+\r\n|\r\n)+", text)  # echoes nothing
    others = {n: text for n, text in texts("Scripts").items() if n not in batch}
    assert {name.replace("Scripts", "bin"): text for name, text in others.items()} == texts("bin")


def test_no_two_names_differ_by_case() -> None:
    """All of them fit in one folder on a disk that ignores case."""
    names = [name.lower() for name in texts("Scripts")]
    assert len(set(names)) == len(names)


def test_batch_files_restore_what_they_change() -> None:
    """Each variable that activate.bat saves is restored and cleared by deactivate.bat."""
    scripts = texts("Scripts")
    kept = set(re.findall(r'set "(_(?:OLD|HPV_OLD)_\w+)=%', scripts["Scripts/activate.bat"]))
    assert kept == {
        "_OLD_VIRTUAL_PATH",
        "_OLD_VIRTUAL_PROMPT",
        "_OLD_VIRTUAL_PYTHONHOME",
        "_HPV_OLD_ENV",
        "_HPV_OLD_PROMPT",
    }
    for name in kept:
        assert re.search(rf'set "\w+=%{name}%"', scripts["Scripts/deactivate.bat"]), name
        assert f'set "{name}="' in scripts["Scripts/deactivate.bat"]


@pytest.mark.parametrize("name", ["activate.bat", "Activate.ps1", "activate.nu"])
def test_scripts_without_a_shell_here_find_their_own_folder(name: str) -> None:
    """Scripts whose shell may be missing on this machine ask the shell for their own path."""
    asked = {
        "activate.bat": '"%~dp0."',
        "Activate.ps1": "$MyInvocation.MyCommand.Path",
        "activate.nu": "path self | path dirname",
    }
    assert asked[name] in texts("Scripts")[f"Scripts/{name}"]


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("plain text", "plain text"),
        ("'quoted'", "quoted"),
        (r"'both \' and \"'", "both ' and \""),
        ("'unfinished", "'unfinished"),
        ("'a', 'b'", "'a', 'b'"),
        ("", None),
        ("''", None),
    ],
)
def test_prompts_as_venv_and_uv_write_them(text: str, prompt: str | None) -> None:
    """venv and virtualenv quote the prompt in pyvenv.cfg as Python does; uv does not quote it."""
    assert prompt_of({"prompt": text}) == prompt


def test_a_chosen_prompt_goes_along() -> None:
    """Both modes keep a prompt, but not one that is the folder's name, which uv writes."""
    chosen = environment(config={"prompt": "'mine'"})
    assert chosen.prompt == "mine"
    assert plan(environment=chosen).head["layout"]["prompt"] == "mine"
    assert bundled_config("3.11.7", chosen.prompt).decode().endswith("\nprompt = 'mine'\n")
    for given in ("/home/me/work", "/home/me/work/.venv"):
        named = environment(config={"prompt": "work"}, requested=Path(given))
        assert named.prompt is None
    assert b"prompt" not in bundled_config("3.11.7", None)
    assert plan().head["layout"]["prompt"] is None


VENV = """\
# This file must be used with "source bin/activate" *from bash*
deactivate () {
    hash -r 2> /dev/null
    unset VIRTUAL_ENV
}
VIRTUAL_ENV="/build/env"
export VIRTUAL_ENV
_OLD_VIRTUAL_PATH="$PATH"
PATH="$VIRTUAL_ENV/bin:$PATH"
PS1="(env) ${PS1:-}"
# Call hash to forget past commands.
if [ -n "${BASH:-}" ] ; then
    hash -r 2> /dev/null
fi
"""


@pytest.mark.parametrize(
    ("added", "line"),
    [
        ("", None),
        ("\n# a comment\n", None),
        ("\nexport DJANGO_SETTINGS_MODULE=shop.settings.prod\n", 16),
        ("nvm use --silent\n", 15),
    ],
)
def test_what_is_added_at_the_end_of_an_activation_script_is_an_edit(
    added: str, line: int | None
) -> None:
    """Its first line is reported; comments and what the creator wrote are not edits."""
    assert first_edit("activate", f"{VENV}{added}".encode()) == line


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("activate", VENV.replace("unset", "unset A\n    . ./env.sh\n    unset"), 5),
        ("activate", f"export REGION=eu\n{VENV}", 1),
        ("activate.fish", "set -gx VIRTUAL_ENV /x\nset -gx REGION eu\n", 2),
        ("activate.fish", "set -gx PATH $VIRTUAL_ENV/bin $PATH\n", None),
        ("activate.csh", 'setenv VIRTUAL_ENV "/x"\nsetenv REGION eu\n', 2),
        ("activate.nu", "let x = 1\n", None),
    ],
)
def test_edits_anywhere(name: str, text: str, line: int | None) -> None:
    """Variables that no creator sets and sourced files are edits, wherever they are."""
    assert first_edit(name, text.encode()) == line


def test_our_own_script_can_be_edited_too() -> None:
    """An archive that is packed again may have been edited in between."""
    for name, text in texts("bin").items():
        assert first_edit(name.removeprefix("bin/"), text.encode()) is None
    edited = texts("bin")["bin/activate"] + "REGION=eu\n"
    assert first_edit("activate", edited.encode()) == edited.count("\n")


def test_an_edit_that_is_lost_is_told() -> None:
    """A note names the script and the line number, never the line's content."""
    secret = f"{VENV}export TOKEN=s3cr3t\n".encode()
    made = plan(file("bin/activate", secret), file("bin/activate.fish", b"# of fish\n"))
    (note,) = made.notes
    assert note.startswith("bin/activate was edited (line 15), and the edit is lost: ")
    assert "s3cr3t" not in note


def test_an_interpreter_that_is_a_script_is_told() -> None:
    """What a wrapper around the interpreter does is lost, and a note says so."""
    made = plan(file("bin/python", b"#!/bin/sh\nexec /opt/python -X dev\n", executable=True))
    (note,) = made.notes
    assert note.startswith("bin/python is a wrapper script for the interpreter, ")
