"""The environments to pack and the one that the peers run in, from the package index."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

REQUIREMENTS = {
    "small": ["requests", "flask"],
    "science": [
        "numpy",
        "pandas",
        "scipy",
        "scikit-learn",
        "matplotlib",
        "requests",
        "flask",
        "pydantic",
        "httpx",
        "sqlalchemy",
        "jupyterlab",
    ],
    "torch": ["torch", "numpy"],
}
IMPORTS = {"small": "flask", "science": "pandas, sklearn, matplotlib", "torch": "torch"}
PEERS = ["venvstacks", "venv-pack2", "conda-pack", "zstandard", "pex", "setuptools"]


def made(path: Path, requirements: list[str]) -> Path:
    """Return an environment of this Python at a path, making it if it does not exist."""
    if not (path / "pyvenv.cfg").exists():
        uv = [sys.executable, "-m", "uv"]
        _run(*uv, "venv", "--quiet", "--python", sys.executable, path)
        python = path / "bin" / "python"
        if requirements:
            install = [*uv, "pip", "install", "--quiet", "--link-mode=copy"]
            _run(*install, "--python", python, *requirements)
    return path


def synthetic(path: Path, count: int) -> Path:
    """Return an environment with `count` more files of 2 kB, a hundred in each folder."""
    made(path, [])
    site = next(path.glob("lib/python3*/site-packages"))
    for number in range(count):
        folder = site / f"many{number // 100:04}"
        if number % 100 == 0:
            folder.mkdir(exist_ok=True)
        (folder / f"m{number % 100:02}.py").write_text(f"x = {number}\n" * 150)
    return path


def with_large_file(path: Path) -> Path:
    """Return an environment with a file just over 4 GiB, whose content repeats every 64 MiB."""
    made(path, [])
    large = path / "large.bin"
    if not large.exists():
        block = bytes(range(256)) * 64
        with large.open("wb") as stream:
            for number in range((4 << 30 >> 14) + 1):
                stream.write((number % 4096).to_bytes(8, "big") + block[8:])
    return path


def vast(path: Path) -> Path:
    """Return an environment of more than 5 GB in more than 100,000 files.

    It is PyTorch with the libraries of CUDA, the science environment, and many small files.
    """
    if not (path / "pyvenv.cfg").exists():
        made(path, [*REQUIREMENTS["torch"], *REQUIREMENTS["science"]])
        synthetic(path, 85_000)
    return path


def _run(*command: str | Path) -> None:
    subprocess.run(list(map(str, command)), check=True)
