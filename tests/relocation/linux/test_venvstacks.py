"""venvstacks itself, with this package in place of its `pack_venv`: from lock to export.

venvstacks downloads a CPython for its runtimes. Here only packages are downloaded from the index: a
relocatable copy of a CPython of this machine is used instead.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.environments import run, shared, tool
from support.hiding import run_hidden
from support.interpreters import (
    Python,
    bundlable,
    copy_prefix,
    find_pythons,
    set_search_path,
)
from support.machine import needs
from support.trees import extract

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    needs("namespaces", "shared CPython", "readelf"),
    pytest.mark.network,
    pytest.mark.slow,
]
PYTHON: Final = bundlable()[-1] if bundlable() else None
DRIVER: Final = """
import shutil, sys
from pathlib import Path

stand_in, module, *arguments = sys.argv[1:]
if module == "ours":
    import venvstacks, hatch_pack_venv
    venvstacks.pack_venv = sys.modules["venvstacks.pack_venv"] = hatch_pack_venv
from venvstacks import cli, stacks

def install(target, request):
    return Path(shutil.copytree(stand_in, target / "stand-in", symlinks=True))

stacks._pdm_python_install = install
assert (stacks.pack_venv.__name__ == "hatch_pack_venv") == (module == "ours")
cli.main(arguments)
"""
SPECIFICATION: Final = """
[[runtimes]]
name = "runtime"
python_implementation = "cpython@{version}"
versioned = true
requirements = ["humanize"]

[[frameworks]]
name = "compiled"
runtime = "runtime"
versioned = true
requirements = ["msgpack"]

[[frameworks]]
name = "plain"
runtime = "runtime"
requirements = ["markupsafe"]

[[applications]]
name = "report"
launch_module = "report.py"
frameworks = ["compiled"]
requirements = ["iniconfig"]

[[applications]]
name = "small"
launch_module = "report.py"
frameworks = ["plain"]
requirements = []
"""
REPORT: Final = """
import importlib.util, json, sys

def imported(name):
    if importlib.util.find_spec(name) is None:
        return None
    return __import__(name).__file__

names = ["humanize", "msgpack", "markupsafe", "iniconfig"]
print(json.dumps({"prefix": sys.prefix, **{name: imported(name) for name in names}}))
"""
ABOVE: Final = ("framework-compiled@1", "framework-plain", "app-report", "app-small")


class Stacks:
    """A project of venvstacks, built with its own module and with ours."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stand_in = root / "stand-in"
        self.python = root / "tools/bin/python"

    def make(self, plugin_wheels: Path) -> None:
        """Lock once, build and publish with each module, and export with ours."""
        assert PYTHON is not None
        self._prepare(PYTHON, plugin_wheels)
        self.call("own", "lock")
        for module in ("own", "ours"):
            self.call(module, "build")
            self.call(module, "publish", "--output-dir", f"out-{module}")
        self.call("ours", "local-export", "--output-dir", "exported")

    def _prepare(self, python: Python, plugin_wheels: Path) -> None:
        name = copy_prefix(python, self.stand_in).name
        set_search_path(self.stand_in, "lib")
        for alias in ("python", "python3"):
            (self.stand_in / "bin" / alias).symlink_to(name)
        # Its debug data is most of what both modules would compress.
        run("strip", "--strip-debug", *self.stand_in.rglob("*.so*"))
        library = self.stand_in / "lib" / name
        for folder in ("site-packages", "ensurepip", "tkinter", "pydoc_data"):
            shutil.rmtree(library / folder)
        (library / "site-packages").mkdir()
        run(tool("uv"), "venv", "--quiet", "--python", sys.executable, self.root / "tools")
        # Both must fit into one environment.
        install = (tool("uv"), "pip", "install", "--quiet", "--python", self.python)
        run(*install, "venvstacks>=0.8.0b1,<0.9", *plugin_wheels.glob("*.whl"))
        (self.root / "report.py").write_text(REPORT)
        (self.root / "venvstacks.toml").write_text(SPECIFICATION.format(version=python.version))

    def call(self, module: str, command: str, *options: str) -> None:
        arguments = [command, "venvstacks.toml", "--build-dir", f"build-{module}", *options]
        done = subprocess.run(
            [self.python, "-c", DRIVER, self.stand_in, module, *arguments],
            cwd=self.root,
            env={
                **os.environ,
                "UV_SYSTEM_CERTS": "1",
                "PATH": f"{self.python.parent}:/usr/bin:/bin",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]

    @property
    def originals(self) -> Iterator[Path]:
        """Yield what must not be needed: the builds, the stand-in, and the original of that."""
        assert PYTHON is not None
        yield from (self.root / name for name in ("build-own", "build-ours", "stand-in", "tools"))
        yield PYTHON.prefix

    def manifest(self, module: str) -> dict[str, Any]:
        path = self.root / f"out-{module}/__venvstacks__/venvstacks.json"
        found: dict[str, Any] = json.loads(path.read_text())
        for layers in found["layers"].values():
            for layer in layers:
                assert layer.pop("archive_size") > 0
                assert set(layer.pop("archive_hashes")) == {"sha256"}
        return found


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory, plugin_wheels: Path) -> Stacks:
    """Build everything once for all workers."""
    root = shared(tmp_path_factory, "stacks", lambda folder: Stacks(folder).make(plugin_wheels))
    return Stacks(root)


