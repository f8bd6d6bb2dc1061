"""Folders outside of an environment that its start-up code adds to `sys.path`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.fakes import SITE, distribution, editable, environment, file

from hatch_pack_venv.scan.outside import (
    describe_outside,
    folders_outside,
    plain_folders,
    startup_code,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "content", "counts"),
    [
        ("_overlay.pth", b"import site; site.addsitedir('/parent')\n", True),
        ("sitecustomize.py", b"import sys\nsys.path.append('/parent')\n", True),
        ("plain.pth", b"../src\n# import this\n", False),
        ("distutils-precedence.pth", b"import os; x = 1\n", False),
        ("pkg-1.0-nspkg.pth", b"import sys, types\n", False),
        ("_virtualenv.pth", b"import _virtualenv", False),
        ("pkg/sitecustomize.py", b"import sys\n", False),
    ],
)
def test_which_files_may_change_the_search_path(name: str, content: bytes, *, counts: bool) -> None:
    """Those that run code when the interpreter starts, except known ones."""
    found = startup_code(environment(), [file(f"{SITE}/{name}", content)])
    assert list(found) == ([f"{SITE}/{name}"] if counts else [])


def test_editable_installs_are_handled_elsewhere(tmp_path: Path) -> None:
    """Neither their hooks nor their folders are reported a second time."""
    made = editable("app", tmp_path)
    assert startup_code(environment(made), [file(f"{SITE}/app.pth", b"import x\n")]) == {}
    (tmp_path / "app.py").touch()
    assert folders_outside([str(tmp_path)], environment(made)) == []
    assert folders_outside([str(tmp_path)], environment()) == [str(tmp_path)]


def test_only_folders_that_hold_something_count(tmp_path: Path) -> None:
    """An empty folder, one with only bytecode, and a missing one add nothing."""
    for name in ("empty", "cache/__pycache__", "full/pkg"):
        (tmp_path / name).mkdir(parents=True)
    asked = [str(tmp_path / name) for name in ("empty", "cache", "gone", "full")]
    assert folders_outside(asked, environment()) == [str(tmp_path / "full")]
    inside = environment(distribution("app"), prefix=tmp_path)
    assert folders_outside(asked, inside) == []


def test_a_file_that_names_the_folder_is_an_error_else_it_is_noted() -> None:
    """A plain line of a path file is an error too; a computed folder may differ another time."""
    code = {f"{SITE}/_overlay.pth": b"import site; site.addsitedir('/parent')"}
    found = describe_outside(["/parent", "/home/me/.local/lib"], code)
    (problem,), (note,) = found.problems, found.notes
    assert problem.startswith(f"{SITE}/_overlay.pth runs code that adds /parent to sys.path, ")
    assert note.startswith("/home/me/.local/lib is on the environment's sys.path but is not packed")


def test_plain_lines_are_known() -> None:
    """They are refused where path files are relocated."""
    found = plain_folders(environment(), [file(f"{SITE}/a.pth", b"/src\n../x\nimport y\n")])
    assert found == {"/src", "/build/env/lib/python3.11/x"}
