"""What an ended run left behind is cleared away, and what a living one writes is left alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.fakes import file, plan

from hatch_pack_venv.model.entries import FileEntry
from hatch_pack_venv.model.errors import SourceProblem
from hatch_pack_venv.write.archive import write_folder
from hatch_pack_venv.write.atomic import PendingFile, pending_folder

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


def test_a_killed_export_is_cleared_away_and_the_earlier_one_put_back(tmp_path: Path) -> None:
    """An export that was killed while it changed places loses nothing."""
    target = tmp_path / "app"
    write_folder(plan(file("old", b"1")), target)
    work = tmp_path / ".app.killed.partial"
    work.mkdir()
    target.rename(work / "old")
    (work / "new").mkdir()
    with pytest.raises(SourceProblem):
        write_folder(plan(FileEntry(arcname="b", content=str(tmp_path / "gone"), size=1)), target)
    assert (target / "old").read_bytes() == b"1"
    assert names(tmp_path) == ["app"]


def test_the_folder_of_a_living_export_is_left_alone(tmp_path: Path) -> None:
    """An export to the same place at the same time is not pulled away."""
    target = tmp_path / "app"
    with pending_folder(target) as first:
        first.mkdir()
        write_folder(plan(file("a")), target)
        assert first.is_dir()


def test_what_others_gave_such_a_name_is_left_alone(tmp_path: Path) -> None:
    """A FIFO is not waited for, and what a link leads to is neither moved nor removed."""
    os.mkfifo(tmp_path / ".app.tar.fifo.partial")
    (tmp_path / "mine" / "old").mkdir(parents=True)
    (tmp_path / ".app.tar.link.partial").symlink_to("mine")
    with PendingFile(tmp_path / "app.tar"):
        pass
    assert names(tmp_path) == [".app.tar.fifo.partial", ".app.tar.link.partial", "mine"]
    assert names(tmp_path / "mine") == ["old"]
