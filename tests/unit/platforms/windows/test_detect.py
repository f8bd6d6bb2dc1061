"""Environments with the Windows layout, read on any system from the tree itself."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.binaries import small_pe
from support.fakes import INTERPRETER
from support.windows import BUILT_AT, CONFIGS, HOME, make_base, make_environment

from hatch_pack_venv.model.build_paths import is_tellable
from hatch_pack_venv.model.environment import is_windows_interpreter_name
from hatch_pack_venv.model.errors import EnvironmentProblem
from hatch_pack_venv.platforms.windows.detect import is_windows
from hatch_pack_venv.requirements.closure import marker_environment
from hatch_pack_venv.scan.build_paths import build_paths_of
from hatch_pack_venv.scan.probe import read_environment
from hatch_pack_venv.scan.walk import scan

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_pack_venv.model.interpreter import Interpreter


def test_activation_scripts_that_are_fifos_are_not_waited_for(tmp_path: Path) -> None:
    """They are not read; the scan reports them."""
    prefix = make_environment(tmp_path / "env")
    for name in ("activate", "activate.bat"):
        (prefix / "Scripts" / name).unlink(missing_ok=True)
        os.mkfifo(prefix / "Scripts" / name)
    assert read_environment(prefix).is_windows


@pytest.mark.parametrize("by", CONFIGS)
def test_the_facts_are_read_from_the_tree(tmp_path: Path, by: str) -> None:
    """What venv, virtualenv and uv write contains all that the interpreter would report."""
    environment = read_environment(make_environment(tmp_path / "env", by=by))
    python = environment.interpreter
    assert environment.is_windows
    assert environment.scripts == "Scripts"
    assert environment.site_packages == ("Lib/site-packages",)
    assert (python.version, python.minor, python.abi) == ("3.12.4", "3.12", "cp312")
    assert (python.system, python.machine, python.platform_tag) == ("win32", "amd64", "win_amd64")
    assert (python.pointer_bits, python.cache_tag) == (64, "cpython-312")
    assert str(python.base_prefix) == HOME
    assert environment.aliases[0] == BUILT_AT
    assert environment.runs_here == (os.name == "nt")


@pytest.mark.parametrize(
    ("machine", "tag", "bits"),
    [("amd64", "win_amd64", 64), ("arm64", "win_arm64", 64), ("win32", "win32", 32)],
)
def test_the_machine_is_read_from_the_program(
    tmp_path: Path, machine: str, tag: str, bits: int
) -> None:
    """The header of `python.exe` determines the platform tag."""
    python = read_environment(make_environment(tmp_path / "env", machine=machine))
    assert python.interpreter.platform_tag == tag
    assert python.interpreter.pointer_bits == bits


def test_a_free_threaded_interpreter_is_told_by_its_names(tmp_path: Path) -> None:
    """It has `python3.13t.exe` in the environment, or its library is the only one of the base."""
    base = make_base(tmp_path / "base", minor="3.13")
    prefix = make_environment(tmp_path / "env", home=base)
    config = prefix / "pyvenv.cfg"
    config.write_text(config.read_text().replace("3.12.4", "3.13.0"))
    assert read_environment(prefix).interpreter.abi == "cp313"
    (prefix / "Scripts/python3.13t.exe").write_bytes(small_pe())
    assert read_environment(prefix).interpreter.abi == "cp313t"
    (prefix / "Scripts/python3.13t.exe").unlink()
    (base / "python313t.dll").write_bytes(small_pe())
    assert read_environment(prefix).interpreter.abi == "cp313"
    (base / "python313.dll").unlink()
    assert read_environment(prefix).interpreter.abi == "cp313t"


def test_an_interpreter_that_can_be_asked_is_asked(tmp_path: Path) -> None:
    """On Windows the redirector runs, and its answer counts."""
    asked: list[Path] = []

    def ask(python: Path) -> Interpreter:
        asked.append(python)
        return replace(INTERPRETER, system="win32", platform="win-amd64", machine="amd64")

    prefix = make_environment(tmp_path / "env")
    environment = read_environment(prefix, ask=ask)
    assert asked == [prefix / "Scripts/python.exe"]
    assert environment.interpreter.version == "3.11.7"
    assert environment.is_windows


def test_the_layout_is_told_from_the_tree(tmp_path: Path) -> None:
    """`Scripts` next to `bin` (a project's folder, say) does not make a Windows environment."""
    assert is_windows(make_environment(tmp_path / "env"))
    (tmp_path / "posix/bin").mkdir(parents=True)
    (tmp_path / "posix/Scripts").mkdir()
    assert not is_windows(tmp_path / "posix")
    assert not is_windows(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda env: (env / "Scripts/python.exe").unlink(), "it has no Scripts/python.exe"),
        (lambda env: (env / "Lib/site-packages").rmdir(), "it has no Lib/site-packages"),
        (lambda env: (env / "pyvenv.cfg").unlink(), "it has no pyvenv.cfg"),
        (
            lambda env: (env / "pyvenv.cfg").write_text("home = C:\\Python\n"),
            "does not state the Python version",
        ),
        (
            lambda env: (env / "Scripts/python.exe").write_text("#!/bin/sh"),
            "is not a Windows program; a program for x86, AMD64 or ARM64 was expected",
        ),
        (
            lambda env: (env / "pyvenv.cfg").write_text("version = 3.8.10\n"),
            "only environments of CPython 3.9",
        ),
        (
            lambda env: (env / "pyvenv.cfg").write_text(
                "implementation = PyPy\nversion_info = 3.11.9\n"
            ),
            "is pypy 3.11.9",
        ),
    ],
    ids=["python", "site-packages", "config", "version", "program", "old", "PyPy"],
)
def test_what_is_no_usable_environment_is_refused(
    tmp_path: Path, change: object, message: str
) -> None:
    """Each problem is one sentence."""
    prefix = make_environment(tmp_path / "env")
    assert callable(change)
    change(prefix)
    with pytest.raises(EnvironmentProblem, match=message):
        read_environment(prefix)


