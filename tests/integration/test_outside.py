"""Folders outside the environment on a real interpreter's search path are reported."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support.environments import run, tool

from hatch_pack_venv import PackOptions
from hatch_pack_venv.api.planning import plan_source
from hatch_pack_venv.api.source import Source
from hatch_pack_venv.model.errors import PlanError

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_pack_venv.model.plan import PackPlan


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """Make an empty environment next to a folder that contains a module."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "shared.py").touch()
    run(tool("uv"), "venv", "--quiet", "--python", sys.executable, tmp_path / "env")
    return tmp_path / "env"


def planned(prefix: Path, **table: object) -> PackPlan:
    options = PackOptions.from_mapping({"interpreter": "target", **table})
    return plan_source(Source.read(prefix, options), None)


def site(prefix: Path) -> Path:
    return next(prefix.glob("lib/python3*/site-packages"))


def test_a_folder_that_a_path_file_s_code_names_is_refused(prefix: Path) -> None:
    """The file is named in the error, unless a pattern excludes it."""
    overlay = site(prefix) / "_uv_ephemeral_overlay.pth"
    overlay.write_text(f"import site; site.addsitedir('{prefix.parent}/shared')\n")
    with pytest.raises(PlanError) as caught:
        planned(prefix)
    (problem,) = caught.value.problems
    assert f"overlay.pth runs code that adds {prefix.parent}/shared to sys.path" in problem
    assert planned(prefix, **{"exclude-files": ["_uv_ephemeral_overlay.pth"]}).notes == ()


def test_a_folder_that_code_finds_out_is_noted(prefix: Path) -> None:
    """A `.pth` file that computes what it adds gives a note that names the folder."""
    text = "import os, sys; sys.path.append(os.path.join(sys.prefix, '..', 'shared'))\n"
    (site(prefix) / "found.pth").write_text(text)
    (note,) = planned(prefix).notes
    assert note.startswith(f"{prefix}/../shared is on the environment's sys.path but is not packed")


def test_what_start_up_code_prints_is_no_search_path(prefix: Path) -> None:
    """JSON printed at exit and a process that keeps the output open do not affect the answer."""
    code = "import atexit, os, subprocess; atexit.register(print, 5); "
    folder = "os.path.join(sys.prefix, '..', 'shared')"
    code += f"subprocess.Popen(['sleep', '0.2']); import sys; sys.path.append({folder})\n"
    (site(prefix) / "loud.pth").write_text(code)
    (note,) = planned(prefix).notes
    assert note.startswith(f"{prefix}/../shared is on the environment's sys.path")


def test_code_that_fails_is_nobody_s_folder(prefix: Path) -> None:
    """Start-up code that breaks or prints does not keep an environment from being packed."""
    (site(prefix) / "loud.pth").write_text("import sys; print('hello'); 1 / 0\n")
    assert planned(prefix).notes == ()
