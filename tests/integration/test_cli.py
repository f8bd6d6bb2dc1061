"""The command, in this process and as a program."""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.environments import install
from support.shells import shown_on_a_terminal
from support.trees import extract, make_wheel, tree_state

from hatch_pack_venv import PackOptions, PackVenvError, pack
from hatch_pack_venv.cli.main import main
from hatch_pack_venv.model.results import silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from hatch_pack_venv.model.results import Progress
import os


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
    """Without -o the archive is in the current folder, named after the project's folder."""
    monkeypatch.chdir(tmp_path)
    assert run("pack", environment, "--interpreter", "target") == 0
    with tarfile.open(tmp_path / "My Project.tar.xz") as tar:
        assert tar.getnames()[0] == "My Project"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "My Project.tar.xz",
        "My Project.tar.xz.cdx.json",
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
    """The path is a line of its own; sizes, hash and the next thing to type are below it."""
    assert run("pack", environment, "-o", tmp_path / "a", "--interpreter", "target") == 0
    path, size, digest, *_, step = capsys.readouterr().out.splitlines()
    assert path == f"{tmp_path / 'a'}.tar.xz"
    assert re.fullmatch(
        r"  size     [\d.]+ kB packed, [\d.]+ kB unpacked, \d+ entries, in \d\.\d s", size
    )
    assert digest.startswith("  sha256   ")
    assert step.endswith("'My Project'/postinstall.py && 'My Project'/bin/python")


def test_options_reach_the_plan(environment: Path, tmp_path: Path) -> None:
    """Patterns, level and install target given as options are applied."""
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
    assert run("verify", target) == 0


def test_collections_are_rare_only_while_packing(environment: Path, tmp_path: Path) -> None:
    """The collector's threshold is higher while packing and restored afterwards, even on errors."""
    before, during = gc.get_threshold(), []

    def report(_total: int) -> AbstractContextManager[Progress]:
        during.append(gc.get_threshold())
        return silent(0)

    options = PackOptions(interpreter="target")
    pack(environment, tmp_path / "app", options, report=report)
    assert during[0][0] > before[0]
    assert gc.get_threshold() == before
    with pytest.raises(PackVenvError):
        pack(tmp_path / "nowhere", tmp_path / "app", options)
    assert gc.get_threshold() == before


def test_export_shares_files_only_when_asked(environment: Path, tmp_path: Path) -> None:
    """With hard links, unchanged files are the environment's own; it is not modified."""
    module = next(environment.glob("lib/python3.*/site-packages")) / "module.py"
    module.write_text("x = 1\n")
    private = module.with_name("private.py")
    private.write_text("x = 2\n")
    private.chmod(0o600)
    before = {path: path.stat().st_mtime_ns for path in environment.rglob("*")}
    shared, own = tmp_path / "shared", tmp_path / "own"
    arguments = ("export", environment, shared, "--interpreter", "target")
    assert run(*arguments, "--link-mode", "hardlink") == 0
    assert run("export", environment, own, "--interpreter", "target") == 0
    name, closed = module.relative_to(environment), private.relative_to(environment)
    assert (shared / name).samefile(module)
    assert not (own / name).samefile(module)
    # Its mode differs from the archive's; changing it would change the environment's file.
    assert not (shared / closed).samefile(private)
    assert (shared / closed).stat().st_mode & 0o777 == 0o644
    assert {path: path.stat().st_mtime_ns for path in environment.rglob("*")} == before
    for folder in (shared, own):
        assert run("verify", folder) == 0
        assert run("export", environment, folder, "--interpreter", "target") == 0  # once more
    assert module.read_text() == "x = 1\n"
    module.unlink()
    private.unlink()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pack", "/nowhere"], "pack-venv: error: there is no environment at /nowhere"),
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


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], True),
        (["--vendor-libraries", "false"], False),
        (["--vendor-libraries", "readline"], True),
    ],
)
def test_pack_takes_the_options_of_a_bundle(
    environment: Path, tmp_path: Path, words: list[str], expected: bool
) -> None:
    """--vendor-libraries and --interpreter-trim decide what comes along with the interpreter."""
    arguments = ["--format", "tar", "--interpreter-trim", "minimal", *words]
    assert run("pack", environment, "-o", tmp_path / "a", *arguments, "-q") == 0
    with tarfile.open(tmp_path / "a.tar") as tar:
        names = set(tar.getnames())
    stems = {name.rpartition("/")[2].partition(".")[0] for name in names}
    assert ("libcrypto" in stems) is expected
    assert ("libreadline" in stems) is ("readline" in words)
    assert not {"libc", "libm", "ld-linux-x86-64", "tkinter", "ensurepip", "test"} & stems


