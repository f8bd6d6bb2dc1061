"""The test projects, always built on a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECTS = ROOT / "test-projects"


def copy_project(name: str, destination: Path) -> Path:
    """Copy a test project to a folder that does not exist yet."""
    ignored = shutil.ignore_patterns(".venv", "dist", "dist-venv", "__pycache__")
    shutil.copytree(PROJECTS / name, destination, ignore=ignored)
    return destination
