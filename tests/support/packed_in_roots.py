"""Environments of a root's own Python, with one package, packed in that root."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Final, NamedTuple

from support.roots import SUITES, run_in_root

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

APP: Final = "/opt/app"
# Releases and one of their Pythons each, which make the environments.
SOURCES: Final = {
    **{suite: (suite, "python3") for suite in SUITES},
    "3.15 of sid": ("sid", "python3.15"),
}
NATIVE: Final = """
#define Py_LIMITED_API 0x03090000
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *unused) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", "", -1, methods};
PyMODINIT_FUNC PyInit__native(void) { return PyModule_Create(&module); }
"""
DEMO: Final = """
import bz2, ctypes, curses, decimal, hashlib, lzma, multiprocessing, sqlite3, ssl, subprocess
import os, site, sys, sysconfig, zlib
from demo import _native

def check():
    assert _native.answer() == 42
    assert sqlite3.connect(":memory:").execute("select 1").fetchone() == (1,)
    assert ssl.create_default_context().check_hostname
    packages = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    assert os.path.realpath(sysconfig.get_path("purelib")) == packages
    assert packages in map(os.path.realpath, site.getsitepackages()), site.getsitepackages()
    process = multiprocessing.get_context("spawn").Process(target=abs, args=(-1,))
    process.start()
    process.join()
    assert process.exitcode == 0
    child = [sys.executable, "-c", "import demo; print(demo.__name__)"]
    assert subprocess.run(child, stdout=-1, check=True).stdout == b"demo\\n"

def main():
    check()
    print("all right")
"""
WHEEL: Final = {
    "METADATA": "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
    "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp39-abi3-linux_x86_64\n",
    "entry_points.txt": "[console_scripts]\ndemo = demo:main\n",
    "INSTALLER": "pip\n",
}


class Packed(NamedTuple):
    """An environment packed on a distribution."""

    folder: Path
    floor: tuple[int, ...]  # of glibc
    minor: str


def make_environment(root: Path, python: str, native: Path) -> str:
    """Make an environment as the distribution's venv does, with a package as pip installs it.

    Returns its path in the root.
    """
    environment = f"/root/env-{python}"
    done = run_in_root(root, [f"/usr/bin/{python}", "-m", "venv", "--without-pip", environment])
    assert done.returncode == 0, done.stderr
    place = root / environment.lstrip("/")
    (site,) = place.glob("lib/python3.*/site-packages")
    info = site / "demo-1.0.dist-info"
    (site / "demo").mkdir()
    info.mkdir()
    shutil.copy(native, site / "demo")
    (site / "demo/__init__.py").write_text(DEMO)
    for name, text in WHEEL.items():
        (info / name).write_text(text)
    script = place / "bin/demo"
    script.write_text(
        f"#!{environment}/bin/python3\nimport sys\nfrom demo import main\nsys.exit(main())\n"
    )
    script.chmod(0o755)
    names = ["demo/__init__.py", f"demo/{native.name}", *(f"{info.name}/{name}" for name in WHEEL)]
    names += [f"{info.name}/RECORD", "../../../bin/demo"]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in names))
    return environment


def facts_of(folder: Path) -> Packed:
    """Return the facts of a manifest."""
    manifest = json.loads((folder / "share/venv/metadata/pack-venv.json").read_bytes())
    version = manifest["platform"].get("glibc", {"version": "2.2"})["version"]
    minor = ".".join(manifest["python"]["version"].split(".")[:2])
    return Packed(folder=folder, floor=tuple(map(int, version.split("."))), minor=minor)


def no_lines_of_the_loader(done: subprocess.CompletedProcess[str]) -> None:
    """Check that the output contains no line of a loader, a shell or a traceback."""
    told = done.stdout + done.stderr
    for words in ("not found (required by", "error while loading", "Traceback", ": not found"):
        assert words not in told, told
