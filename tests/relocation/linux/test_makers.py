"""Environments of every tool and CPython found, packed, moved and run with originals hidden."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest
from support import hiding
from support.environments import TOOLS, install, make_environment, run, tool
from support.interpreters import Python, bundlable, newest_of_each
from support.machine import needs, require
from support.trees import extract, tree_state

from hatch_pack_venv import PackOptions, pack

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [needs("namespaces"), pytest.mark.network]
BARE = {"PATH": "/usr/bin:/bin"}
CODE = "import sys, markupsafe._speedups, humanize; print(sys.prefix, humanize.__file__)"


def packed(environment: Path, folder: Path, mode: str) -> Path:
    """Pack an environment and unpack it elsewhere."""
    options = PackOptions.from_mapping(
        {"interpreter": mode, "format": "tar.gz", "compression-level": 1}
    )
    (result,) = pack(environment, folder / "app", options)
    with tarfile.open(result.path) as tar:
        extract(tar, folder / "Ünpacked here")
    (root,) = (folder / "Ünpacked here").iterdir()
    return root


def check(root: Path, hide: list[Path]) -> None:
    """Import from the moved environment, and call one of its launchers."""
    done = hiding.run_hidden([root / "bin/python", "-c", CODE], hide=hide, env=BARE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(" /")[0] == str(root)
    done = hiding.run_hidden([root / "bin/normalizer", "--version"], hide=hide, env=BARE)
    assert done.returncode == 0, done.stderr


REQUIREMENTS = ["humanize", "markupsafe", "charset-normalizer"]


@pytest.mark.parametrize("mode", ["bundled", "target"])
@pytest.mark.parametrize("by", [*TOOLS, "virtualenv --copies", "uv symlinks", "hatch"])
def test_every_makers_environment_runs_elsewhere(
    tmp_path: Path, by: str, mode: str, front_end: dict[str, str]
) -> None:
    """Whatever made it, the environment is only read and its archive runs."""
    if mode == "bundled":
        require("shared CPython")
    python = bundlable()[-1] if bundlable() else newest_of_each()[-1]
    environment = tmp_path / "environment"
    if by == "virtualenv --copies":
        run(sys.executable, "-m", "virtualenv", "--copies", "-p", python.path, environment)
        run(environment / "bin/pip", "install", *REQUIREMENTS)
    elif by == "uv symlinks":
        make_environment(environment, python, by="uv")
        install(environment, "--link-mode=symlink", *REQUIREMENTS)
    elif by == "hatch":
        environment = hatch_environment(tmp_path / "project", python, front_end)
    else:
        make_environment(environment, python, REQUIREMENTS, by=by, cache=tmp_path / "uv")
    before = tree_state(environment)
    root = packed(environment, tmp_path, mode)
    assert tree_state(environment) == before
    if mode == "target":
        run(python.path, root / "postinstall.py", env=BARE)
    check(root, [environment] if mode == "target" else [environment, python.prefix])


def hatch_environment(project: Path, python: Python, variables: dict[str, str]) -> Path:
    """Make a project's environment with Hatch and return where it is."""
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\n[tool.hatch.envs.release]\nskip-install = true\n'
        f'python = "{python.path}"\ndependencies = {REQUIREMENTS!r}\n'
    )
    run(tool("hatch"), "env", "create", "release", cwd=project, env=variables)
    command = [tool("hatch"), "env", "find", "release"]
    found = subprocess.run(
        command, cwd=project, env=variables, capture_output=True, text=True, check=True
    )
    return project / found.stdout.strip()


@pytest.mark.parametrize("python", newest_of_each(), ids=lambda python: python.version)
def test_every_python_found_can_be_the_targets(tmp_path: Path, python: Python) -> None:
    """An environment of each CPython is reconnected to it elsewhere, twice."""
    environment = make_environment(tmp_path / "environment", python, REQUIREMENTS, by="uv")
    root = packed(environment, tmp_path, "target")
    run(python.path, root / "postinstall.py", env=BARE)
    check(root, [environment])
    moved = root.rename(tmp_path / "moved")
    run(python.path, moved / "postinstall.py", env=BARE)
    check(moved, [environment])
    run(python.path, moved / "postinstall.py", "--check", env=BARE)
