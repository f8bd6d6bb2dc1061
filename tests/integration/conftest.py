"""Small environments and projects to pack, and a wheelhouse for builds without an index."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.environments import make_environment, run, shared, tool
from support.interpreters import Python, newest_of_each
from support.projects import make_project

# What front ends install into their build environments, and what the test projects need.
_BUILD = ("hatchling", "editables>=0.3")
_RUN = ("humanize>=4", "pip")


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one empty environment, which projects link to and nothing writes to."""
    path = tmp_path_factory.mktemp("environment") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True)
    return path


@pytest.fixture
def project(tmp_path: Path, environment: Path) -> Path:
    """Make a small project whose `.venv` leads to the environment."""
    return make_project(tmp_path / "project", environment)


@pytest.fixture(scope="session")
def wheelhouse(plugin_wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Download every wheel that the front ends will ask for; the plugin is among them."""

    def fill(folder: Path) -> None:
        download = ("download", "--quiet", "--prefer-binary", "--dest", folder)
        (plugin,) = plugin_wheels.glob("*.whl")
        oldest, newest = newest_of_each()[0].path, newest_of_each()[-1].path
        for python, more in ((Path(sys.executable), [plugin]), (newest, [plugin]), (oldest, [])):
            # With a pip that still supports that Python; a system's Python may have none.
            seeded = folder.with_name(f"pip of {python.name}")
            run(tool("uv"), "venv", "--quiet", "--clear", "--seed", "--python", python, seeded)
            pip = (seeded / "bin/python", "-m", "pip")
            run(*pip, *download, "--find-links", folder, *_BUILD, *_RUN, *more)
        # uv locks for every Python that the project supports, even those not installed here.
        for version in ("3.9", "3.10"):
            pure = ("--python-version", version, "--only-binary", ":all:", "--no-deps")
            run(sys.executable, "-m", "pip", *download, *pure, _RUN[0])

    return shared(tmp_path_factory, "wheelhouse", fill)


@pytest.fixture
def offline(front_end: dict[str, str], wheelhouse: Path) -> dict[str, str]:
    """Return the variables with which front ends find the wheelhouse and nothing else."""
    nowhere = "http://127.0.0.1:9"
    return {
        **front_end,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheelhouse),
        "UV_FIND_LINKS": str(wheelhouse),
        "UV_NO_INDEX": "1",
        "UV_OFFLINE": "1",
        "http_proxy": nowhere,
        "https_proxy": nowhere,
        "no_proxy": "127.0.0.1",
    }


@pytest.fixture(scope="session")
def python() -> Python:
    """Give the newest CPython that environments may have."""
    return newest_of_each()[-1]


@pytest.fixture(scope="session")
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
