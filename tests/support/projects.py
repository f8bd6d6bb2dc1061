"""The test projects, always built on a copy."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from support.environments import run

ROOT = Path(__file__).parents[2]
PROJECTS = ROOT / "test-projects"


def copy_project(name: str, destination: Path) -> Path:
    """Copy a test project to a folder that does not exist yet."""
    ignored = shutil.ignore_patterns(".venv", "dist", "dist-venv", "__pycache__")
    shutil.copytree(PROJECTS / name, destination, ignore=ignored)
    return destination


def build_wheel(name: str, folder: Path) -> Path:
    """Build the wheel of a copy of a test project, without packing anything."""
    project = copy_project(name, folder / name)
    variables = {**os.environ, "HATCH_PACK_VENV_SKIP": "1"}
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", cwd=project, env=variables)
    (wheel,) = (project / "dist").glob("*.whl")
    return wheel
