"""Environments of each distribution's own Python, packed there and run on all others."""

from __future__ import annotations

import json
import shutil
import sysconfig
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from support.environments import run, shared
from support.machine import needs
from support.roots import (
    BARE,
    SUITES,
    WITH_PYTHON,
    fetch,
    glibc_of,
    pack_in_root,
    run_in_root,
    unpack,
)

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [needs("roots", "gcc"), pytest.mark.distributions, pytest.mark.slow]

APP: Final = "/opt/app"
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


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make a root of each suite, and one with nothing but its glibc and a busybox."""

    def make(folder: Path) -> None:
        for suite in SUITES:
            packages = fetch(folder / f"{suite}.apt", suite, WITH_PYTHON)
            bare = [each for each in packages if each.name.split("_")[0] in BARE]
            unpack(packages, folder / suite)
            unpack(bare, folder / f"{suite}, bare")
            shutil.rmtree(folder / f"{suite}.apt")

    folder = shared(tmp_path_factory, "roots", make)
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile a module for every CPython since 3.9."""
    folder = tmp_path_factory.mktemp("native")
    (folder / "native.c").write_text(NATIVE)
    include = sysconfig.get_path("include")
    flags = ["-shared", "-fPIC", f"-I{include}"]
    run("gcc", *flags, folder / "native.c", "-o", folder / "_native.abi3.so")
    return folder / "_native.abi3.so"


@pytest.fixture(scope="module")
def packed(
    roots: dict[str, Path], native: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], Packed]:
    """Pack an environment of each suite's own Python, there, in both modes."""

    def make(folder: Path) -> None:
        for suite in SUITES:
            make_environment(roots[suite], native)
            for mode in ("bundled", "target"):
                target = f"/host{folder}/{suite}, {mode}"
                done = pack_in_root(
                    roots[suite], "export", "/root/env", target, "--interpreter", mode
                )
                assert done.returncode == 0, (suite, mode, done.stderr)

    folder = shared(tmp_path_factory, "packed-in-roots", make)
    names = [(suite, mode) for suite in SUITES for mode in ("bundled", "target")]
    return {name: facts_of(folder / ", ".join(name)) for name in names}


def make_environment(root: Path, native: Path) -> None:
    """Make an environment as the distribution's venv does, with a package as pip installs it."""
    done = run_in_root(root, ["/usr/bin/python3", "-m", "venv", "--without-pip", "/root/env"])
    assert done.returncode == 0, done.stderr
    (site,) = root.glob("root/env/lib/python3.*/site-packages")
    info = site / "demo-1.0.dist-info"
    (site / "demo").mkdir()
    info.mkdir()
    shutil.copy(native, site / "demo")
    (site / "demo/__init__.py").write_text(DEMO)
    for name, text in WHEEL.items():
        (info / name).write_text(text)
    script = root / "root/env/bin/demo"
    script.write_text(
        "#!/root/env/bin/python3\nimport sys\nfrom demo import main\nsys.exit(main())\n"
    )
    script.chmod(0o755)
    names = ["demo/__init__.py", f"demo/{native.name}", *(f"{info.name}/{name}" for name in WHEEL)]
    names += [f"{info.name}/RECORD", "../../../bin/demo"]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in names))


def facts_of(folder: Path) -> Packed:
    """Return what a manifest tells."""
    manifest = json.loads((folder / "share/venv/metadata/pack-venv.json").read_bytes())
    version = manifest["platform"].get("glibc", {"version": "2.2"})["version"]
    minor = ".".join(manifest["python"]["version"].split(".")[:2])
    return Packed(folder=folder, floor=tuple(map(int, version.split("."))), minor=minor)


def no_lines_of_the_loader(done: subprocess.CompletedProcess[str]) -> None:
    """Check that nothing is told but sentences."""
    told = done.stdout + done.stderr
    for words in ("not found (required by", "error while loading", "Traceback", ": not found"):
        assert words not in told, told


def places() -> Iterator[str]:
    """Yield the names of all roots."""
    for suite in SUITES:
        yield from (suite, f"{suite}, bare")


@pytest.mark.parametrize("there", list(places()))
@pytest.mark.parametrize("suite", SUITES)
def test_a_bundle_runs_or_says_why_not(
    packed: dict[tuple[str, str], Packed], roots: dict[str, Path], suite: str, there: str
) -> None:
    """Where glibc is new enough all of it runs; elsewhere one sentence says what is needed."""
    bundle, root = packed[suite, "bundled"], roots[there]
    seen = {bundle.folder: APP}
    has = glibc_of(root)
    done = run_in_root(root, [f"{APP}/bin/demo"], seen=seen)
    no_lines_of_the_loader(done)
    check = [f"{APP}/bin/python", f"{APP}/postinstall.py", "--check"]
    if has >= bundle.floor:
        assert (done.returncode, done.stdout) == (0, "all right\n"), done.stderr
        checked = run_in_root(root, check, seen=seen)
        assert (checked.returncode, checked.stderr) == (0, "")
        return
    needed = ".".join(map(str, bundle.floor))
    assert done.returncode in (1, 127)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"demo: needs glibc {needed} or later ("), line
    own = "an older or another one" if has < (2, 33) and "bare" in there else None
    assert line.endswith(own or "; this system has " + ".".join(map(str, has))), line
    if run_in_root(root, [f"{APP}/bin/python", "-ISc", ""], seen=seen).returncode != 0:
        sourced = run_in_root(root, ["/bin/sh", "-c", f". {APP}/bin/activate"], seen=seen)
        assert (
            f"does not start on this system: it needs glibc {needed} or later\n" in sourced.stderr
        )
    if "bare" not in there:
        checked = run_in_root(root, ["/usr/bin/python3", *check[1:]], seen=seen)
        no_lines_of_the_loader(checked)
        assert checked.returncode == 1
        assert f"The archive needs glibc {needed} or later" in checked.stderr


@pytest.mark.parametrize("there", SUITES)
@pytest.mark.parametrize("suite", SUITES)
def test_an_archive_for_the_targets_python_connects_or_says_why_not(
    packed: dict[tuple[str, str], Packed], roots: dict[str, Path], suite: str, there: str
) -> None:
    """The same minor version runs all of it; another one is told from what is needed."""
    archive, root = packed[suite, "target"], roots[there]
    place = f"/root/of {suite}"
    shutil.copytree(archive.folder, root / place.lstrip("/"), symlinks=True)
    script = f"{place}/postinstall.py"
    connected = run_in_root(root, ["/usr/bin/python3", script, "--no-compile"])
    no_lines_of_the_loader(connected)
    if packed[there, "target"].minor != archive.minor:
        assert connected.returncode == 1
        assert f"The archive needs Python {archive.minor}, but " in connected.stderr
        return
    assert (connected.returncode, connected.stderr) == (0, "")
    done = run_in_root(root, [f"{place}/bin/demo"])
    assert (done.returncode, done.stdout) == (0, "all right\n"), done.stderr
    checked = run_in_root(root, [f"{place}/bin/python", script, "--check"])
    assert (checked.returncode, checked.stderr) == (0, "")
