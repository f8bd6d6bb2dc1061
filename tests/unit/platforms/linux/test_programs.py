"""Packed programs that need a bundled library but cannot be changed to find it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest
from support.binaries import DT_NEEDED, make_elf

from hatch_pack_venv.model.entries import FileEntry
from hatch_pack_venv.model.errors import InterpreterProblem
from hatch_pack_venv.platforms.linux import bundle

if TYPE_CHECKING:
    from pathlib import Path


def program(tmp_path: Path, content: bytes) -> FileEntry:
    (tmp_path / "tool").write_bytes(content)
    return FileEntry(arcname="bin/tool", content=str(tmp_path / "tool"), size=len(content))


def without_patchelf(*_: object) -> NoReturn:
    raise InterpreterProblem("patchelf is needed")


@pytest.mark.parametrize(
    ("payload", "why"),
    [(b"payload" * 100, "it has data appended to it"), (b"", "patchelf is needed")],
)
def test_a_program_that_stays_as_it_is_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, payload: bytes, why: str
) -> None:
    """It starts only where the target has the library."""
    monkeypatch.setattr(bundle, "with_more_folders", without_patchelf)
    entry = program(tmp_path, make_elf((DT_NEEDED, "libz.so.1")) + payload)
    unchanged, (note,) = bundle.with_libraries(entry)
    assert unchanged is entry
    assert note.startswith("bin/tool needs bundled libraries but cannot find them by itself")
    assert why in note


def test_one_that_cannot_be_read_is_told_by_whoever_packs_it(tmp_path: Path) -> None:
    """The error is reported once, and not here."""
    entry = FileEntry(arcname="bin/tool", content=str(tmp_path / "gone"), size=1)
    assert bundle.with_libraries(entry) == (entry, ())
