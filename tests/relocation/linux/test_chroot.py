"""Bundles on a system that has nothing but glibc, its loader, busybox and /proc."""

from __future__ import annotations

import json
import shutil
import tarfile
from typing import TYPE_CHECKING, Final

import pytest
from support.environments import make_environment, run
from support.hiding import make_system, run_in_system
from support.interpreters import IMPORT_ALL, Python, bundlable, failed, imported, system_python
from support.machine import needs
from support.projects import build_wheel
from support.trees import extract

from hatch_pack_venv import PackOptions, pack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [needs("namespaces", "busybox"), pytest.mark.network, pytest.mark.slow]
PYTHONS: Final = [python for python in bundlable() if python.number >= (3, 10)]
SYSTEM: Final = [] if system_python() is None else [system_python()]
ENTRY_POINTS: Final = {
    "service": ["service-admin", "service-api", "service-panel"],
    "science": ["science-report", "science-solve"],
}
LEFT_TO_THE_TARGET: Final = {"readline", "_gdbm", "dbm.gnu"}


def identify(python: Python | None) -> str:
    assert python is not None
    return f"{python.version}{' of the system' if python == system_python() else ''}"


each_python = pytest.mark.parametrize("python", [*PYTHONS, *SYSTEM], ids=identify)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a bare system."""
    return make_system(tmp_path_factory.mktemp("system") / "root")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Build each project's wheel once."""
    built: dict[str, Path] = {}

    def build_once(name: str) -> Path:
        if name not in built:
            built[name] = build_wheel(name, tmp_path_factory.mktemp("wheels"))
        return built[name]

    return build_once


def unpack(environment: Path, folder: Path, **keys: object) -> Path:
    """Pack an environment into an archive and unpack it as a user does."""
    options = PackOptions.from_mapping({"format": "tar", **keys})
    (result,) = pack(environment, folder / "app", options)
    with tarfile.open(result.path) as tar:
        extract(tar, folder / "there")
    result.path.unlink()
    (root,) = (folder / "there").iterdir()
    return root


@each_python
def test_everything_runs_where_there_is_nothing(
    system: Path, wheel: Callable[[str], Path], tmp_path: Path, python: Python
) -> None:
    """All entry points run, and so do imports of all standard modules that import at home."""
    for name, commands in ENTRY_POINTS.items():
        folder = tmp_path / name
        environment = make_environment(folder / "app", python, [str(wheel(name))], by="uv")
        root = unpack(environment, folder)
        seen = {root.parent: "/opt/here"}
        where = f"/opt/here/{root.name}"
        for command in commands:
            done = run_in_system(system, [f"{where}/bin/{command}"], seen=seen)
            assert done.returncode == 0, (command, done.stderr)
            if command == "service-admin":
                assert json.loads(done.stdout)["foreign"] == []
            if command == "science-solve":
                assert done.stdout == "[0.1, 0.6] 1.259921 8.0 [1.0, 3.0]\n"
        if name == "service":  # the standard library is the same in both
            python_there = f"{where}/bin/python"
            done = run_in_system(system, [python_there, "-I", "-c", IMPORT_ALL], seen=seen)
            # Without writing bytecode: other tests compare the base before and after.
            home = imported(run(environment / "bin/python", "-I", "-B", "-c", IMPORT_ALL))
            lost = home & failed(done.stdout).keys() - LEFT_TO_THE_TARGET
            assert [failed(done.stdout)[module] for module in lost] == []
            assert min(len(home), len(imported(done.stdout))) > 500
        shutil.rmtree(folder)
