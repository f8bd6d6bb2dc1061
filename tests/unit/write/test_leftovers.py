"""What a killed run left behind is removed, and what a running one writes is left alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.fakes import file, plan
from support.trees import shallow_stack

from hatch_pack_venv.model.entries import FileEntry
from hatch_pack_venv.model.errors import SourceProblem
from hatch_pack_venv.write.archive import write_folder
from hatch_pack_venv.write.atomic import PendingFile, commit_all, pending_folder

if TYPE_CHECKING:
    from pathlib import Path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_partial_file_of_a_living_run_is_left_alone(tmp_path: Path) -> None:
    """Two runs at a time do not remove each other's files, nor those of another name."""
    (tmp_path / ".other.tar.abc.partial").write_bytes(b"")
    with PendingFile(tmp_path / "app.tar") as first, PendingFile(tmp_path / "app.tar") as second:
        assert first.partial.exists()
        assert second.partial.exists()
        assert first.partial != second.partial
    assert names(tmp_path) == [".other.tar.abc.partial"]


def test_a_finished_file_of_a_living_run_is_left_alone(tmp_path: Path) -> None:
    """It is locked until it is in place, since all files are finished before any is put there."""
    path = tmp_path / "app.tar"
    with PendingFile(path) as first:
        first.stream.write(b"1")
        first.finish()
        with PendingFile(path) as second:
            second.finish()
            commit_all([first])
            assert path.read_bytes() == b"1"
            commit_all([second])
    assert path.read_bytes() == b""
    assert names(tmp_path) == ["app.tar"]


def test_a_killed_export_is_cleared_away_and_the_earlier_one_put_back(tmp_path: Path) -> None:
    """An export that was killed while folders were exchanged loses nothing."""
    target = tmp_path / "app"
    write_folder(plan(file("old", b"1")), target)
    work = tmp_path / ".app.k1l_led0.partial"
    work.mkdir()
    target.rename(work / "old")
    (work / "new").mkdir()
    with pytest.raises(SourceProblem):
        write_folder(plan(FileEntry(arcname="b", content=str(tmp_path / "gone"), size=1)), target)
    assert (target / "old").read_bytes() == b"1"
    assert names(tmp_path) == ["app"]


def test_the_folder_of_a_living_export_is_left_alone(tmp_path: Path) -> None:
    """Another export to the same place at the same time does not remove it."""
    target = tmp_path / "app"
    with pending_folder(target) as first:
        first.mkdir()
        write_folder(plan(file("a")), target)
        assert first.is_dir()


def test_what_others_gave_such_a_name_is_left_alone(tmp_path: Path) -> None:
    """A FIFO is not waited for, and what a link leads to is neither moved nor removed."""
    os.mkfifo(tmp_path / ".app.tar.aa_fifo0.partial")
    (tmp_path / "mine" / "old").mkdir(parents=True)
    (tmp_path / ".app.tar.aa_link0.partial").symlink_to("mine")
    with PendingFile(tmp_path / "app.tar"):
        pass
    assert names(tmp_path) == [".app.tar.aa_fifo0.partial", ".app.tar.aa_link0.partial", "mine"]
    assert names(tmp_path / "mine") == ["old"]


def test_a_folder_of_somebody_is_left_alone(tmp_path: Path) -> None:
    """Neither a folder with a similar name nor a file is removed."""
    alike = tmp_path / ".app.tar.mine.partial"
    (alike / "work").mkdir(parents=True)
    (tmp_path / ".app.tar.notes.partial").write_text("mine")
    with PendingFile(tmp_path / "app.tar"):
        pass
    assert (alike / "work").is_dir()
    assert (tmp_path / ".app.tar.notes.partial").read_text() == "mine"


def test_a_file_that_cannot_be_removed_is_left_to_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk error while a run cleans up does not hide the run's own outcome."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch, PendingFile(tmp_path / "app.tar") as file:
        patch.setattr("pathlib.Path.unlink", refuse)
        file.__exit__()
    with PendingFile(tmp_path / "app.tar"):
        pass
    assert names(tmp_path) == []


def test_a_deep_export_is_replaced(tmp_path: Path) -> None:
    """The earlier export is removed, although it is deeper than Python's stack."""
    write_folder(plan(file("a", b"1")), tmp_path / "app")
    (tmp_path / "app").joinpath(*"d" * 400).mkdir(parents=True)
    with shallow_stack():
        write_folder(plan(file("b", b"2")), tmp_path / "app")
    assert names(tmp_path) == ["app"]
    assert "d" not in names(tmp_path / "app")
