"""Folders that claim to be connected, whatever else their manifest and links say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from support.fakes import file, plan

from hatch_pack_venv.metadata.files import parse_json
from hatch_pack_venv.model.errors import ArchiveProblem
from hatch_pack_venv.model.manifest import ARCNAME, own_digest, render
from hatch_pack_venv.read.verify import Verification, verify
from hatch_pack_venv.write.archive import write_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with the file that connecting writes first."""
    write_folder(plan(file("bin/demo", b"#!python\n", executable=True)), tmp_path / "app")
    (tmp_path / "app/pyvenv.cfg").write_text("home = /x\n")
    return tmp_path / "app"


def changed(folder: Path, **more: Any) -> None:
    """Add to a manifest, and correct its own digest."""
    head = parse_json((folder / ARCNAME).read_bytes())
    head.pop("manifest_sha256")
    head |= more
    (folder / ARCNAME).write_bytes(render({**head, "manifest_sha256": own_digest(head)}))


def details(result: Verification) -> list[str]:
    return [each.detail for each in result.findings if each.what == "connection"]


@pytest.mark.parametrize("target", [b"/a\nb", b"/a\xff", b"/a\rb"])
def test_an_interpreter_that_no_configuration_can_name_is_a_finding(
    folder: Path, target: bytes
) -> None:
    """The finding is the error that connecting would raise."""
    os.symlink(target, os.fsencode(folder) + b"/bin/python3.11")
    result = verify(folder)
    assert result.connected
    assert details(result)


@pytest.mark.parametrize("key", ["base_distributions", "target_libraries"])
@pytest.mark.parametrize("wrong", [5, [5], {"x": 1}, "x"])
def test_a_list_of_another_type_is_one_sentence(folder: Path, key: str, wrong: object) -> None:
    """A manifest with values of other types is not valid."""
    changed(folder, **{key: wrong})
    with pytest.raises(ArchiveProblem, match="manifest"):
        verify(folder)
