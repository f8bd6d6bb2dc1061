"""Launchers for Windows: real ones of uv and distlib, whose archives Python still runs."""

from __future__ import annotations

import struct
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from support.windows import (
    BODY,
    BUILT_AT,
    PYTHON,
    archived,
    distlib_launcher,
    old_stub,
    old_uv_launcher,
    stub,
    trampolines,
    uv_launcher,
)

from hatch_pack_venv.binary.pe import PeFile
from hatch_pack_venv.model.distribution import EntryPoint
from hatch_pack_venv.platforms.windows.launchers import (
    Home,
    entry_point_launcher,
    kind_of,
    relocate_launcher,
)

if TYPE_CHECKING:
    from pathlib import Path


IN_ROOT = Home(folder="..\\")


IN_SCRIPTS = Home()


POINT = EntryPoint(name="greet", module="greeter.cli", attr="App.main")


@pytest.fixture(scope="module")
def uv(windows_wheels: dict[str, Path]) -> dict[str, bytes]:
    """Return uv's trampolines."""
    found = trampolines(windows_wheels["uv"])
    assert found.keys() == {"console", "gui"}
    return found


def shebang(launcher: bytes) -> bytes:
    """Return the line between the stub and the archive of a distlib-like launcher."""
    program = PeFile.from_bytes(launcher)
    assert program is not None
    return launcher[program.end :].partition(b"\n")[0]


def says(launcher: bytes, folder: Path) -> str:
    """Run a launcher's archive with the Python of this machine, as the launcher itself does."""
    path = folder / "launcher.exe"
    path.write_bytes(launcher)
    done = subprocess.run(
        [sys.executable, "-I", path, "an", "argument"], capture_output=True, text=True, check=False
    )
    return done.stderr.strip()


def relocated(name: str, content: bytes, home: Home = IN_ROOT) -> bytes:
    """Relocate what must be relocated."""
    result = relocate_launcher(name, content, home)
    assert result is not None
    return result


@pytest.mark.parametrize("quoted", [False, True])
def test_distlibs_launcher_gets_a_relative_interpreter(tmp_path: Path, quoted: bool) -> None:
    """Real launchers, even with spaces in the path, name the interpreter relative to themselves."""
    executable = f'"{PYTHON}"' if quoted else PYTHON.replace("my app", "app")
    (tmp_path / "tool").write_bytes(b"#!python\n" + BODY)
    content = distlib_launcher(tmp_path, "tool", executable).read_bytes()
    assert kind_of(content) == "distlib"
    assert says(content, tmp_path) == "ran; an; argument"
    moved = relocated("tool.exe", content)
    assert shebang(moved) == rb"#!<launcher_dir>\..\python.exe"
    assert shebang(relocated("tool.exe", content, IN_SCRIPTS)) == rb"#!<launcher_dir>\python.exe"
    assert b"build" not in moved
    assert says(moved, tmp_path) == "ran; an; argument"


def test_options_and_the_windowed_interpreter_stay(tmp_path: Path) -> None:
    """`pythonw.exe -I` is still that."""
    content = stub("gui") + f'#!"{BUILT_AT}\\Scripts\\pythonw.exe" -I\n'.encode() + archived()
    moved = relocated("tool.exe", content, IN_SCRIPTS)
    assert shebang(moved) == rb"#!<launcher_dir>\pythonw.exe -I"
    assert says(moved, tmp_path) == "ran; an; argument"


def test_a_stub_without_relative_interpreters_is_replaced(tmp_path: Path) -> None:
    """A launcher from before distlib 0.3.0 gets the current stub and keeps its archive."""
    archive = archived()
    moved = relocated("tool.exe", old_stub() + f"#!{PYTHON}\n".encode() + archive)
    assert moved == stub() + b"#!<launcher_dir>\\..\\python.exe\n" + archive
    assert says(moved, tmp_path) == "ran; an; argument"