@pytest.mark.parametrize(
    "name",
    [
        "python.exe",
        "pythonw.exe",
        "python3.exe",
        "python3",
        "pythonw3.exe",
        "python3.13t.exe",
        "pythonw3.13t.exe",
        "python_d.exe",
        "python3.dll",
        "python312.dll",
        "python313t.dll",
        "vcruntime140_1.dll",
        "Python.exe",
        "python312.zip",
    ],
)
def test_names_of_the_interpreter(name: str) -> None:
    """Files that creators put next to or in place of `python.exe` belong to the interpreter."""
    assert is_windows_interpreter_name(name)


@pytest.mark.parametrize(
    "name", ["python-argcomplete.exe", "pythoncom312.dll", "pywintypes312.dll", "py.exe", "pip.exe"]
)
def test_names_of_others(name: str) -> None:
    """Scripts and libraries with similar names do not."""
    assert not is_windows_interpreter_name(name)


def test_launchers_carry_their_bytes(tmp_path: Path) -> None:
    """The scan reads only programs in the scripts folder, which a rule may rewrite."""
    prefix = make_environment(tmp_path / "env")
    (prefix / "Scripts/tool.exe").write_bytes(small_pe())
    (prefix / "Lib/site-packages/tool.exe").write_bytes(small_pe())
    found = {entry.arcname: entry for entry in scan(read_environment(prefix))}
    assert isinstance(getattr(found["Scripts/tool.exe"], "content", None), bytes)
    assert not isinstance(getattr(found["Lib/site-packages/tool.exe"], "content", None), bytes)


def test_markers_are_those_of_windows(tmp_path: Path) -> None:
    """Requirements for Windows count, whatever this machine is."""
    environment = read_environment(make_environment(tmp_path / "env", machine="arm64"))
    markers = marker_environment(environment.interpreter)
    expected = {
        "os_name": "nt",
        "platform_machine": "ARM64",
        "platform_system": "Windows",
        "sys_platform": "win32",
    }
    assert {key: markers[key] for key in expected} == expected


def test_places_of_windows_are_looked_for_in_every_spelling(tmp_path: Path) -> None:
    """They are found with either slash, with doubled backslashes, and in URLs."""
    environment = read_environment(make_environment(tmp_path / "env"))
    found = {place.path for place in build_paths_of(environment)}
    assert {
        rb"C:\build\my app\.venv",
        rb"C:\\build\\my app\\.venv",
        b"C:/build/my app/.venv",
        b"C:/build/my%20app/.venv",
    } <= found


@pytest.mark.parametrize(
    ("folder", "tellable"),
    [
        ("C:\\", False),
        ("C:/Users", False),
        ("c:\\program files\\", False),
        ("C:\\Users\\alice", True),
        ("D:\\work", True),
        ("\\\\server\\share\\x", True),
    ],
)
def test_folders_of_every_windows_tell_nothing(folder: str, tellable: bool) -> None:
    """A drive or a system folder belongs to no machine in particular."""
    assert is_tellable(folder) is tellable
