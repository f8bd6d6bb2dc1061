"""Archives on a system that is too old for them: one sentence, wherever they are begun."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from support import hiding
from support.compiled import compile_needing_glibc
from support.environments import make_environment, run, tool
from support.interpreters import Python, bundlable
from support.wheels import make_wheel

from hatch_pack_venv import PackOptions, pack

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(hiding.namespace() is None, reason="mount namespaces are not allowed here"),
    pytest.mark.skipif(not bundlable(), reason="no CPython built with --enable-shared was found"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no C compiler"),
]
SYSTEM = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()[-1]
SENTENCE = f"needs glibc 9.99 or later (future/_native.so); this system has {SYSTEM}"


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """An archive unpacked elsewhere; its environment is hidden, its base too if bundled."""

    root: Path
    python: Python
    hidden: list[Path]

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return hiding.run_hidden(command, hide=self.hidden, env={"PATH": "/usr/bin:/bin"})

    @property
    def head(self) -> dict[str, Any]:
        path = self.root / "share/venv/metadata/pack-venv.json"
        head: dict[str, Any] = json.loads(path.read_bytes())
        return head


@pytest.fixture(scope="module", params=["bundled", "target"])
def unpacked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    """Pack an environment with a wheel laid over it, whose module is for a glibc to come."""
    folder = tmp_path_factory.mktemp(request.param)
    python = bundlable()[-1]
    environment = make_environment(folder / "env", python, by="uv")
    native = compile_needing_glibc(folder / "_native.so", "9.99").read_bytes()
    files = {
        "future/__init__.py": b"def main():\n    import ctypes\n    ctypes.CDLL('x')\n",
        "future/_native.so": native,
        "my_app-2.0.dist-info/entry_points.txt": b"[console_scripts]\nmy-app = future:main\n",
    }
    table = {
        "interpreter": request.param,
        "format": "tar",
        "wheels": [str(make_wheel(folder, files))],
    }
    (result,) = pack(environment, folder / "app", PackOptions.from_mapping(table))
    assert result.needs[0] == "glibc 9.99 or later (future/_native.so)"
    with tarfile.open(result.path) as tar:
        tar.extractall(folder / "elsewhere", filter="data")
    (root,) = (folder / "elsewhere").iterdir()
    hidden = [environment, *([python.prefix] if request.param == "bundled" else [])]
    return Unpacked(root=root, python=python, hidden=hidden)


def test_the_manifest_tells_version_and_file(unpacked: Unpacked) -> None:
    """The archive's platform is what its most demanding file asks for."""
    platform = unpacked.head["platform"]
    assert platform["tag"] == "manylinux_9_99_x86_64"
    assert platform["libc"] == "glibc"
    site = f"lib/python{unpacked.python.minor}/site-packages"
    assert platform["glibc"] == {"version": "9.99", "file": f"{site}/future/_native.so"}


def test_an_entry_point_says_it_in_one_sentence(unpacked: Unpacked, tmp_path: Path) -> None:
    """The application is not imported; in target mode a tree that was connected elsewhere."""
    root = shutil.copytree(unpacked.root, tmp_path / "a b", symlinks=True)
    if not (root / "bin/python").exists():
        (root / "bin/python").symlink_to(unpacked.python.path)
    done = unpacked.run(root / "bin/my-app")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"my-app: {SENTENCE}\n"


@pytest.mark.parametrize("options", [[], ["--check"]])
def test_postinstall_says_it(unpacked: Unpacked, options: list[str]) -> None:
    """With and without --check, by any Python; nothing is written."""
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
    """The command tells what the target must have."""
    archive = unpacked.root.parent.parent / "app.tar"
    told = run(tool("pack-venv"), "inspect", archive)
    assert "manylinux_9_99_x86_64" in told
    assert "glibc 9.99 or later (future/_native.so)" in told


def test_the_record_knows_the_launcher_that_checks(unpacked: Unpacked) -> None:
    """RECORD and the manifest hold the hashes of what is there."""
    told = run(tool("pack-venv"), "verify", unpacked.root)
    assert "as packed" in told
    site = next(unpacked.root.glob("lib/python3*/site-packages"))
    rows = (site / "my_app-2.0.dist-info/RECORD").read_text().splitlines()
    row = next(row for row in rows if row.startswith("../../../bin/my-app,"))
    assert row.endswith(f",{(unpacked.root / 'bin/my-app').stat().st_size}")
