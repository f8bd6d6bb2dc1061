"""Wheels made by hand."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_wheel(
    folder: Path,
    files: dict[str, bytes],
    name: str = "my_app-2.0-py3-none-any.whl",
    metadata: bytes = b"",
) -> Path:
    """Write a wheel as a build backend does; `metadata` follows its name and version."""
    project, version, *_ = name.split("-")
    info = f"{project}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Name: {project}\nVersion: {version}\n".encode() + metadata,
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        rows.append(f"{path},sha256={digest},{len(content)}")
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    with zipfile.ZipFile(folder / name, "w") as wheel:
        for path, content in files.items():
            wheel.writestr(path, content)
    return folder / name
