"""Fixtures of all tests, and checks of what the machine provides."""

from __future__ import annotations

import os
import signal
import sys
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import pytest
from support import machine
from support.archives import large_plan
from support.environments import run, shared, tool
from support.fakes import SITE
from support.interpreters import find_pythons
from support.projects import ROOT
from support.trees import Scene, remove_large_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hatch_pack_venv.model.plan import PackPlan

# The markers of tests that use a fixture.
_MARKED_FIXTURES = {
    "plugin_wheels": "network",
    "windows_wheels": "network",
    "in_namespace": "namespaces",
}

# Variables that a developer's shell or a front end may have set, and that would change results.
_VARIABLES = ("HATCH_", "SOURCE_DATE_EPOCH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "TZ")


def pytest_configure() -> None:
    """Restore signals that are ignored where a shell runs the tests in the background, or nohup.

    A shell ignores SIGINT and SIGQUIT there (POSIX, "Asynchronous Lists"), nohup ignores SIGHUP,
    and every process that a test starts would inherit it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def pytest_report_header() -> list[str]:
    """List the CPythons that were found, and everything that this machine lacks."""
    found = ", ".join(python.version for python in find_pythons())
    return [f"CPython found: {found}", f"this machine lacks: {machine.lacking()}"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Derive markers from what tests need and from the fixtures they use.

    Tests that emulate a processor change the kernel's settings: they run only if `-m` names them.
    """
    if "emulated" not in config.getoption("markexpr"):
        items[:] = [item for item in items if item.get_closest_marker("emulated") is None]
    for item in items:
        needed = {name for mark in item.iter_markers("needs") for name in mark.args}
        markers = {machine.MARKERS[name] for name in needed & machine.MARKERS.keys()}
        fixtures = _MARKED_FIXTURES.keys() & set(getattr(item, "fixturenames", ()))
        markers |= {_MARKED_FIXTURES[name] for name in fixtures}
        for marker in sorted(markers):
            item.add_marker(marker)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose needs this machine does not meet."""
    machine.require(*(name for mark in item.iter_markers("needs") for name in mark.args))


@pytest.fixture(autouse=True)
def _clean_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(_VARIABLES):
            monkeypatch.delenv(name)
    # A path where no folder can exist: the developer's cache stays untouched, and no cache hides
    # bytes that differ from build to build. Tests of the cache have one of their own.
    monkeypatch.setenv("HATCH_PACK_VENV_CACHE_DIR", os.path.join(os.devnull, "cache"))


@pytest.fixture(autouse=True)
def _no_large_files_stay(request: pytest.FixtureRequest) -> Iterator[None]:
    """Remove the large files from the folder of a test that passes; in all they would take 29 GB.

    The small files, which are most, stay: after thousands have been removed, ext4 creates new ones
    ten times as slowly. When they were removed as well, the suite took a fifth longer.
    """
    failed = request.session.testsfailed
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if folder is not None and request.session.testsfailed == failed:
        remove_large_files(folder)


@pytest.fixture(scope="session")
def plugin_wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build this project's wheel into a folder in which isolated builds can find it."""

    def build(folder: Path) -> None:
        # A name that was never used before: uv caches wheels by their path and version.
        unique = mkdtemp(dir=folder)
        run(tool("uv"), "build", "--wheel", "--quiet", "--out-dir", unique, ROOT)

    (folder,) = shared(tmp_path_factory, "plugin", build).iterdir()
    return folder


@pytest.fixture(scope="session")
def windows_wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Download real wheels for CPython 3.12 on 64-bit Windows, by project name."""

    def download(folder: Path) -> None:
        target = ("--platform", "win_amd64", "--python-version", "3.12", "--only-binary", ":all:")
        command = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest")
        projects = ("charset-normalizer", "markupsafe", "pygments", "pywin32", "uv")
        run(*command, folder, *target, *projects)

    folder = shared(tmp_path_factory, "windows", download)
    return {path.name.partition("-")[0]: path for path in folder.glob("*.whl")}


@pytest.fixture
def front_end(plugin_wheels: Path, tmp_path: Path) -> dict[str, str]:
    """Return the variables with which real front ends find this plugin."""
    home = tmp_path / "home"
    home.mkdir()
    links = f"{os.environ.get('PIP_FIND_LINKS', '')} {plugin_wheels}".strip()
    variables = {k: v for k, v in os.environ.items() if not k.startswith((*_VARIABLES, "XDG_"))}
    return {
        **variables,
        "HATCH_DATA_DIR": str(home / "hatch"),
        "PIP_NO_COMPILE": "1",  # imported modules are compiled all the same
        "PIP_FIND_LINKS": links,
        "UV_FIND_LINKS": str(plugin_wheels),
    }


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """Make the skeleton of a virtual environment."""
    prefix = tmp_path / "env"
    (prefix / SITE).mkdir(parents=True)
    (prefix / "bin").mkdir()
    (prefix / "lib64").symlink_to("lib")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "python3.11").write_bytes(b"\x7fELF")
    (prefix / "bin" / "python3.11").symlink_to(tmp_path / "base" / "python3.11")
    (prefix / "bin" / "python").symlink_to("python3.11")
    (prefix / "pyvenv.cfg").write_text("Home = /opt/python/bin\nversion=3.11.7\n")
    return prefix


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Make the environment and its layers."""
    return Scene.make(tmp_path)


@pytest.fixture(scope="session")
def large() -> PackPlan:
    """Plan more than a few blocks for every compressor, including machine code."""
    return large_plan()
