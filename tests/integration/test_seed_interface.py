"""create_archive's output, progress and temporary files, with a real environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from support.archives import every_format, packed
from support.shells import shown_on_a_terminal

from hatch_pack_venv import (
    CompressionFormat,
    PackVenvError,
    create_archive,
    get_archive_path,
)


@pytest.mark.parametrize("name", ["rar", "tar.lzma", ".zip", "ZIP", " xz"])
def test_an_unknown_format_is_a_value_error_with_the_choices(name: str, source: Path) -> None:
    """The message lists the valid names, and nothing is written."""
    for call in (
        lambda: get_archive_path("app", name),
        lambda: CompressionFormat.get_format(name),
        lambda: packed(source, name),
    ):
        with pytest.raises(ValueError, match=r"expected one of 'tar', .*'zip'.*, not") as caught:
            call()
        assert isinstance(caught.value, PackVenvError)
    assert not (source.parents[1] / "out").exists()


@every_format
def test_the_archive_is_where_get_archive_path_says(
    source: Path, format: CompressionFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The returned path, the predicted path and the file on disk are the same."""
    monkeypatch.chdir(source.parent)
    told = get_archive_path("deep/app-1.0", format)
    assert create_archive("env", "deep/app-1.0", show_progress=False, format=format) == told
    assert sorted(path.name for path in Path("deep").iterdir()) == [told.name, f"{told.name}.json"]


def test_by_default_it_is_a_tar_xz(source: Path) -> None:
    """Without a format, the archive is named .tar.xz and contains xz data."""
    path = packed(source)
    assert path.name == "app.tar.xz"
    assert path.read_bytes()[:6] == b"\xfd7zXZ\x00"


# progress

SHOW: Final = """
import sys
from hatch_pack_venv import create_archive
create_archive(sys.argv[1], sys.argv[2], format="tar", **eval(sys.argv[3]))
"""


def shown(source: Path, arguments: str, columns: int = 80) -> str:
    command: list[str | Path] = [
        sys.executable,
        "-c",
        SHOW,
        source,
        source.parents[1] / "out/app",
        arguments,
    ]
    seen, output = shown_on_a_terminal(command, columns)
    assert output == ""
    return seen


@pytest.mark.parametrize("columns", [80, 0])
def test_progress_is_shown_by_default(source: Path, columns: int) -> None:
    """On a terminal, even one of unknown size, there is a bar that counts bytes."""
    (source / "share/big").write_bytes(os.urandom(30_000_000))
    seen = shown(source, "{}", columns)
    assert "Packing" in seen
    assert "B/s" in seen
    assert seen.rstrip(" ").endswith("\r")


def test_progress_can_be_turned_off(source: Path) -> None:
    """Then nothing is shown, even on a terminal."""
    assert shown(source, "{'show_progress': False}") == ""


def test_progress_is_silent_without_a_terminal(
    source: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Logs are not filled with bars."""
    create_archive(source, source.parents[1] / "out/app", format="tar")
    assert capfd.readouterr() == ("", "")


# temporary files

# Prints each path that this process creates, opens for writing or renames.
WATCH: Final = """
import os, sys
from hatch_pack_venv import create_archive
seen = set()
def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            seen.add(arguments[0])
    elif event in ("os.mkdir", "os.rename", "os.symlink", "os.link"):
        seen.update(map(str, arguments[:2] if event != "os.mkdir" else arguments[:1]))
sys.addaudithook(watch)
create_archive(sys.argv[1], sys.argv[2], work_dir=sys.argv[3], format=sys.argv[4])
print(*sorted(seen), sep="\\n")
"""


@every_format
def test_temporary_files_go_to_the_work_dir(
    source: Path, tmp_path: Path, format: CompressionFormat
) -> None:
    """Next to the archive only its facts and partial files are written; TMPDIR is not used."""
    work = tmp_path / "work"
    work.mkdir()
    base = tmp_path / "out/app"
    base.parent.mkdir()
    done = subprocess.run(
        [sys.executable, "-B", "-c", WATCH, str(source), str(base), str(work), format.value],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path / "no-such-folder")},
    )
    assert done.returncode == 0, done.stderr
    name = get_archive_path(base, format).name
    final = {name, f"{name}.json"}
    for path in map(Path, done.stdout.splitlines()):
        partial = path.name.startswith(f".{name}.") and path.name.endswith(".partial")
        ours = path.parent == base.parent and (path.name in final or partial)
        made = path == base.parent
        assert ours or made or path.is_relative_to(work) or str(path) == os.devnull, path
    assert {path.name for path in base.parent.iterdir()} == final
    assert list(work.iterdir()) == []


def test_a_work_dir_that_is_not_there_is_refused(source: Path, tmp_path: Path) -> None:
    """The error says that it does not exist."""
    with pytest.raises(PackVenvError, match=r"folder for temporary files.*does not exist"):
        packed(source, work_dir=tmp_path / "none")


def test_what_starts_by_itself_is_not_for_create_archive(source: Path) -> None:
    """Its environments have no interpreter of their own; nothing is written."""
    with pytest.raises(PackVenvError, match=r"format must be a tar format or 'zip', not 'run'"):
        packed(source, "run")
    assert not (source.parents[1] / "out").exists()
