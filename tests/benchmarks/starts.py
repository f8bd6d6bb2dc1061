"""First and second starts of one application as a file of ours, of PEX and of PyInstaller."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from statistics import median
from typing import TYPE_CHECKING

from support.trees import make_wheel

from .environments import REQUIREMENTS, made

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_APP = b"""\
import flask, requests
def main():
    print(flask.Flask("app").name, requests.__version__)
"""
_MAIN = "from app import main\nmain()\n"
_POINTS = b"[console_scripts]\napp = app:main\n"


def starts(work: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Return, for each packer, the median CPU seconds of both starts, and the file's megabytes.

    Other work on the machine affects CPU time less than elapsed time. Before each first start the
    file's own cache is removed; files are in the system's page cache. The launcher is that of the
    unpacked environment.
    """
    folder = work / "starts"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = make_wheel(
        folder,
        {"app.py": _APP, "app-1.0.dist-info/entry_points.txt": _POINTS},
        "app-1.0-py3-none-any.whl",
    )
    prefix = made(folder / "env", [*REQUIREMENTS["small"], str(wheel)])
    files = {name: make(prefix, wheel, folder / name) for name, make in _MAKERS.items()}
    taken: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for name, path in files.items():
            taken.setdefault(name, []).append(_both(path, folder / "home"))
    found = {
        name: {
            "first": median(first for first, _ in each),
            "second": median(second for _, second in each),
            "MB": files[name].stat().st_size / 1e6,
        }
        for name, each in taken.items()
    }
    found["launcher"] = {"second": _launcher(files["pack-venv run"], folder, rounds)}
    return found


def _run_file(byte_code: str) -> Callable[[Path, Path, Path], Path]:
    def make(prefix: Path, _wheel: Path, out: Path) -> Path:
        options = ("-q", "--force", "--prove", "none", "--entry-point", "app")
        command = [sys.executable, "-m", "hatch_pack_venv", "pack", prefix, "-o", f"{out}.run"]
        _do(*command, *options, "--bytecode", byte_code)
        return out.with_suffix(".run")

    return make


def _pex(*options: str) -> Callable[[Path, Path, Path], Path]:
    def make(_prefix: Path, wheel: Path, out: Path) -> Path:
        tool = made(out.parent / "pex", ["pex", "setuptools"]) / "bin/pex"
        _do(tool, *REQUIREMENTS["small"], wheel, "-e", "app:main", "-o", f"{out}.pex", *options)
        return out.with_suffix(".pex")

    return make


def _pyinstaller(_prefix: Path, wheel: Path, out: Path) -> Path:
    requirements = [*REQUIREMENTS["small"], str(wheel), "pyinstaller"]
    tool = made(out.parent / "pyinstaller-env", requirements) / "bin/pyinstaller"
    script = out.parent / "start.py"
    script.write_text(_MAIN)
    folders = ("--distpath", out.parent, "--workpath", out.parent / "work")
    _do(tool, "--onefile", "--name", out.name, *folders, "--specpath", out.parent, script)
    return out


_MAKERS: dict[str, Callable[[Path, Path, Path], Path]] = {
    "pack-venv run": _run_file("none"),
    "pack-venv run, with byte code": _run_file("unchecked-hash"),
    "PEX, zipapp": _pex(),
    "PEX, --venv": _pex("--venv", "prepend"),
    "PyInstaller, one file": _pyinstaller,
}


def _both(path: Path, home: Path) -> tuple[float, float]:
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    os.sync()
    return _seconds(path, home), _seconds(path, home)


def _launcher(run_file: Path, folder: Path, rounds: int) -> float:
    there = folder / "unpacked"
    shutil.rmtree(there, ignore_errors=True)
    _do(run_file, "--pack-venv-extract", there)
    _seconds(there / "bin/app", folder / "home")  # compiles
    return median(_seconds(there / "bin/app", folder / "home") for _ in range(rounds))


def _seconds(path: Path, home: Path) -> float:
    # PEX finds its interpreter through PATH.
    search = f"{os.path.dirname(os.path.realpath(sys.executable))}:{os.environ['PATH']}"
    env = {"PATH": search, "HOME": str(home), "TMPDIR": str(home)}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    process = os.posix_spawn(
        path, [str(path)], env, file_actions=[(os.POSIX_SPAWN_DUP2, nowhere, 1)]
    )
    os.close(nowhere)
    _, status, used = os.wait4(process, 0)  # includes all processes that it waited for
    if status:
        message = f"{path} ended with {status}"
        raise RuntimeError(message)
    return used.ru_utime + used.ru_stime


def starts_table(found: dict[str, dict[str, float]]) -> str:
    """Return a table in Markdown, with ratios to our figures."""
    ours = found["pack-venv run"]
    lines = ["| file | MB | first start, CPU s | second start, CPU s |", "|---|---|---|---|"]
    for name, each in found.items():
        cells = [f"{each['MB']:.1f}" if "MB" in each else ""]
        for which in ("first", "second"):
            value = each.get(which)
            ratio = "" if value is None else f"{value:.2f} ({value / ours[which]:.2f})"
            cells.append(ratio)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _do(*command: object) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
