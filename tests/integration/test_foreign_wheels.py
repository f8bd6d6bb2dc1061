"""Wheels of another machine or C library that pip was told to install."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support.environments import run, tool
from support.machine import needs

from hatch_pack_venv import PackOptions, PackVenvError, pack

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [needs("x86-64"), pytest.mark.network]
MINOR = "{}.{}".format(*sys.version_info)


def with_wheel(folder: Path, platform: str) -> Path:
    """Make an environment with a wheel that a platform's pip would choose."""
    environment = folder / "env"
    run(tool("uv"), "venv", "--quiet", "--python", sys.executable, environment)
    site = environment / f"lib/python{MINOR}/site-packages"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps"]
    kind = ["--platform", platform, "--python-version", MINOR, "--only-binary=:all:"]
    run(*pip, "--target", site, *kind, "bcrypt")  # cp39-abi3: for any Python
    return environment


@pytest.mark.parametrize(
    ("platform", "why"),
    [
        ("manylinux2014_aarch64", "is built for aarch64, so the interpreter"),
        ("musllinux_1_1_x86_64", "is built for a system with musl, so the interpreter"),
    ],
)
@pytest.mark.parametrize("interpreter", ["bundled", "target"])
def test_a_wheel_that_cannot_be_loaded_is_refused_by_name(
    platform: str, why: str, interpreter: str, tmp_path: Path
) -> None:
    """The module and what it is for are named, and nothing is written."""
    environment = with_wheel(tmp_path, platform)
    options = PackOptions.from_mapping({"interpreter": interpreter, "format": "tar"})
    with pytest.raises(PackVenvError, match=r"bcrypt/_bcrypt\.abi3\.so") as caught:
        pack(environment, tmp_path / "out/app", options)
    assert why in str(caught.value)
    assert not list(tmp_path.glob("out/*"))


def test_the_machines_own_wheel_is_packed(tmp_path: Path) -> None:
    """The same project's wheel for this machine and its C library is no problem."""
    environment = with_wheel(tmp_path, "manylinux2014_x86_64")
    options = PackOptions.from_mapping({"interpreter": "target", "format": "tar"})
    (result,) = pack(environment, tmp_path / "out/app", options)
    assert result.path.is_file()
