"""The environment that tests of the seed API pack: real, and a copy for each."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support.environments import make_environment
from support.interpreters import Python, newest_of_each

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def python() -> Python:
    """Give the newest CPython that environments may have."""
    return newest_of_each()[-1]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, python: Python) -> Path:
    """Make a real environment with something for each promise."""
    env = make_environment(tmp_path_factory.mktemp("seed") / "env", python, by="uv")
    site = f"lib/python{python.minor}/site-packages"
    for name, content in {
        f"{site}/pkg/__init__.py": "VALUE = 1\n",
        f"{site}/pkg/__pycache__/__init__.cpython-311.pyc": "byte code",
        f"{site}/pkg/sitecustomize.py": "# of a package, not of the site\n",
        f"{site}/pkg-1.0.dist-info/METADATA": "Name: pkg\nVersion: 1.0\n",
        f"{site}/pkg-1.0.dist-info/RECORD": "pkg/__init__.py,,\n",
        f"{site}/pkg-1.0.dist-info/entry_points.txt": "[console_scripts]\nrun = pkg:main\n",
        "share/data": "data\n",
        "share/RECORD": "not a distribution's\n",
        "outside/file": "outside\n",
    }.items():
        path = (env if not name.startswith("outside") else env.parent) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (env / "share/inner").symlink_to("data")
    (env / "share/outer").symlink_to(env.parent / "outside/file")
    return env


@pytest.fixture
def source(template: Path, tmp_path: Path) -> Path:
    """Copy the environment for one test."""
    shutil.copytree(template, tmp_path / "source/env", symlinks=True)
    return tmp_path / "source/env"
