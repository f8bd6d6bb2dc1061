"""Environments for other processors: 32-bit x86, which runs here, and arm64, emulated.

The tests of arm64 run only if their marker is selected (`-m emulated`); they register
qemu with the kernel and remove it again.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from support.environments import run, shared
from support.machine import needs, require
from support.packed_in_roots import APP, no_lines_of_the_loader
from support.roots import BARE, WITH_PYTHON, emulated, fetch, pack_in_root, run_in_root, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    needs("roots"),
    pytest.mark.distributions,
    pytest.mark.network,
    pytest.mark.slow,
]

SUITE: Final = "bookworm"
PYTHON: Final = "3.11"  # of that suite


class Machine(NamedTuple):
    """A processor, as Debian, wheels and the manifest name it."""

    debian: str
    wheels: str
    manifest: str


I386: Final = Machine("i386", "manylinux2014_i686", "i686")
ARM64: Final = Machine("arm64", "manylinux2014_aarch64", "aarch64")
# With a compiled module (markupsafe), and with one that needs libstdc++ (kiwisolver).
REQUIREMENTS: Final = ("markupsafe==3.0.2", "kiwisolver==1.4.8")
PROGRAM: Final = """
import platform, struct, sysconfig
import bz2, ctypes, curses, hashlib, lzma, sqlite3, ssl, zlib
import kiwisolver, markupsafe, markupsafe._speedups
assert sqlite3.connect(":memory:").execute("select 1").fetchone() == (1,)
assert ssl.create_default_context().check_hostname
assert str(markupsafe.escape("<")) == "&lt;"
kiwisolver.Solver().addConstraint(kiwisolver.Variable("x") >= 1)
assert "site-packages" in sysconfig.get_path("purelib"), sysconfig.get_path("purelib")
print(struct.calcsize("P") * 8)
"""


@pytest.fixture(
    scope="module",
    params=[I386, pytest.param(ARM64, marks=pytest.mark.emulated)],
    ids=lambda machine: machine.debian,
)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """Yield each machine while its programs can run here."""
    each: Machine = request.param
    if each is ARM64:
        require("arm64 emulation")
        with emulated("aarch64"):
            yield each
    else:
        yield each


@pytest.fixture(scope="module")
def roots(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make a root with Python and a bare one, and pack an environment in both modes."""

    def make(folder: Path) -> None:
        names = (*WITH_PYTHON, "libstdc++6")
        packages = fetch(folder / "apt", SUITE, names, machine.debian)
        root = unpack(packages, folder / "root")
        unpack([each for each in packages if each.name.split("_")[0] in BARE], folder / "bare")
        shutil.rmtree(folder / "apt")
        venv = ["/usr/bin/python3", "-m", "venv", "--without-pip", "/root/env"]
        done = run_in_root(root, venv)
        assert done.returncode == 0, done.stderr
        site = root / f"root/env/lib/python{PYTHON}/site-packages"
        kind = ["--platform", machine.wheels, "--python-version", PYTHON, "--only-binary=:all:"]
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(site), *kind]
        run(*pip, "--no-compile", *REQUIREMENTS)
        (site / "program.py").write_text(PROGRAM)
        for mode in ("bundled", "target"):
            target = f"/host{folder}/{mode}"
            packed = pack_in_root(root, "export", "/root/env", target, "--interpreter", mode)
            assert packed.returncode == 0, packed.stderr

    folder = shared(tmp_path_factory, f"machine-{machine.debian}", make)
    return {path.name: path for path in folder.iterdir()}


def test_the_interpreters_own_header_says_what_an_archive_is_for(
    machine: Machine, roots: dict[str, Path]
) -> None:
    """Machine and tag come from the interpreter, not the kernel; the floor comes from its files."""
    for mode in ("bundled", "target"):
        manifest = json.loads((roots[mode] / "share/venv/metadata/pack-venv.json").read_bytes())
        platform = manifest["platform"]
        floor = (2, 36) if mode == "bundled" else (2, 17)
        assert platform["machine"] == machine.manifest
        assert tuple(map(int, platform["glibc"]["version"].split("."))) <= floor
        assert platform["tag"].endswith(f"_{machine.manifest}")
        assert platform["tag"].startswith("manylinux_2_")


def test_a_bundle_runs_where_there_is_nothing_but_its_c_library(
    machine: Machine, roots: dict[str, Path]
) -> None:
    """It contains its libraries, including those of its wheels, and passes its own check."""
    brought = {path.name for path in (roots["bundled"] / "lib").glob("*.so*")}
    assert {"libstdc++.so.6", "libgcc_s.so.1", "libffi.so.8", "libz.so.1"} <= brought
    seen = {roots["bundled"]: APP}
    bits = "32" if machine is I386 else "64"
    for root in (roots["bare"], roots["root"]):
        ran = run_in_root(root, [f"{APP}/bin/python", "-m", "program"], seen=seen)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{bits}\n", "")
        check = [f"{APP}/bin/python", f"{APP}/postinstall.py", "--check"]
        checked = run_in_root(root, check, seen=seen)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_an_archive_for_the_targets_python_connects(
    machine: Machine, roots: dict[str, Path]
) -> None:
    """It connects on its own machine; the Python of this one is refused with the machine type."""
    place = roots["root"] / "root/app"
    shutil.copytree(roots["target"], place, symlinks=True)
    own = [sys.executable, str(place / "postinstall.py"), "--no-compile"]
    refused = subprocess.run(own, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert f"the machine type {machine.manifest}" in refused.stderr
    connected = run_in_root(
        roots["root"], ["/usr/bin/python3", "/root/app/postinstall.py", "--no-compile"]
    )
    no_lines_of_the_loader(connected)
    assert (connected.returncode, connected.stderr) == (0, "")
    for command in (["-m", "program"], ["/root/app/postinstall.py", "--check"]):
        done = run_in_root(roots["root"], ["/root/app/bin/python", *command])
        assert (done.returncode, done.stderr) == (0, "")


def test_a_packed_folder_is_compared_on_any_machine(roots: dict[str, Path]) -> None:
    """A packed folder is verified without running anything in it."""
    command = [sys.executable, "-m", "hatch_pack_venv", "verify", str(roots["bundled"]), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["findings"] == []