def test_an_archive_with_offsets_from_the_files_start_stays_in_its_place(tmp_path: Path) -> None:
    """An archive appended by `zipfile` has absolute offsets, so the line is padded."""
    path = tmp_path / "tool.exe"
    path.write_bytes(stub() + f"#!{PYTHON}\n".encode())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__main__.py", BODY)
    moved = relocated("tool.exe", path.read_bytes())
    assert len(moved) == path.stat().st_size
    assert shebang(moved).rstrip() == rb"#!<launcher_dir>\..\python.exe"
    assert says(moved, tmp_path) == "ran; an; argument"
    with zipfile.ZipFile(tmp_path / "launcher.exe") as archive:
        assert archive.testzip() is None


@pytest.mark.parametrize("kind", ["console", "gui"])
def test_uvs_trampoline_gets_a_relative_interpreter(
    uv: dict[str, bytes], tmp_path: Path, kind: str
) -> None:
    """Its resource has the new path and its length, and the old path is gone."""
    name = "pythonw" if kind == "gui" else "python"
    python = rf"{BUILT_AT}\Scripts\{name}.exe"
    content = uv_launcher(uv[kind], python)
    assert kind_of(content) == "uv"
    assert says(content, tmp_path) == "ran; an; argument"
    for home, expected in ((IN_ROOT, f"..\\{name}.exe"), (IN_SCRIPTS, f"{name}.exe")):
        moved = relocated("tool.exe", content, home)
        program = PeFile.from_bytes(moved)
        assert program is not None
        path = program.resource(moved, "UV_PYTHON_PATH")
        assert path is not None
        assert moved[path.offset : path.offset + path.size].decode() == expected
        assert BUILT_AT.encode() not in moved
        assert says(moved, tmp_path) == "ran; an; argument"
        with zipfile.ZipFile(tmp_path / "launcher.exe") as archive:
            assert archive.testzip() is None
            assert archive.read("__main__.py").endswith(BODY)


@pytest.mark.parametrize("magic", [b"UVSC", b"UVUV"])
def test_uvs_trampoline_of_before_gets_a_relative_interpreter(
    uv: dict[str, bytes], tmp_path: Path, magic: bytes
) -> None:
    """The path behind the archive, its length and the magic word agree."""
    content = old_uv_launcher(uv["console"], PYTHON, magic=magic)
    assert kind_of(content) == "uv"
    assert says(content, tmp_path) == "ran; an; argument"
    moved = relocated("tool.exe", content)
    python = rb"..\python.exe"
    assert moved.endswith(python + struct.pack("<I", len(python)) + magic)
    assert BUILT_AT.encode() not in moved
    assert says(moved, tmp_path) == "ran; an; argument"


def test_uvs_copies_of_python_are_no_launchers_of_scripts(uv: dict[str, bytes]) -> None:
    """A trampoline for the interpreter itself, or a bare one, is not changed."""
    python = uv["console"] + b"C:\\python.exe" + struct.pack("<I", 13) + b"UVPY"
    for content in (uv["console"], python):
        assert kind_of(content) == "program"
        assert relocate_launcher("python3.12.exe", content, IN_ROOT) is None


def test_an_entry_point_gets_a_whole_launcher(tmp_path: Path) -> None:
    """The launcher calls the function, with its own name in argv and the given interpreter."""
    (tmp_path / "greeter").mkdir()
    (tmp_path / "greeter/__init__.py").touch()
    (tmp_path / "greeter/cli.py").write_text(
        "import sys\nclass App:\n    def main(): return sys.argv[0].rpartition('/')[2]\n"
    )
    launcher = entry_point_launcher(POINT, IN_ROOT)
    assert launcher == entry_point_launcher(POINT, IN_ROOT)
    assert kind_of(launcher) == "distlib"
    assert shebang(launcher) == rb"#!<launcher_dir>\..\python.exe"
    (tmp_path / "launcher.exe").write_bytes(launcher)
    done = subprocess.run(
        [sys.executable, tmp_path / "launcher.exe"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert done.stderr == "launcher\n"
