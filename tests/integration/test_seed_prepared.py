"""The seed API as venvstacks 0.7 and later call it, and features beyond that."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support.archives import contents, every_format, packed
from support.trees import tree_state

from hatch_pack_venv import CompressionFormat, PackVenvError, create_archive, export_venv
from hatch_pack_venv.read.verify import verify

if TYPE_CHECKING:
    from support.interpreters import Python

LATE: Final = 4_000_000_000
NEIGHBOUR: Final = "../../cpython@3/bin/python3"


def prepare(folder: Path) -> None:
    """Change, add, replace and remove, as `stacks.py` does and more."""
    python = folder / "bin/python"
    python.unlink()
    python.symlink_to(NEIGHBOUR)
    wrapper = folder / "bin/wrapper"
    wrapper.write_text("#!/bin/sh\nexit 0\n")
    wrapper.chmod(0o4775)
    (folder / "share/data").write_text("changed\n")
    (folder / "share/new").mkdir(mode=0o700)
    (folder / "share/new/file").write_text("new\n")
    (folder / "share/RECORD").unlink()


@every_format
def test_what_is_prepared_is_packed(
    source: Path, tmp_path: Path, format: CompressionFormat
) -> None:
    """The caller gets a copy named like the install target; the archive holds what it leaves."""
    given: list[Path] = []
    before = tree_state(source)
    work = tmp_path / "work"
    work.mkdir()

    def note(folder: Path) -> None:
        given.append(folder)
        assert (folder / "postinstall.py").is_file()
        assert not (folder / "pyvenv.cfg").exists()
        assert list(folder.parent.iterdir()) == [folder]
        prepare(folder)

    more = {"install_target": "layer@1", "work_dir": work, "prepare_deployed_env": note}
    path = packed(source, format, **more, clamp_mtime=datetime.fromtimestamp(LATE, UTC))
    (folder,) = given
    assert folder.is_absolute()
    assert folder.name == "layer@1"
    assert folder.is_relative_to(work)
    assert list(work.iterdir()) == []
    assert tree_state(source) == before
    found = contents(path)
    assert found["layer@1/share/data"].content == b"changed\n"
    assert found["layer@1/share/new/file"].content == b"new\n"
    assert found["layer@1/share/new"].mode == 0o700
    assert found["layer@1/bin/wrapper"].mode == 0o755
    assert "layer@1/share/RECORD" not in found
    if format is CompressionFormat.ZIP:
        assert "layer@1/bin/python" not in found
    else:
        assert found["layer@1/bin/python"].link == NEIGHBOUR
    assert max(each.mtime for each in found.values()) <= LATE
    assert verify(path, external_links=True).is_whole


def test_what_is_not_changed_leaves_the_archive_as_it_is(source: Path) -> None:
    """A preparation that does nothing makes the same bytes as none."""
    limit = datetime.fromtimestamp(1_500_000_000, UTC)
    plain = packed(source, "tar", clamp_mtime=limit).read_bytes()
    assert packed(source, "tar", clamp_mtime=limit, prepare_deployed_env=str).read_bytes() == plain


def test_an_export_is_prepared_in_its_place(source: Path) -> None:
    """The caller gets the target before the post-install script; the result verifies."""
    calls: list[tuple[Path, ...]] = []
    target = source.parents[1] / "exported"

    def note(folder: Path) -> None:
        calls.append((folder,))
        prepare(folder)

    def run(python: Path, script: Path) -> None:
        calls.append((python, script))

    assert export_venv(source, target, prepare_deployed_env=note, run_postinstall=run) == target
    assert calls == [(target,), (target / "bin/python", target / "postinstall.py")]
    assert os.readlink(target / "bin/python") == NEIGHBOUR
    assert verify(target, external_links=True).is_whole
    archive = packed(source, "tar", prepare_deployed_env=prepare)
    here = {name.removeprefix("env").lstrip("/") for name in contents(archive)} - {""}
    assert {str(path.relative_to(target)) for path in target.rglob("*")} == here


@pytest.mark.parametrize("earlier", [False, True])
def test_a_failed_preparation_leaves_nothing(source: Path, *, earlier: bool) -> None:
    """Neither an archive nor a folder nor a temporary file; an earlier export is as it was."""
    target = source.parents[1] / "there/exported"
    if earlier:
        export_venv(source, target)
        (target / "mine").write_text("added since")
    before = tree_state(target) if earlier else None

    def fail(folder: Path) -> None:
        prepare(folder)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        export_venv(source, target, prepare_deployed_env=fail)
    if earlier:
        assert tree_state(target) == before
        assert list(target.parent.iterdir()) == [target]
    else:
        assert not target.parent.exists()
    with pytest.raises(LookupError, match="mine"):
        packed(source, "tar", prepare_deployed_env=fail, work_dir=source.parent)
    assert not list(source.parent.glob(".pack-venv-*"))
    assert not (source.parents[1] / "out").exists()


def test_what_cannot_be_packed_of_it_is_refused(source: Path) -> None:
    """It is named, and there is no archive."""
    with pytest.raises(PackVenvError, match=r"share/pipe is a FIFO"):
        packed(source, "tar", prepare_deployed_env=lambda f: os.mkfifo(f / "share/pipe"))
    assert not (source.parents[1] / "out").exists()


def test_record_files_are_true_for_what_is_packed(source: Path, python: Python) -> None:
    """With `update`, RECORD lists only packed files and has new hashes for changed ones."""
    site = f"lib/python{python.minor}/site-packages"
    rows = "pkg/__init__.py,sha256=x,1\npkg/__pycache__/__init__.cpython-311.pyc,,\n"
    rows += "pkg-1.0.dist-info/METADATA,,\npkg/gone.py,sha256=y,2\n"
    record = source / site / "pkg-1.0.dist-info/RECORD"
    record.write_text(rows)
    name = f"env/{site}/pkg-1.0.dist-info/RECORD"

    def change(folder: Path) -> None:
        (folder / site / "pkg/__init__.py").write_text("VALUE = 2\n")

    assert name not in contents(packed(source, "tar"))
    found = contents(packed(source, "tar", record_files="update", prepare_deployed_env=change))
    told = {row[0]: row[1:] for row in csv.reader(found[name].content.decode().splitlines())}
    digest = urlsafe_b64encode(hashlib.sha256(b"VALUE = 2\n").digest()).decode().rstrip("=")
    assert told == {
        "pkg/__init__.py": [f"sha256={digest}", "10"],
        "pkg-1.0.dist-info/METADATA": ["", ""],
    }
    target = export_venv(source, source.parents[1] / "exported", record_files="update")
    assert (target / site / "pkg-1.0.dist-info/RECORD").is_file()
    with pytest.raises(ValueError, match="record_files must be 'exclude' or 'update', not 'keep'"):
        packed(source, record_files="keep")


def test_an_export_can_share_its_files(source: Path) -> None:
    """With `hard_links`, unchanged files are hard links to the source's files."""
    target = export_venv(source, source.parents[1] / "exported", hard_links=True)
    assert (target / "share/data").samefile(source / "share/data")
    plain = export_venv(source, source.parents[1] / "plain")
    assert not (plain / "share/data").samefile(source / "share/data")


def test_paths_may_begin_with_the_home_folder(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`~` is expanded wherever a path is given."""
    monkeypatch.setenv("HOME", str(source.parent))
    assert export_venv("~/env", "~/exported") == source.parent / "exported"
    path = create_archive("~/env", "~/app", format="tar", work_dir="~", show_progress=False)
    assert path == source.parent / "app.tar"
    assert json.loads(Path(f"{path}.json").read_text())["manifest"]["name"] == "env"
