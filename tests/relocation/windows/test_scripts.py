"""Launchers, scripts, wheels and path files of Windows environments, as packing rewrites them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.binaries import small_pe
from support.trees import make_wheel
from support.windows import (
    BUILT_AT,
    PYTHON,
    SITE,
    archived,
    make_environment,
    one,
    options,
    setuptools_launcher,
    shebang,
    stub,
    trampolines,
    uv_launcher,
)

from hatch_pack_venv import pack
from hatch_pack_venv.api.pack import pack_project
from hatch_pack_venv.api.source import Source
from hatch_pack_venv.model.environment import Project
from hatch_pack_venv.model.errors import PlanError, WheelProblem

if TYPE_CHECKING:
    from pathlib import Path


# launchers


def with_script(prefix: Path, name: str, content: bytes) -> Path:
    (prefix / "Scripts" / name).write_bytes(content)
    return prefix


def with_entry_point(prefix: Path, name: str = "greet") -> Path:
    info = prefix / SITE / "greeter-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: greeter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[console_scripts]\n{name} = greeter:main\n")
    return prefix


def test_uvs_launchers_are_packed_relative(windows_wheels: dict[str, Path], tmp_path: Path) -> None:
    """Launchers of current uv, with the interpreter's path in their resources, become relative."""
    trampoline = trampolines(windows_wheels["uv"])["console"]
    launcher = uv_launcher(trampoline, PYTHON)
    prefix = with_script(make_environment(tmp_path / "env", by="uv"), "greet.exe", launcher)
    files = one(pack(with_entry_point(prefix), tmp_path / "app", options(interpreter="target")))
    packed = files["Scripts/greet.exe"]
    assert len(packed) == len(launcher)
    assert BUILT_AT.encode() not in packed
    assert b"#!python.exe" in packed


def test_setuptools_launchers_are_packed_relative(tmp_path: Path) -> None:
    """The program stays, and the script next to it names the interpreter below the prefix."""
    prefix = with_entry_point(make_environment(tmp_path / "env"))
    with_script(prefix, "greet.exe", setuptools_launcher())
    with_script(prefix, "greet-script.py", f"#!{PYTHON}\nprint()\n".encode())
    files = one(pack(prefix, tmp_path / "app", options(interpreter="target")))
    assert files["Scripts/greet.exe"] == setuptools_launcher()
    assert files["Scripts/greet-script.py"] == b"#!Scripts\\python.exe\nprint()\n"


def test_an_unknown_launcher_of_an_entry_point_is_made_anew(tmp_path: Path) -> None:
    """An unknown program with an entry point's name is replaced; any other program is kept."""
    prefix = with_entry_point(make_environment(tmp_path / "env"))
    with_script(prefix, "greet.exe", small_pe(tail=b"C:\\Python\\python.exe"))
    with_script(prefix, "tool.exe", small_pe(tail=b"a program"))
    files = one(pack(prefix, tmp_path / "app", options(interpreter="target")))
    assert shebang(files["Scripts/greet.exe"]) == "#!<launcher_dir>\\python.exe"
    assert b"from greeter import main" in files["Scripts/greet.exe"]
    assert files["Scripts/tool.exe"] == small_pe(tail=b"a program")


def test_a_launcher_of_another_python_is_kept(tmp_path: Path) -> None:
    """A launcher that starts none of the environment's Pythons is not changed."""
    foreign = stub() + b"#!C:\\Other\\python.exe\n" + archived()
    prefix = with_script(make_environment(tmp_path / "env"), "other.exe", foreign)
    files = one(pack(prefix, tmp_path / "app", options(interpreter="target")))
    assert files["Scripts/other.exe"] == foreign


# wheels


def project_wheel(folder: Path, name: str = "greeter-2.0-py3-none-any.whl") -> Path:
    return make_wheel(
        folder,
        {
            "greeter/__init__.py": b"def main(): return 'hello'\n",
            "greeter-2.0.data/scripts/tool.py": b"#!python -u\nprint('tool')\n",
            "greeter-2.0.data/scripts/note.bat": b"@echo note\r\n",
            "greeter-2.0.data/headers/greeter.h": b"/* */\n",
            "greeter-2.0.data/data/include/more.h": b"/* more */\n",
            "greeter-2.0.data/data/share/greeter/x.txt": b"x",
            "greeter-2.0.dist-info/entry_points.txt": (
                b"[console_scripts]\ngreet = greeter:main\n[gui_scripts]\nwindow = greeter:main\n"
            ),
        },
        name=name,
    )


