"""The command, in this process and as a program."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hatch_pack_venv.cli import main

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one small environment, as a project's `.venv`."""
    path = tmp_path_factory.mktemp("projects") / "My Project" / ".venv"
    path.parent.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True)
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    code = caught.value.code
    if isinstance(code, str):
        print(code, file=sys.stderr)
        return 1
    return int(code or 0)


def test_pack_names_the_archive_after_the_project(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without -o the archive lies in the current folder, named after the project's folder."""
    monkeypatch.chdir(tmp_path)
    assert run("pack", environment, "--interpreter", "target") == 0
    with tarfile.open(tmp_path / "My Project.tar.xz") as tar:
        assert tar.getnames()[0] == "My Project"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "My Project.tar.xz",
        "My Project.tar.xz.json",
    ]


def test_pack_prints_results_as_json(
    environment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--json gives a list with an object for each format, and nothing else on standard output."""
    formats = ["--format", "tar.zst", "--format", "zip"]
    arguments: Sequence[object] = [environment, "-o", tmp_path / "a", "--interpreter", "target"]
    assert run("pack", *arguments, *formats, "--json") == 0
    results = json.loads(capsys.readouterr().out)
    assert [result["format"] for result in results] == ["tar.zst", "zip"]
    for result in results:
        assert Path(result["path"]).stat().st_size == result["size"]
    assert results[0]["content_digest"] == results[1]["content_digest"]
    assert results[0]["sha256"] != results[1]["sha256"]


def test_pack_prints_a_line_for_people(
    environment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The result line has path, size, entries and hash."""
    assert run("pack", environment, "-o", tmp_path / "a", "--interpreter", "target") == 0
    line = capsys.readouterr().out
    assert line.startswith(f"{tmp_path / 'a'}.tar.xz  ")
    assert " MB, " in line
    assert " entries, sha256 " in line


def test_options_reach_the_plan(environment: Path, tmp_path: Path) -> None:
    """Patterns, the level and the install target are the configuration's."""
    (environment / "keep.h").write_bytes(b"")
    (environment / "drop.h").write_bytes(b"")
    options = ["--exclude-files", "*.h", "--include-files", "keep.h", "--install-target", "."]
    options += ["--interpreter", "target", "--format", "tar.gz", "--compression-level", "1"]
    try:
        assert run("pack", environment, "-o", tmp_path / "a", *options) == 0
    finally:
        (environment / "keep.h").unlink()
        (environment / "drop.h").unlink()
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        names = tar.getnames()
    assert "keep.h" in names
    assert "drop.h" not in names


def test_export_writes_a_folder(
    environment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder holds the manifest and the script; the result has its path."""
    target = tmp_path / "out"
    assert run("export", environment, target, "--interpreter", "target", "--json") == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert result["path"] == str(target)
    assert (target / "postinstall.py").is_file()
    assert (target / "share/venv/metadata/pack-venv.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pack", "/nowhere"], "pack-venv: error: there is no environment at /nowhere"),
        (["pack", "{env}", "--format", "rar"], "the command line.format must be one or a list of"),
        (["pack", "{env}", "--interpreter", "mine"], "must be 'bundled' or 'target'"),
        (["pack", "{env}", "--compression-level", "99"], "must be from 0 to 9 for 'tar.xz'"),
        (["pack", "{env}", "--wheel", "x.txt"], "x.txt is not a wheel"),
        (["export", "{env}", "{env}"], "is not empty and was not exported by pack-venv"),
    ],
)
def test_problems_are_one_message(
    environment: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1, one message on standard error that says what, nothing on standard output."""
    given = [argument.format(env=environment) for argument in arguments]
    if "--interpreter" not in given:
        given += ["--interpreter", "target"]
    assert run(*given) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("pack-venv: error: ")
    assert message in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("arguments", [[], ["pack"], ["pack", "x", "--nope"], ["unpack", "x"]])
def test_wrong_usage_is_exit_2(arguments: list[str]) -> None:
    """argparse's own errors are exit 2."""
    assert run(*arguments) == 2


@pytest.mark.parametrize("arguments", [["--help"], ["pack", "--help"], ["export", "--help"]])
def test_help_tells_defaults(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Help is exit 0 and speaks of what the command does."""
    assert run(*arguments) == 0
    text = capsys.readouterr().out
    assert "pack" in text
    assert "default" in text or "examples:" in text


def test_the_module_is_the_command(tmp_path: Path) -> None:
    """`python -m hatch_pack_venv` runs it, without a traceback for a mistake."""
    result = subprocess.run(
        [sys.executable, "-m", "hatch_pack_venv", "pack", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith(f"pack-venv: error: {tmp_path} is not a virtual environment")
    assert "Traceback" not in result.stderr


@pytest.fixture(scope="module")
def archive(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("archive") / "app"
    assert run("pack", environment, "-o", base, "--interpreter", "target", "-q") == 0
    return base.with_name("app.tar.xz")


def test_verify_is_exit_0_or_a_message(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is as packed is one line; what is not has a line for each finding, and exit 1."""
    capsys.readouterr()
    assert run("verify", archive) == 0
    assert capsys.readouterr().out.startswith(f"{archive}  as packed: ")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    folder = tmp_path / "My Project"
    (folder / "postinstall.py").unlink()
    (folder / "more").mkdir()
    assert run("verify", folder) == 1
    captured = capsys.readouterr()
    assert captured.out == (
        "added      more is a directory that was not packed\n"
        "missing    postinstall.py is not there\n"
    )
    expected = f"pack-venv: error: {folder} is not as it was packed: 1 added, 1 missing\n"
    assert captured.err == expected
    assert run("verify", folder, "--json") == 1
    result = json.loads(capsys.readouterr().out)
    assert result["ok"] is False
    assert [finding["path"] for finding in result["findings"]] == ["more", "postinstall.py"]


def test_inspect_prints_json(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The object has the manifest's head and sizes."""
    capsys.readouterr()
    assert run("inspect", archive, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["name"] == "My Project"
    assert result["interpreter"] == "target"
    assert result["distributions"] == []
    assert result["packed_size"] == archive.stat().st_size
    assert run("inspect", archive) == 0
    text = capsys.readouterr().out
    assert text.startswith("My Project\n  interpreter     target: needs cpython 3.")
    assert "\033[" not in text


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_nothing_to_read_is_told(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A path where nothing is gives one sentence."""
    assert run(command, "/nowhere/a.tar.xz") == 1
    told = capsys.readouterr().err
    assert told == "pack-venv: error: there is no archive or folder /nowhere/a.tar.xz\n"
