"""What CPython's own start-up code for Windows makes of an archive.

The module `getpath` is frozen into every CPython since 3.11 and decides, from nothing but names and
the text of `pyvenv.cfg`, where the prefix and the standard library are. Its tests contain a mock of
a Windows file system, so that it runs on any system. Here it is given the names of an archive.
"""

from __future__ import annotations

import json
import subprocess
import zipfile
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.interpreters import find_pythons
from support.machine import needs
from support.windows import make_base, make_environment

from hatch_pack_venv import PackOptions, pack
from hatch_pack_venv.injected import postinstall

if TYPE_CHECKING:
    from pathlib import Path

    from support.interpreters import Python

ROOT: Final = r"D:\apps\my app"

ASK: Final = """\
import json, sys
from test.test_getpath import MockNTNamespace, getpath

task = json.load(sys.stdin)
ns = MockNTNamespace(**task["start"])
for name in task["files"]:
    (ns.add_known_xfile if name.endswith(".exe") else ns.add_known_file)(name)
for name, lines in task["texts"].items():
    ns.add_known_file(name, lines)
for name in task["folders"]:
    ns.add_known_dir(name)
keys = ["prefix", "exec_prefix", "base_prefix", "executable", "module_search_paths"]
print(json.dumps(getpath(ns, dict.fromkeys(keys))))
"""


@cache
def pythons() -> list[Python]:
    """Return the CPythons of this machine that have `getpath` and its tests."""
    found = []
    for python in find_pythons():
        minor = tuple(map(int, python.minor.rstrip("t").split(".")))
        code = (
            "import _testinternalcapi, test.test_getpath; _testinternalcapi.get_getpath_codeobject"
        )
        if minor >= (3, 11):
            done = subprocess.run([python.path, "-c", code], capture_output=True, check=False)
            found += [python] if done.returncode == 0 else []
    return found


def started(python: Python, **task: Any) -> dict[str, Any]:
    """Return what `getpath` finds."""
    done = subprocess.run(
        [python.path, "-I", "-c", ASK],
        input=json.dumps({"texts": {}, **task}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])  # it prints what it checks
    return found


def names(path: Path, root: str) -> tuple[list[str], list[str]]:
    """Return the files and folders of an archive as paths on Windows."""
    with zipfile.ZipFile(path) as archive:
        below = [name.partition("/")[2] for name in archive.namelist()]
    files = [f"{root}\\{name}".replace("/", "\\") for name in below if name and name[-1] != "/"]
    folders = [f"{root}\\{name}".replace("/", "\\") for name in below if name and name[-1] == "/"]
    return files, folders


@pytest.mark.parametrize("python", pythons(), ids=lambda python: python.version)
def test_a_bundle_is_its_own_prefix(tmp_path: Path, python: Python) -> None:
    """`python.exe` finds `Lib` and `DLLs` next to itself, and nothing outside of the archive."""
    base = make_base(tmp_path / "base")
    prefix = make_environment(tmp_path / "env", home=base)
    (result,) = pack(prefix, tmp_path / "app", PackOptions())
    files, folders = names(result.path, ROOT)
    executable = rf"{ROOT}\python.exe"
    start = {"argv0": executable, "real_executable": executable}
    found = started(python, start=start, files=files, folders=folders)
    assert found["prefix"] == found["exec_prefix"] == ROOT
    assert found["executable"] == executable
    zipped, *paths = found["module_search_paths"]
    assert zipped == rf"{ROOT}\python98.zip"  # the mock's version
    assert paths == [rf"{ROOT}\DLLs", rf"{ROOT}\Lib", ROOT]


@pytest.mark.parametrize("python", pythons(), ids=lambda python: python.version)
def test_a_connected_environment_finds_its_base(tmp_path: Path, python: Python) -> None:
    """With what postinstall.py writes, the library is the base's and the executable its own."""
    prefix = make_environment(tmp_path / "env")
    (result,) = pack(prefix, tmp_path / "app", PackOptions(interpreter="target"))
    files, folders = names(result.path, ROOT)
    with zipfile.ZipFile(result.path) as archive:
        content = archive.read("env/share/venv/metadata/pack-venv.json")
    tree = postinstall.parse_manifest(content, ROOT)
    todo = postinstall.pieces(tree, r"C:\Python312\python.exe", "3.12.4")
    (config,) = [content for path, content in todo.items() if path.endswith("pyvenv.cfg")]
    assert isinstance(config, bytes)
    redirector = rf"{ROOT}\Scripts\python.exe"
    found = started(
        python,
        start={
            "argv0": redirector,
            "ENV___PYVENV_LAUNCHER__": redirector,
            "real_executable": r"C:\Python312\python.exe",
        },
        files=[*files, redirector, r"C:\Python312\python.exe", r"C:\Python312\Lib\os.py"],
        folders=[*folders, r"C:\Python312\DLLs"],
        texts={rf"{ROOT}\pyvenv.cfg": config.decode().splitlines()},
    )
    assert found["executable"] == redirector
    paths = found["module_search_paths"]
    assert [path for path in paths if path.endswith((r"\Lib", r"\DLLs"))] == [
        r"C:\Python312\DLLs",
        r"C:\Python312\Lib",
    ]
    assert not [path for path in paths if path.startswith("D:")]


@needs("getpath tests")
def test_there_is_a_start_up_to_ask() -> None:
    """At least one CPython of this machine has it, so that the tests above run."""
    assert pythons()