def test_a_wrong_name_of_a_library_is_told(
    environment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A library that cannot be asked for by name is an error with those that can."""
    arguments = ["-o", tmp_path / "a", "--vendor-libraries", "libssl"]
    assert run("pack", environment, *arguments) == 2
    assert "'readline' and 'gdbm'" in capsys.readouterr().err


@pytest.fixture(scope="module")
def archive(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("archive") / "app"
    assert run("pack", environment, "-o", base, "--interpreter", "target", "-q") == 0
    return base.with_name("app.tar.xz")


def test_verify_is_exit_0_or_a_message(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An archive as packed is one line; changes have a line for each finding, and exit status 1."""
    capsys.readouterr()
    assert run("verify", archive) == 0
    assert capsys.readouterr().out.startswith(f"{archive}  as packed: ")
    with tarfile.open(archive) as tar:
        extract(tar, tmp_path)
    folder = tmp_path / "My Project"
    (folder / "postinstall.py").unlink()
    (folder / "more").mkdir()
    assert run("verify", folder) == 1
    captured = capsys.readouterr()
    assert captured.out == (
        "added      more is a directory that was not packed\nmissing    postinstall.py is missing\n"
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


def test_inspect_tells_that_launchers_need_a_shell(
    archive: Path, environment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It does if there are launchers; interpreter names and activation scripts do not count."""
    points = {"my_app-2.0.dist-info/entry_points.txt": b"[console_scripts]\nmy-app = my_app:run\n"}
    wheel = make_wheel(tmp_path, {"my_app/__init__.py": b"", **points})
    options = ["--interpreter", "target", "--wheel", wheel, "-o", tmp_path / "app.tar"]
    assert run("pack", environment, *options) == 0
    for path, needed in ((archive, 0), (tmp_path / "app.tar", 1)):
        capsys.readouterr()
        assert run("inspect", path) == 0
        assert capsys.readouterr().out.count("/bin/sh for its launchers") == needed


def test_dry_run_tells_and_writes_nothing(
    environment: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Added and omitted files are listed with reasons; the folder stays empty."""
    wheel = make_wheel(tmp_path, {"my_app/__init__.py": b""})
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.chdir(out)
    options = ["--interpreter", "target", "--wheel", wheel, "--exclude-files", "*.fish"]
    before = tree_state(environment)
    assert run("pack", environment, "--dry-run", "--json", *options) == 0
    told = json.loads(capsys.readouterr().out)
    assert run("pack", environment, "--dry-run", *options) == 0
    text = capsys.readouterr().out
    assert list(out.iterdir()) == []
    assert tree_state(environment) == before
    assert run("pack", environment, "--json", *options) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert told["entry_count"] == result["entry_count"]
    assert told["manifest"]["distributions"] == [{"name": "my-app", "version": "2.0"}]
    added = {step["path"]: step["why"] for step in told["added"]}
    assert added["postinstall.py"] == "connects the environment where it is unpacked"
    left_out = {step["path"]: step["why"] for step in told["left_out"]}
    assert left_out["bin/activate.fish"] == "exclude-files"
    assert left_out["bin/python"] == "a name that the interpreter takes"
    assert left_out["pyvenv.cfg"] == "written for this environment by the tool that created it"
    assert "left out (" in text
    assert "a name that the interpreter takes" in text


def test_dry_run_tells_what_is_rewritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Launchers, RECORD, path files and copied links are named with the reason."""
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    wheel = make_wheel(
        tmp_path,
        {
            "my_app/__init__.py": b"",
            "my_app-2.0.dist-info/entry_points.txt": b"[console_scripts]\nmy-app = my_app:main\n",
        },
    )
    install(environment, "--offline", wheel)
    site = next((environment / "lib").glob("python3.*/site-packages"))
    (site / "extra.pth").write_text(f"{site}/my_app\n")
    (site / "data.txt").symlink_to(wheel)
    assert run("pack", environment, "--dry-run", "--json", "--interpreter", "target") == 0
    told = json.loads(capsys.readouterr().out)
    name = site.relative_to(environment).as_posix()
    why = {step["path"].removeprefix(f"{name}/"): step["why"] for step in told["rewritten"]}
    scripts = {name for name, reason in why.items() if "activation script" in reason}
    assert scripts == {
        f"bin/{name}" for name in ("activate", "activate.csh", "activate.fish", "Activate.ps1")
    }
    assert {path: reason for path, reason in why.items() if path not in scripts} == {
        "bin/my-app": "a launcher that finds its own interpreter",
        "data.txt": f"a copy of the link's target ({wheel})",
        "extra.pth": "its paths are relative",
        "my_app-2.0.dist-info/RECORD": "updated to match what is packed",
    }
    left_out = {Path(step["path"]).name: step["why"] for step in told["left_out"]}
    expected = "records where on this machine it was installed from"
    assert left_out["direct_url.json"] == expected


def test_dry_run_tells_where_everything_comes_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wheels, source folders and bytecode are distinguished; the count is the archive's."""
    environment, source = tmp_path / "env", tmp_path / "source"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (source / "dev").mkdir(parents=True)
    (source / "dev/__init__.py").write_text("x = 1\n")
    wheels = [
        make_wheel(tmp_path, {"app.py": b"", "old.py": b""}, "app-1.0-py3-none-any.whl"),
        make_wheel(tmp_path, {"dev.pth": f"{source}\n".encode()}, "dev-1.0-py3-none-any.whl"),
    ]
    install(environment, "--offline", *wheels)
    wheel = make_wheel(tmp_path, {"app.py": b"y = 2\n"}, "app-2.0-py3-none-any.whl")
    options: list[object] = ["--interpreter", "target", "--editables", "copy", "--wheel", wheel]
    options += ["--bytecode", "checked-hash", "-o", tmp_path / "packed", "--format", "tar"]
    assert run("pack", environment, "--dry-run", "--json", *options) == 0
    told = json.loads(capsys.readouterr().out)
    why = {
        step["path"].rpartition("site-packages/")[2]: step["why"]
        for kind in ("rewritten", "added", "left_out")
        for step in told[kind]
    }
    cached = f"__pycache__/{{}}.{sys.implementation.cache_tag}.pyc"
    assert why["app.py"] == why["app-2.0.dist-info/RECORD"] == "of app 2.0, from its wheel"
    assert why["old.py"] == "of app 1.0, which a wheel replaces"
    assert why["dev/__init__.py"] == "of dev 1.0, copied from its source folder"
    assert why["dev.pth"] == "of dev 1.0, whose source folder is copied"
    assert why[cached.format("app")] == "bytecode, compiled for the archive"
    assert why["dev/" + cached.format("__init__")] == "bytecode, compiled for the archive"
    assert not list(tmp_path.glob("packed*"))
    assert run("pack", environment, "--json", *options) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert told["entry_count"] == result["entry_count"]
    with tarfile.open(result["path"]) as tar:
        assert cached.format("app") in {
            name.rpartition("site-packages/")[2] for name in tar.getnames()
        }


def test_dry_run_tells_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All problems are listed, as the packing itself would list them, with exit 1."""
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    for name in ("one", "two"):
        (environment / name).symlink_to("nowhere")
    arguments = ["pack", environment, "-o", tmp_path / "a", "--interpreter", "target"]
    assert run(*arguments) == 1
    real = capsys.readouterr().err
    assert run(*arguments, "--dry-run", "--json") == 1
    captured = capsys.readouterr()
    assert captured.err == real
    assert [line.split()[2] for line in json.loads(captured.out)["refused"]] == ["one", "two"]


@pytest.mark.parametrize(("command", "told"), [("verify", "Verifying"), ("inspect", "Reading")])
def test_reading_a_large_archive_shows_progress(archive: Path, command: str, told: str) -> None:
    """There is a bar on a terminal, which is gone in the end; none with -q and --json."""
    words: list[str | Path] = [sys.executable, "-m", "hatch_pack_venv", command, archive]
    seen, printed = shown_on_a_terminal(words)
    assert told in seen
    assert seen.rstrip(" ").endswith("\r")
    assert printed
    for option in ("-q", "--json"):
        seen, printed = shown_on_a_terminal([*words, option])
        assert seen == ""
        assert printed


def test_names_cannot_command_the_terminal(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Control characters and undecodable bytes are printed escaped."""
    with tarfile.open(archive) as tar:
        extract(tar, tmp_path)
    folder = tmp_path / "My Project"
    (folder / "\033[2J").mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).mkdir()
    capsys.readouterr()
    assert run("verify", folder) == 1
    told = capsys.readouterr().out
    assert told.splitlines() == [
        r"added      \x1b[2J is a directory that was not packed",
        r"added      \udcff is a directory that was not packed",
    ]


@pytest.mark.parametrize(
    ("output", "options", "archive"),
    [
        ("out/app.tar.gz", [], "out/app.tar.gz"),
        ("app.zip", ["--format", "zip"], "app.zip"),
        ("app.tgz", [], "app.tgz"),
        ("app.tgz", ["--format", "tgz"], "app.tgz"),
        ("app-1.2", ["--format", "tar"], "app-1.2.tar"),
        ("out/", ["--format", "tar"], "out/My Project.tar"),
        (".", ["--format", "tar"], "My Project.tar"),
    ],
)
def test_the_output_names_the_format(
    environment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    output: str,
    options: list[str],
    archive: str,
) -> None:
    """-o takes a base name, a file with a format's suffix, or a directory."""
    monkeypatch.chdir(tmp_path)
    assert run("pack", environment, "-o", output, "--interpreter", "target", *options) == 0
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {archive, f"{archive}.cdx.json", f"{archive}.json"}


def test_an_output_that_names_another_format_is_refused(
    environment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A suffix and --format that disagree are one error, and nothing is written."""
    output = tmp_path / "app.zip"
    assert run("pack", environment, "-o", output, "--format", "tar.gz", "--format", "zip") == 2
    told = capsys.readouterr().err
    assert f"-o {output} names .zip, but --format names tar.gz and zip: remove one" in told
    assert list(tmp_path.iterdir()) == []


def test_a_project_is_not_taken_for_its_environment(
    environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For a folder that contains a `.venv`, the error suggests that path."""
    assert run("pack", environment.parent) == 1
    assert f"did you mean {environment}?" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_several_archives_are_read_one_by_one(
    environment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """As JSON they are a list; if one is damaged, `verify` still checks all and exits with 1."""
    archives = [tmp_path / "a.tar", tmp_path / "b.tar"]
    for archive in archives:
        assert run("pack", environment, "-o", archive, "--interpreter", "target") == 0
    capsys.readouterr()
    assert run(command, *archives, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert run(command, *archives) == 0
    assert "\n\n" in capsys.readouterr().out
    content = bytearray(archives[0].read_bytes())
    content[-len(content) // 2] ^= 1
    archives[0].write_bytes(content)
    if command == "verify":
        assert run(command, *archives, "--json") == 1
        assert len(json.loads(capsys.readouterr().out)) == 2


def test_a_file_may_be_named_like_a_folder_beside_it(environment: Path, tmp_path: Path) -> None:
    """`-o app.tar` is a file even if there is a folder `app`."""
    (tmp_path / "app").mkdir()
    assert run("pack", environment, "-o", tmp_path / "app.tar", "--interpreter", "target") == 0
    assert (tmp_path / "app.tar").is_file()
    assert not list((tmp_path / "app").iterdir())


def test_inspect_writes_a_page(archive: Path, tmp_path: Path) -> None:
    """It is one file that loads nothing, with the names and sizes of what is in the archive."""
    page = tmp_path / "page.html"
    assert run("inspect", archive, "--html", page) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "My Project" in text
    assert "Left out of the environment" in text
    assert "a name that the interpreter takes" in text
    assert not re.search(r"<script|<link|<img|https?://|@import|url\(", text)
