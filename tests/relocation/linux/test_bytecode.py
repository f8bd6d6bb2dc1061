"""Bytecode of every CPython found: the same bytes anywhere, correct and current after a move."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from support import hiding
from support.environments import install, make_environment, run, tool
from support.interpreters import Python, bundlable, newest_of_each
from support.machine import needs, require
from support.trees import make_wheel, tree_state

from hatch_pack_venv import PackOptions
from hatch_pack_venv.api.pack import export
from hatch_pack_venv.api.planning import plan_source
from hatch_pack_venv.api.source import Source
from hatch_pack_venv.model.entries import FileEntry
from hatch_pack_venv.model.results import silent
from hatch_pack_venv.plan.select import Selection
from hatch_pack_venv.scan.probe import read_environment
from hatch_pack_venv.write.bytecode import with_byte_code

pytestmark = [needs("namespaces"), pytest.mark.network]
BARE: Final = {"PATH": "/usr/bin:/bin"}
REQUIREMENTS: Final = ["six==1.15.0", "typing-extensions", "markupsafe"]

# Half of the standard library's top-level modules are enough to test every CPython.
FEW: Final = {
    "exclude-files": ["/lib/python3.*/*/**/*.pyc"],
    "include-files": [
        "/lib/python3.*/__pycache__/[_aost]*.pyc",
        "/lib/python3.*/site-packages/**/*.pyc",
    ],
}
# Before CPython 3.11 such a set has a different order in each process.
LINE: Final = "return x in {0, (None, 0), (None, 1), (None, 2), (None, 3), (None, 4)} and 1 / 0"
SHOWS: Final = f"VALUE = 1\n\n\ndef fail(x):\n    {LINE}\n".encode()
TELL: Final = """
import inspect, shows, six, traceback
try:
    shows.fail(0)
except ZeroDivisionError as error:
    (*_, frame) = traceback.extract_tb(error.__traceback__)
    print(frame.filename, frame.lineno, frame.line, sep="|")
