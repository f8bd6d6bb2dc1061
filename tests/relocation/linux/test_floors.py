"""Archives on a system that is too old for them: one sentence, however they are started."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from support import hiding
from support.binaries import compile_needing_glibc
from support.environments import make_environment, run, tool
from support.interpreters import Python, bundlable
from support.machine import needs
from support.trees import extract, make_wheel

from hatch_pack_venv import PackOptions, pack

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

pytestmark = needs("namespaces", "shared CPython", "gcc")
SYSTEM = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()[-1]
SENTENCE = f"needs glibc 9.99 or later (future/_native.so); this system has {SYSTEM}"


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """An archive unpacked elsewhere; its environment is hidden, its base too if bundled."""

    root: Path
    python: Python
    hidden: list[Path]
    needs: tuple[str, ...]

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return hiding.run_hidden(command, hide=self.hidden, env={"PATH": "/usr/bin:/bin"})

    @property
    def head(self) -> dict[str, Any]:
        path = self.root / "share/venv/metadata/pack-venv.json"
        head: dict[str, Any] = json.loads(path.read_bytes())
        return head


def unpack(folder: Path, native: bytes, table: dict[str, Any]) -> Unpacked:
    """Pack and unpack an environment with a wheel whose module does not suit the system."""
    python = bundlable()[-1]
    environment = make_environment(folder / "env", python, by="uv")
    files = {
        "future/__init__.py": b"def main():\n    import ctypes\n    ctypes.CDLL('x')\n",
        "future/_native.so": native,
        "future/late.py": b"def main():\n    import future._native\n",
        "future/soon.py": b"import future._native\nmain = print\n",
        "my_app-2.0.dist-info/entry_points.txt": b"[console_scripts]\nmy-app = future:main\n"
        b"late = future.late:main\nsoon = future.soon:main\n",
    }
    table |= {"format": "tar", "wheels": [str(make_wheel(folder, files))]}
    (result,) = pack(environment, folder / "app", PackOptions.from_mapping(table))
    with tarfile.open(result.path) as tar:
        extract(tar, folder / "elsewhere")
    (root,) = (folder / "elsewhere").iterdir()
    hidden = [environment, *([python.prefix] if table["interpreter"] == "bundled" else [])]
    return Unpacked(root=root, python=python, hidden=hidden, needs=result.needs)


@pytest.fixture(scope="module", params=["bundled", "target"])
def unpacked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    """Return an archive whose module needs a future glibc."""
    folder = tmp_path_factory.mktemp(request.param)
    native = compile_needing_glibc(folder / "_native.so", "9.99").read_bytes()
    unpacked = unpack(folder, native, {"interpreter": request.param})
    assert unpacked.needs[0] == "glibc 9.99 or later (future/_native.so)"
    return unpacked


@pytest.fixture(scope="module", params=["bundled", "target"])
def wanting_libstdcxx(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Unpacked:
    """Return an archive whose module needs a future libstdc++, which the target must have."""
    folder = tmp_path_factory.mktemp(request.param)
    library = "libstdc++.so.6"
    native = compile_needing_glibc(
        folder / "_native.so", "3.4.99", node="GLIBCXX", library=library
    ).read_bytes()
    bundled = {"vendor-libraries": False} if request.param == "bundled" else {}
    return unpack(folder, native, {"interpreter": request.param, **bundled})


@pytest.mark.parametrize("name", ["soon", "late"])
def test_an_entry_point_tells_of_a_libstdcxx_that_is_too_old(
    wanting_libstdcxx: Unpacked, tmp_path: Path, name: str
) -> None:
    """One sentence reports it when the module is imported: at the start or by the application."""
    root = shutil.copytree(wanting_libstdcxx.root, tmp_path / "a b", symlinks=True)
    if not (root / "bin/python").exists():
        (root / "bin/python").symlink_to(wanting_libstdcxx.python.path)
        home = wanting_libstdcxx.python.path.parent
        (root / "pyvenv.cfg").write_text(f"home = {home}\n")
    done = wanting_libstdcxx.run(root / "bin" / name)
    assert (done.returncode, done.stdout) == (1, "")
    told = "needs libstdc++ with GLIBCXX 3.4.99 or later (future/_native.so); this system has"
    assert done.stderr == f"{name}: {told} an older one\n"


@pytest.mark.parametrize("options", [[], ["--check"]])
def test_postinstall_tells_of_a_libstdcxx_that_is_too_old(
    wanting_libstdcxx: Unpacked, options: list[str]
) -> None:
    """The script names the version that the target's Python finds, and writes nothing."""
    before = sorted(wanting_libstdcxx.root.rglob("*"))
    script = wanting_libstdcxx.root / "postinstall.py"
    python = wanting_libstdcxx.python.path
    if wanting_libstdcxx.head["interpreter"] == "bundled":
        python = wanting_libstdcxx.root / "bin/python"
    done = wanting_libstdcxx.run(python, "-B", script, *options)
    assert (done.returncode, done.stdout) == (1, "")
    told = "needs libstdc++ with GLIBCXX 3.4.99 or later (future/_native.so); this system has 3.4."
    assert told in done.stderr
    assert sorted(wanting_libstdcxx.root.rglob("*")) == before