def test_the_manifest_is_that_of_its_own_module(stacks: Stacks) -> None:
    """Names, versions, targets and requirements are the same; only sizes and hashes differ."""
    own, ours = stacks.manifest("own"), stacks.manifest("ours")
    assert own == ours
    targets = [layer["install_target"] for layers in ours["layers"].values() for layer in layers]
    assert sorted(targets) == sorted(["runtime@1", *ABOVE])


def check_runs(stacks: Stacks, place: Path) -> None:
    """Run both applications where everything of the build is hidden."""
    for name, framework, others in (
        ("app-report", "msgpack", "markupsafe"),
        ("app-small", "markupsafe", "msgpack"),
    ):
        hide = [*stacks.originals, stacks.root / "out-ours"]
        done = run_hidden([place / name / "bin/python", "-m", "report"], hide=hide)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["prefix"] == str(place / name)
        assert found["humanize"].startswith(f"{place}/runtime@1/lib/")
        assert found[framework].startswith(f"{place}/framework-")
        assert found[others] is None
        assert (found["iniconfig"] or "").startswith(f"{place}/{name}/lib/") == (name[4] == "r")


def test_the_archives_run_side_by_side(stacks: Stacks, tmp_path: Path) -> None:
    """They run once unpacked and connected by an unrelated Python of another version."""
    assert PYTHON is not None
    place = tmp_path / "un packed"
    for archive in sorted((stacks.root / "out-ours").glob("*.tar.xz")):
        with tarfile.open(archive) as tar:
            extract(tar, place, "tar")
    assert sorted(path.name for path in place.iterdir()) == sorted(["runtime@1", *ABOVE])
    others = [each for each in find_pythons() if each.minor != PYTHON.minor]
    unrelated = next(each.path for each in others if each.number >= (3, 8))
    for name in ("runtime@1", *ABOVE):
        script = place / name / "postinstall.py"
        done = run_hidden([unrelated, "-X", "utf8", "-I", script], hide=stacks.originals)
        assert done.returncode == 0, done.stderr
        assert (place / name / "pyvenv.cfg").exists() == (name != "runtime@1")
    assert (place / "app-report/bin/python").read_bytes().startswith(b"#!"), "no wrapper script"
    check_runs(stacks, place)


def test_the_local_export_runs(stacks: Stacks) -> None:
    """The export, whose post-install script venvstacks has run, runs as well."""
    check_runs(stacks, stacks.root / "exported")