print(inspect.getsource(shows.fail).splitlines()[0])
print(inspect.getsourcefile(six.add_metaclass))
print(traceback.extract_tb.__code__.co_filename)
print(shows.VALUE)
"""


@dataclass(frozen=True, kw_only=True)
class Twins:
    """Two environments with the same packages in two places, and a project's wheel."""

    python: Python
    folders: tuple[Path, Path]
    wheel: Path

    @property
    def mode(self) -> str:
        """Return the interpreter mode of these tests."""
        return "bundled" if self.python in bundlable() else "target"

    def options(self, **changes: object) -> PackOptions:
        """Return options that compile."""
        facts = {
            "interpreter": self.mode,
            "bytecode": "unchecked-hash",
            "wheels": [str(self.wheel)],
        }
        return PackOptions.from_mapping({**facts, **changes})

    def exported(self, target: Path, options: PackOptions) -> Path:
        """Export the first environment elsewhere, and connect it in target mode."""
        export(self.folders[0], target, options)
        if options.interpreter == "target":
            run(self.python.path, target / "postinstall.py", "--no-compile", env=BARE)
        return target

    def run(self, root: Path, code: str, *, read_only: bool = False) -> list[str]:
        """Run code in an exported environment with the originals hidden."""
        bundled = (root / "pyvenv.cfg").read_text().find("home =") < 0
        done = hiding.run_hidden(
            [root / "bin/python", "-c", code],
            hide=[*self.folders, self.wheel.parent, *([self.python.prefix] if bundled else [])],
            read_only=[root] if read_only else [],
            env=BARE,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


def made(folder: Path, python: Python) -> Twins:
    """Make the twins, and change the time of a file of the second one."""
    places = (folder / "one", folder / "another place")
    for place in places:
        make_environment(place, python, REQUIREMENTS, by="uv")
    os.utime(next(places[1].glob("lib/python3.*/site-packages/six.py")), (10**9, 10**9))
    (folder / "wheels").mkdir()
    files = {"shows.py": SHOWS, "template/{{name}}.py": b"import {{name}}\n"}
    wheel = make_wheel(folder / "wheels", files, "shows-1.0-py3-none-any.whl")
    return Twins(python=python, folders=places, wheel=wheel)


@pytest.fixture(scope="module", params=newest_of_each(), ids=lambda python: python.version)
def twins(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Twins:
    """Return two environments of each CPython."""
    return made(tmp_path_factory.mktemp("twins"), request.param)


@pytest.fixture(scope="module")
def newest(tmp_path_factory: pytest.TempPathFactory) -> Twins:
    """Return two environments of the newest CPython that can be bundled, if there is one."""
    return made(tmp_path_factory.mktemp("newest"), (bundlable() or newest_of_each())[-1])


def byte_code(folder: Path, options: PackOptions, threads: int) -> dict[str, str]:
    """Return the hashes of an environment's bytecode."""
    environment = read_environment(folder)
    plan = plan_source(Source.of(environment, options), None)
    patterns = Selection(exclude=options.exclude_files, include=options.include_files)
    with with_byte_code(
        plan, environment, options.bytecode, patterns=patterns, threads=threads, report=silent
    ) as whole:
        return {
            entry.arcname: hashlib.sha256(Path(entry.content).read_bytes()).hexdigest()
            for entry in whole.entries
            if isinstance(entry, FileEntry) and isinstance(entry.content, str)
            if entry.arcname.endswith(".pyc")
        }


def test_the_bytes_depend_on_no_place_time_or_number_of_processes(twins: Twins) -> None:
    """Two places, with one process or three, give the same bytecode, and none for a template."""
    options = twins.options(**FEW)
    found = [
        byte_code(folder, options, threads)
        for folder, threads in zip(twins.folders, (1, 3), strict=True)
    ]
    assert found[0] == found[1]
    compiled = {name.rpartition("/")[2].split(".")[0] for name in found[0]}
    assert {"six", "shows", "typing_extensions"} <= compiled
    assert "{{name}}" not in compiled
    if twins.mode == "bundled":
        assert {"os", "traceback", "argparse"} <= compiled
        assert any(name.startswith("_sysconfigdata_") for name in compiled)


def test_tracebacks_and_sources_are_those_of_the_new_place(twins: Twins, tmp_path: Path) -> None:
    """Bytecode is used unchanged and names the files in their new place, and none is added."""
    root = twins.exported(tmp_path / "Zwei é", twins.options(**FEW))
    (site,) = root.glob("lib/python3.*/site-packages")
    shows = site / "shows.py"
    before = tree_state(site)
    told = twins.run(root, TELL)
    assert tree_state(site) == before
    assert told[:3] == [f"{shows}|5|{LINE}", "def fail(x):", str(site / "six.py")]
    library = root if twins.mode == "bundled" else twins.python.prefix
    assert Path(told[3]).is_relative_to(library)
    shows.write_bytes(SHOWS.replace(b"VALUE = 1", b"VALUE = 2"))
    assert twins.run(root, TELL)[-1] == "1"


def test_checked_byte_code_gives_way_to_an_edited_source(newest: Twins, tmp_path: Path) -> None:
    """Checked bytecode is used for the source that it was compiled from, and for no other."""
    kind = {"bytecode": "checked-hash", "interpreter": "target"}
    root = newest.exported(tmp_path / "moved", newest.options(**kind))
    (shows,) = root.glob("lib/python3.*/site-packages/shows.py")
    (cached,) = root.glob("lib/python3.*/site-packages/__pycache__/shows.*.pyc")
    assert cached.read_bytes()[4:8] == bytes([3, 0, 0, 0])
    assert newest.run(root, TELL)[-1] == "1"
    shows.write_bytes(SHOWS.replace(b"VALUE = 1", b"VALUE = 2"))
    assert newest.run(root, TELL)[-1] == "2"


IMPORTS: Final = """
import asyncio, ctypes, decimal, email.message, json, logging.config, sqlite3, ssl, sysconfig
import unittest.mock, urllib.request, xml.dom.minidom, zoneinfo
import markupsafe, six, shows, typing_extensions
sysconfig.get_config_vars()
print(sum(1 for module in sys.modules.values() if getattr(module, "__cached__", None)))
missing = [m.__cached__ for m in sys.modules.values() if getattr(m, "__cached__", None)]
print([name for name in missing if not os.path.exists(name)])
"""


def test_nothing_is_written_by_imports(newest: Twins, tmp_path: Path) -> None:
    """Every imported module has its bytecode already, whether the folder can be written or not."""
    require("shared CPython")
    root = newest.exported(tmp_path / "moved", newest.options())
    before = tree_state(root)
    for read_only in (True, False):
        count, missing = newest.run(root, f"import os, sys{IMPORTS}", read_only=read_only)
        assert int(count) > 150
        assert missing == "[]"
        assert tree_state(root) == before


@pytest.fixture
def connected(newest: Twins, tmp_path: Path) -> Path:
    """Return a moved environment in target mode, with bytecode."""
    return newest.exported(tmp_path / "moved", newest.options(interpreter="target"))


def test_an_upgrade_in_place_runs_the_new_code(connected: Path, newest: Twins) -> None:
    """The installer removes the bytecode that RECORD lists, which no import would check."""
    code = "import six; print(six.__version__)"
    assert newest.run(connected, code) == ["1.15.0"]
    install(connected, "--upgrade", "six==1.16.0")
    assert newest.run(connected, code) == ["1.16.0"]


@pytest.mark.parametrize("by", ["uv", "pip"])
def test_an_uninstallation_leaves_no_byte_code(connected: Path, newest: Twins, by: str) -> None:
    """uv and pip remove every file of a distribution and none of the others."""
    (site,) = connected.glob("lib/python3.*/site-packages")
    left = {path.name.split(".")[0] for path in (site / "__pycache__").iterdir()}
    assert {"six", "typing_extensions"} < left
    python = str(connected / "bin/python")
    if by == "uv":
        run(tool("uv"), "pip", "uninstall", "--python", python, "six", "markupsafe")
    else:
        pip = make_environment(connected.parent / "pip", newest.python) / "bin/pip"
        run(pip, "--python", python, "uninstall", "-y", "six", "markupsafe")
    assert {path.name.split(".")[0] for path in (site / "__pycache__").iterdir()} == left - {"six"}
    assert not (site / "markupsafe").exists()


def test_the_post_install_script_leaves_it_as_it_is(connected: Path, newest: Twins) -> None:
    """The archive's bytecode stays; what an import has added becomes hash-based as well."""
    (site,) = connected.glob("lib/python3.*/site-packages")
    (site / "added.py").write_text("x = 1\n")
    run(connected / "bin/python", "-c", "import added", env=BARE)
    (beside,) = site.glob("__pycache__/added.*.pyc")
    assert beside.read_bytes()[4:8] == bytes(4)
    before = byte_code_of_the_archive(site)
    assert before
    run(newest.python.path, connected / "postinstall.py", env=BARE)
    assert byte_code_of_the_archive(site) == before
    assert beside.read_bytes()[4:8] == b"\3\0\0\0"


def byte_code_of_the_archive(site: Path) -> dict[str, object]:
    """Return the state of all bytecode except that of `added.py`."""
    state = tree_state(site)
    return {name: state[name] for name in state if name.endswith(".pyc") and "added" not in name}