def test_the_manifest_tells_version_and_file(unpacked: Unpacked) -> None:
    """The archive's platform is the one that its most demanding file requires."""
    platform = unpacked.head["platform"]
    assert platform["tag"] == "manylinux_9_99_x86_64"
    assert platform["libc"] == "glibc"
    site = f"lib/python{unpacked.python.minor}/site-packages"
    assert platform["glibc"] == {"version": "9.99", "file": f"{site}/future/_native.so"}


def test_an_entry_point_says_it_in_one_sentence(unpacked: Unpacked, tmp_path: Path) -> None:
    """The application is not imported, not even in target mode in a tree connected elsewhere."""
    root = shutil.copytree(unpacked.root, tmp_path / "a b", symlinks=True)
    if not (root / "bin/python").exists():
        (root / "bin/python").symlink_to(unpacked.python.path)
    done = unpacked.run(root / "bin/my-app")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"my-app: {SENTENCE}\n"


@pytest.mark.parametrize("options", [[], ["--check"]])
def test_postinstall_says_it(unpacked: Unpacked, options: list[str]) -> None:
    """The script says it with and without --check, under any Python, and writes nothing."""
    before = sorted(unpacked.root.rglob("*"))
    script = unpacked.root / "postinstall.py"
    pythons: list[str | Path] = ["/usr/bin/python3", unpacked.root / "bin/python"]
    if unpacked.head["interpreter"] == "target":
        pythons = [unpacked.python.path]
    for python in pythons:
        done = unpacked.run(python, "-B", script, *options)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("The archive ") == 1
        assert f"postinstall.py: The archive {SENTENCE}." in done.stderr
    assert sorted(unpacked.root.rglob("*")) == before


def test_inspect_and_the_line_after_packing_tell_it(unpacked: Unpacked) -> None:
    """`pack-venv inspect` reports what the target must have."""
    archive = unpacked.root.parent.parent / "app.tar"
    told = run(tool("pack-venv"), "inspect", archive)
    assert "manylinux_9_99_x86_64" in told
    assert "glibc 9.99 or later (future/_native.so)" in told


def test_the_record_knows_the_launcher_that_checks(unpacked: Unpacked) -> None:
    """The manifest's hashes and the size in RECORD match the unpacked launcher."""
    told = run(tool("pack-venv"), "verify", unpacked.root)
    assert "as packed" in told
    site = next(unpacked.root.glob("lib/python3*/site-packages"))
    rows = (site / "my_app-2.0.dist-info/RECORD").read_text().splitlines()
    row = next(row for row in rows if row.startswith("../../../bin/my-app,"))
    assert row.endswith(f",{(unpacked.root / 'bin/my-app').stat().st_size}")
