"""Real environments, made by the real tools."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pytest

    from support.interpreters import Python

TOOLS = ("venv", "venv --copies", "virtualenv", "uv")


def run(
    *command: str | Path, cwd: str | Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run a command that must succeed, and return its output and messages."""
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, cwd=cwd, env=env, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def tool(name: str) -> str:
    """Return the path of a command that is installed in the tests' own environment."""
    path = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}")
    assert path is not None, f"{name} is not installed"
    return path


def shared(
    tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]
) -> Path:
    """Return a folder that is filled once for all workers of a test run.

    Parameters:
        make: fills the folder it is given; others wait for it.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder, done = root / f"shared-{name}", root / f"shared-{name}.done"
    with (root / f"shared-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def install(
    environment: Path, *what: str | Path, variables: Mapping[str, str] | None = None
) -> None:
    """Install into an environment with uv; `what` are requirements and options of uv."""
    command = (tool("uv"), "pip", "install", "--quiet", "--python", environment / "bin/python")
    run(*command, *what, env=variables)


def make_environment(
    path: Path,
    python: Python,
    requirements: Sequence[str] = (),
    *,
    by: str = "venv",
    cache: Path | None = None,
) -> Path:
    """Make an environment with one of `TOOLS` and install into it.

    Parameters:
        cache: uv's cache, for tests that count the hard links into it.
    """
    variables = {**os.environ, "UV_CACHE_DIR": str(cache)} if cache else None
    if by == "uv":
        run(tool("uv"), "venv", "--quiet", "--python", python.path, path)
        if requirements:
            install(path, *requirements, variables=variables)
        return path
    if by == "virtualenv":
        run(sys.executable, "-m", "virtualenv", "--python", python.path, path)
    else:
        run(python.path, "-m", *by.split(), path)
    if requirements:
        run(path / "bin/python", "-m", "pip", "install", "--no-compile", *requirements)
    return path
