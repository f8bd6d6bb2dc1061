"""Windows launchers and batch files, run for real by Wine in a moved environment.

A script that starts this machine's Python takes the place of `python.exe`; the launchers and
cmd.exe are Windows programs. The header of the test run says whether Wine is available.
"""

from __future__ import annotations

import shutil
import zipfile
from typing import TYPE_CHECKING

import pytest
from support.binaries import small_pe
from support.machine import needs
from support.windows import (
    BODY,
    PYTHON,
    SITE,
    STAND_IN,
    Wine,
    archived,
    make_base,
    make_environment,
    running_wine,
    setuptools_launcher,
    stub,
    trampolines,
    uv_launcher,
)

from hatch_pack_venv import PackOptions, pack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = needs("wine")

POINTS = b"[console_scripts]\nmade-anew = greeter:main\n"


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wine]:
    yield from running_wine(tmp_path_factory.mktemp("wine") / "home")


@pytest.fixture(scope="module")
def roots(
    tmp_path_factory: pytest.TempPathFactory, windows_wheels: dict[str, Path]
) -> dict[str, Path]:
    """Pack an environment with a launcher of each kind, and unpack it to a path with a space."""
    folder = tmp_path_factory.mktemp("launchers")
    prefix = make_environment(folder / "app", home=make_base(folder / "base"))
    scripts, info = prefix / "Scripts", prefix / SITE / "greeter-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: greeter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_bytes(POINTS)
    (prefix / SITE / "greeter.py").write_text("def main(): raise SystemExit('of greeter')\n")
    trampoline = trampolines(windows_wheels["uv"])["console"]
    (scripts / "distlib.exe").write_bytes(stub() + f'#!"{PYTHON}" -B\n'.encode() + archived())
    (scripts / "uv.exe").write_bytes(uv_launcher(trampoline, PYTHON))
    (scripts / "setuptools.exe").write_bytes(setuptools_launcher())
    (scripts / "setuptools-script.py").write_bytes(f'#!"{PYTHON}"\n'.encode() + BODY)
    (scripts / "made-anew.exe").write_bytes(small_pe())
    found = {}
    for mode in ("bundled", "target"):
        (result,) = pack(prefix, folder / mode, PackOptions(interpreter=mode))
        with zipfile.ZipFile(result.path) as archive:
            archive.extractall(folder / "un packed" / mode)
        found[mode] = folder / "un packed" / mode / "app"
        python = found[mode] / ("python.exe" if mode == "bundled" else "Scripts/python.exe")
        python.write_text(STAND_IN)
        python.chmod(0o755)
    shutil.rmtree(prefix)
    return found


@pytest.mark.parametrize("mode", ["bundled", "target"])
@pytest.mark.parametrize("kind", ["distlib", "uv", "setuptools"])
def test_a_launcher_starts_the_archives_interpreter(
    drive: Wine, roots: dict[str, Path], kind: str, mode: str
) -> None:
    """It finds `python.exe` relative to itself, passes on the arguments, and its script runs."""
    root = roots[mode]
    python, said = drive.said(root / f"Scripts/{kind}.exe", "an argument", "b")
    assert python == root / ("python.exe" if mode == "bundled" else "Scripts/python.exe")
    assert said == "ran; an argument; b\n"


@pytest.mark.parametrize("mode", ["bundled", "target"])
def test_a_launcher_made_anew_starts_its_entry_point(
    drive: Wine, roots: dict[str, Path], mode: str
) -> None:
    """The launcher that replaces an unknown program calls the function."""
    root = roots[mode]
    _, said = drive.said(root / "Scripts/made-anew.exe", PYTHONPATH=str(root / SITE))
    assert said == "of greeter\n"


@pytest.mark.parametrize("mode", ["bundled", "target"])
def test_cmd_finds_interpreter_and_launchers_when_activated(
    drive: Wine, roots: dict[str, Path], mode: str
) -> None:
    """activate.bat puts `Scripts`, and a bundle's root, first on PATH; deactivate.bat undoes it."""
    root = roots[mode]
    script = root.parent / "session.bat"
    script.write_bytes(
        b"@echo off\r\nset PATH=C:\\before\r\n"
        b'call "app\\Scripts\\activate.bat"\r\necho PATH %PATH%\r\necho ENV %VIRTUAL_ENV%\r\n'
        b'call deactivate.bat\r\necho PATH %PATH%\r\necho "ENV %VIRTUAL_ENV%"\r\n'
    )
    where = f"Z:{script.parent}".replace("/", "\\")
    lines = drive.run("cmd", "/c", f"cd /d {where} && session.bat")
    there = f"Z:{root}".replace("/", "\\")
    own = f"{there}\\Scripts;{there}" if mode == "bundled" else f"{there}\\Scripts"
    assert lines[-4:] == [f"PATH {own};C:\\before", f"ENV {there}", "PATH C:\\before", '"ENV "']