@pytest.mark.parametrize("interpreter", ["bundled", "target"])
def test_the_projects_wheel_is_laid_over(tmp_path: Path, base: Path, interpreter: str) -> None:
    """It replaces the installed version, with launchers like those that installers make."""
    prefix = with_entry_point(make_environment(tmp_path / "env", home=base), name="old")
    with_script(prefix, "old.exe", stub() + f"#!{PYTHON}\n".encode() + archived())
    (prefix / SITE / "greeter-1.0.dist-info/RECORD").write_text("../../Scripts/old.exe,,\n")
    project = Project(name="greeter", version="2.0", wheel=project_wheel(tmp_path))
    files = one(
        pack_project(
            Source.read(prefix, options(interpreter=interpreter)), tmp_path / "out", project
        )
    )
    assert (tmp_path / "out/greeter-2.0-cp312-win_amd64.zip").is_file()
    scripts = {n.partition("/")[2] for n in files if n.startswith("Scripts/") and "activ" not in n}
    folder = "..\\" if interpreter == "bundled" else ""
    assert scripts - {"Activate.ps1"} == {"greet.exe", "window.exe", "tool.exe", "note.bat"}
    start = f"#!<launcher_dir>\\{folder}"
    assert shebang(files["Scripts/greet.exe"]) == f"{start}python.exe"
    assert shebang(files["Scripts/window.exe"]) == f"{start}pythonw.exe"
    assert shebang(files["Scripts/tool.exe"]) == f"{start}python.exe -u"
    assert files["Scripts/note.bat"] == b"@echo note\r\n"
    assert files["Include/site/python3.12/greeter/greeter.h"] == b"/* */\n"
    assert files["Include/more.h"] == b"/* more */\n"  # one folder on Windows
    assert files["share/greeter/x.txt"] == b"x"
    record = files[f"{SITE}/greeter-2.0.dist-info/RECORD"].decode()
    assert "../../Scripts/greet.exe,sha256=" in record
    assert f"{SITE}/greeter-1.0.dist-info/METADATA" not in files


def test_a_wheel_has_to_be_for_windows(tmp_path: Path) -> None:
    """A wheel for this machine does not fit a Windows environment; one for Windows does."""
    prefix = make_environment(tmp_path / "env")
    here = project_wheel(tmp_path, "greeter-2.0-cp312-cp312-linux_x86_64.whl")
    with pytest.raises(WheelProblem, match=r"is not compatible with .* CPython 3\.12\.4 on win-"):
        pack(prefix, tmp_path / "app", options(interpreter="target", wheels=[str(here)]))
    there = project_wheel(tmp_path, "greeter-2.0-cp312-cp312-win_amd64.whl")
    pack(prefix, tmp_path / "app", options(interpreter="target", wheels=[str(there)]))


# path files


def test_path_files_of_windows_are_read_as_windows_reads_them(tmp_path: Path) -> None:
    """Lines into the environment become relative; others with a drive or `..` are errors."""
    prefix = make_environment(tmp_path / "env")
    path = prefix / SITE / "a.pth"
    inside = rf"{BUILT_AT.upper()}\Lib\site-packages\win32"
    path.write_text(f"{inside}\n{BUILT_AT}\\share\nwin32\\lib\nimport sys\n")
    files = one(pack(prefix, tmp_path / "app", options(interpreter="target")))
    assert files[f"{SITE}/a.pth"] == b"win32\n..\\..\\share\nwin32\\lib\nimport sys\n"
    path.write_text("D:\\work\\src\n..\\..\\..\\src\n\\\\server\\x\n\\src\nfine\n")
    with pytest.raises(PlanError) as caught:
        pack(prefix, tmp_path / "app", options(interpreter="target"))
    lines = [problem.split(" adds ")[1].split(" to ")[0] for problem in caught.value.problems]
    assert lines == ["D:\\work\\src", "..\\..\\..\\src", "\\\\server\\x", "\\src"]


def test_what_names_the_old_place_is_told(tmp_path: Path) -> None:
    """A text with the path at which the environment was made on Windows is a finding."""
    prefix = make_environment(tmp_path / "env")
    (prefix / "share").mkdir()
    (prefix / "share/kernel.json").write_text(json.dumps({"argv": [PYTHON]}))
    (result,) = pack(prefix, tmp_path / "app", options(interpreter="target"))
    assert [str(finding) for finding in result.findings] == [
        "share/kernel.json names the environment's old place"
    ]


def test_kernelspecs_follow_the_environment(tmp_path: Path) -> None:
    """A kernel that was installed with `--sys-prefix` starts the Python that Jupyter runs on."""
    prefix = make_environment(tmp_path / "env")
    folder = prefix / "share/jupyter/kernels/mine"
    folder.mkdir(parents=True)
    argv = [PYTHON, "-m", "ipykernel_launcher", f"{BUILT_AT}\\share\\x.json"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv}))
    files = one(pack(prefix, tmp_path / "app", options(interpreter="target")))
    packed = json.loads(files["share/jupyter/kernels/mine/kernel.json"])["argv"]
    end = "{resource_dir}/../../../..\\share\\x.json"
    assert packed == ["python", "-m", "ipykernel_launcher", end]
