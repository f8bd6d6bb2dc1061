"""Compiles the shim, and starts the driver with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


def compiled(folder: Path) -> Path:
    """Compile the shim into a folder."""
    shim = folder / "shim.so"
    source = str(_HERE / "shim.c")
    command = ["gcc", "-Wall", "-O1", "-shared", "-fPIC", "-o", str(shim), source, "-ldl"]
    subprocess.run(command, check=True)
    return shim


def driven(shim: Path, folder: Path, stride: int, *operations: str) -> dict[str, dict[str, Any]]:
    """Return, for each operation, its calls by name, the faults by kind, and the problems."""
    folder.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([str(_HERE.parent), *sys.path[1:]])
    variables = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}
    variables |= {"LD_PRELOAD": str(shim), "PYTHONPATH": path}
    driver = str(_HERE / "driver.py")
    command = [sys.executable, driver, str(folder), str(stride), *operations]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found
