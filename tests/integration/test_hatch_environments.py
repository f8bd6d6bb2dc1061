"""`hatch-env`: Hatch itself is asked; nothing is created."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.environments import tool
from support.projects import TABLE, build, files, make_project

from hatch_pack_venv.api.hatch_environments import find_hatch_environment
from hatch_pack_venv.model.errors import EnvironmentProblem

MORE = """\
hatch-env = "release"

[tool.hatch.envs.release]
path = "environments/release"

[[tool.hatch.envs.test.matrix]]
python = ["3.11", "3.12"]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project that packs a Hatch environment which is not there yet."""
    monkeypatch.setenv("HATCH_DATA_DIR", str(tmp_path / "a rather long folder's name" / "data"))
    folder = str(Path(tool("hatch")).parent)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    root = make_project(tmp_path / "project", tmp_path / "nowhere", TABLE + MORE)
    (root / ".venv").unlink()
    return root


def test_a_missing_environment_is_told_with_what_to_type(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The message names the command and nothing is created; once it exists, it is packed."""
    with pytest.raises(SystemExit):
        build(project)
    told = capfd.readouterr().err
    assert told == (
        f"pack-venv: the Hatch environment 'release' does not exist yet"
        f" ({project}/environments/release): create it with `hatch env create release`\n"
    )
    assert not (project / "environments").exists()
    target = project / "environments" / "release"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", target], check=True)
    build(project)
    assert files(project, "dist-venv") == ["tar.gz", "tar.gz.cdx.json", "tar.gz.json"]


def test_what_hatch_does_not_know_is_its_own_message(project: Path) -> None:
    """An unknown name and a matrix are told apart."""
    with pytest.raises(EnvironmentProblem, match="`relaese` is not defined by project config"):
        find_hatch_environment(project, "relaese", os.environ)
    with pytest.raises(EnvironmentProblem, match="'test' is a matrix of 2 environments: set "):
        find_hatch_environment(project, "test", os.environ)


def test_long_paths_come_back_whole(project: Path) -> None:
    """Hatch does not break a path that is longer than a terminal's line."""
    with pytest.raises(EnvironmentProblem) as caught:
        find_hatch_environment(project, "default", os.environ)
    assert str(project.parent / "a rather long folder's name" / "data") in str(caught.value)


def test_without_hatch_the_way_out_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an isolated build without `hatch` on PATH, the variable is named."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(EnvironmentProblem, match=r'HATCH_PACK_VENV_SOURCE="\$\(hatch env find'):
        find_hatch_environment(project, "release", {"PATH": "/nowhere"})


def test_two_environments_are_refused(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`source` and `hatch-env` exclude each other."""
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(text.replace("hatch-env", 'source = "x"\nhatch-env'))
    with pytest.raises(SystemExit):
        build(project)
    assert "hooks.pack-venv.hatch-env name two environments: remove one" in capfd.readouterr().err
