"""Windows launchers: recognised, made relative, or left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.binaries import small_pe
from support.windows import (
    BODY,
    PYTHON,
    archived,
    distlib_launcher,
    setuptools_launcher,
    stub,
)

from hatch_pack_venv.binary.pe import PeFile
from hatch_pack_venv.model.distribution import EntryPoint
from hatch_pack_venv.platforms.windows.launchers import (
    Home,
    entry_point_launcher,
    entry_point_name,
    kind_of,
    relocate_launcher,
    script_launcher,
)

if TYPE_CHECKING:
    from pathlib import Path


IN_ROOT = Home(folder="..\\")


IN_SCRIPTS = Home()


POINT = EntryPoint(name="greet", module="greeter.cli", attr="App.main")


def shebang(launcher: bytes) -> bytes:
    """Return the line between a distlib launcher and its archive."""
    program = PeFile.from_bytes(launcher)
    assert program is not None
    return launcher[program.end :].partition(b"\n")[0]


def relocated(name: str, content: bytes, home: Home = IN_ROOT) -> bytes:
    """Relocate a launcher that has to be relocated."""
    result = relocate_launcher(name, content, home)
    assert result is not None
    return result


def test_distlibs_entry_point_is_rewritten_and_not_made_anew(tmp_path: Path) -> None:
    """Stub and archive stay byte for byte."""
    content = distlib_launcher(tmp_path, "greet = greeter.cli:main", f'"{PYTHON}"').read_bytes()
    start = content.rindex(b"#!")
    archive = content[content.index(b"\n", start) + 1 :]
    moved = relocate_launcher("greet.exe", content, IN_ROOT, POINT)
    assert moved == content[:start] + b"#!<launcher_dir>\\..\\python.exe\n" + archive


def test_a_relocated_launcher_is_relocated_again() -> None:
    """A packed launcher can be packed again, for the other mode too."""
    content = stub() + f"#!{PYTHON}\n".encode() + archived()
    once = relocated("tool.exe", content)
    assert relocated("tool.exe", once) == once
    assert relocated("tool.exe", once, IN_SCRIPTS) == relocated("tool.exe", content, IN_SCRIPTS)


def test_a_launcher_of_another_python_is_left_alone() -> None:
    """A Python outside any `Scripts` is the environment's only if the entry point is known."""
    content = stub() + b"#!C:\\Other\\python.exe\n" + archived()
    assert relocate_launcher("tool.exe", content, IN_ROOT) is None
    assert relocate_launcher("greet.exe", content, IN_ROOT, POINT) is not None
    for command in (b"C:\\jython\\Scripts\\jython.exe", b"/bin/sh"):
        content = stub() + b"#!" + command + b"\n" + archived()
        assert relocate_launcher("tool.exe", content, IN_ROOT, POINT) is None


@pytest.mark.parametrize(
    ("home", "expected"), [(IN_ROOT, b"python.exe"), (IN_SCRIPTS, b"Scripts\\python.exe")]
)
def test_the_script_of_setuptools_launcher_names_a_path_below_the_prefix(
    home: Home, expected: bytes
) -> None:
    """The launcher resolves a relative path from the folder above its own, and is not changed."""
    script = f'#!"{PYTHON}"\n# EASY-INSTALL-ENTRY-SCRIPT\nprint()\n'.encode()
    moved = relocated("greet-script.py", script, home)
    assert moved == b"#!" + expected + b"\n# EASY-INSTALL-ENTRY-SCRIPT\nprint()\n"
    assert kind_of(setuptools_launcher()) == "program"
    assert relocate_launcher("greet.exe", setuptools_launcher(), home, POINT) is None
    assert relocated("greet-script.py", moved, IN_ROOT).startswith(b"#!python.exe\n")


def test_a_script_without_a_launcher_is_left_to_py() -> None:
    """`py script.py` searches PATH for `/usr/bin/env python`, and activation puts it there."""
    script = f"#!{PYTHON} -u\r\nprint()\r\n".encode()
    assert relocated("tool.py", script) == b"#!/usr/bin/env python -u\r\nprint()\r\n"
    for other in (b"#!/bin/sh\n", b"#!C:\\Perl\\perl.exe\n", b"print()\n", b"\x00\x01"):
        assert relocate_launcher("tool.py", other, IN_ROOT) is None


def test_a_windowed_entry_point_has_no_console() -> None:
    """A GUI script gets the launcher and the interpreter without a console."""
    gui = EntryPoint(name="g", module="m", attr="f", gui=True)
    launcher = entry_point_launcher(gui, Home(machine="arm64"))
    program = PeFile.from_bytes(launcher)
    assert program is not None
    assert (program.gui, program.machine) == (True, "arm64")
    assert shebang(launcher) == rb"#!<launcher_dir>\pythonw.exe"


def test_an_unknown_machine_has_no_launcher() -> None:
    """The message names it."""
    with pytest.raises(ValueError, match="'mips'"):
        script_launcher(BODY, Home(machine="mips"))


@pytest.mark.parametrize(
    "content",
    [b"", small_pe(), small_pe(tail=b"#!x\nno archive"), b"MZ", archived(), small_pe(tail=b"UVSC")],
)
def test_what_is_no_launcher_is_left_alone(content: bytes) -> None:
    """Other programs, even damaged ones, stay unchanged."""
    assert relocate_launcher("tool.exe", content, IN_ROOT) is None


def test_the_name_of_an_entry_point_is_told_from_its_files() -> None:
    """`greet.exe`, `greet-script.py` and `greet-script.pyw` start `greet`."""
    names = ("greet.exe", "greet-script.py", "greet-script.pyw", "greet", "GREET.EXE")
    assert [entry_point_name(name) for name in names] == ["greet"] * 4 + ["GREET"]
